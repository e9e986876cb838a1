"""A single worker process, as the supervisor starts it: `python -m worker SETTINGS_JSON WORKER_ID`.

People use `maze worker`. Exit codes: 0 drained, 2 wrong settings or a broken model.
"""

from __future__ import annotations

import json
import sys

from wire.errors import MazeError
from worker.identity import worker_id
from worker.settings import Settings


def main(arguments: list[str]) -> int:
    """Run until a signal; the exit code."""
    from worker.process import WorkerProcess

    try:
        settings = Settings.of(**json.loads(arguments[0])) if arguments else Settings()
        WorkerProcess(settings, arguments[1] if len(arguments) > 1 else worker_id()).run()
    except MazeError as error:
        sys.stderr.write(f"worker: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
