"""A single worker process, as the supervisor starts it: `python -m gesture_maze.worker SETTINGS_JSON WORKER_ID`.

With `-` in the place of the settings they are read from standard input: a command line can be read by
everybody on the machine, and the address of Redis may hold a password.

People use `maze worker`. Exit codes: 0 drained, 2 wrong settings or a broken model.
"""

from __future__ import annotations

import json
import sys

from gesture_maze.wire.errors import MazeError
from gesture_maze.worker.identity import worker_id
from gesture_maze.worker.settings import Settings


def main(arguments: list[str]) -> int:
    """Run until a signal; the exit code."""
    from gesture_maze.worker.process import WorkerProcess

    try:
        settings = Settings.of(**json.loads(_settings_json(arguments))) if arguments else Settings()
        worker = arguments[1] if len(arguments) > 1 else worker_id()
        WorkerProcess(settings, worker, supervised=True).run()
    except MazeError as error:
        sys.stderr.write(f"worker: {error}\n")
        return 2
    return 0


def _settings_json(arguments: list[str]) -> str:
    return sys.stdin.read() if arguments[0] == "-" else arguments[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
