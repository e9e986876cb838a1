"""A single worker process, as the supervisor starts it.

    python -m gesture_maze.worker SETTINGS_JSON [WORKER_ID [PARENT_PID]]

If SETTINGS_JSON is `-`, the settings are read from standard input: every user of the machine can read a
command line, and the address of Redis may hold a password. With PARENT_PID the process drains when that
process ends. People use `maze worker`.

Exit codes: 0 drained, 2 wrong settings or a broken model, 75 (`PORT_IN_USE_EXIT`) the metrics port is in use.
"""

from __future__ import annotations

import gc
import json
import os
import sys

# before numpy is imported: the matrices of a batch are so small that more threads only wait for each other
# (on a busy machine a frame took ten times the CPU), and a pool has a process per core
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from gesture_maze.embedded.tether import end_with_parent


def main(arguments: list[str]) -> int:
    """Run until a signal arrives and return the exit code."""
    # until the process runs: imports make many objects, nearly all of which stay, and to look through them
    # again and again takes up to a tenth of the start
    gc.disable()
    if len(arguments) > 2:
        end_with_parent(int(arguments[2]))  # before the slow imports, during which the parent may be killed
    from gesture_maze.wire.errors import MazeError
    from gesture_maze.worker.health import PortInUseError
    from gesture_maze.worker.identity import worker_id
    from gesture_maze.worker.library_logs import route_libraries
    from gesture_maze.worker.process import WorkerProcess
    from gesture_maze.worker.settings import Settings
    from gesture_maze.worker.supervisor import PORT_IN_USE_EXIT

    try:
        settings = Settings.of(**json.loads(_settings_json(arguments))) if arguments else Settings()
        worker = arguments[1] if len(arguments) > 1 else worker_id()
        process = WorkerProcess(settings, worker, supervised=True)
        route_libraries(process.log)
        process.run()
    except PortInUseError as error:
        sys.stderr.write(f"worker: {error}\n")
        return PORT_IN_USE_EXIT
    except MazeError as error:
        sys.stderr.write(f"worker: {error}\n")
        return 2
    return 0


def _settings_json(arguments: list[str]) -> str:
    return sys.stdin.read() if arguments[0] == "-" else arguments[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
