"""`maze worker`: one worker process, or a pool of them."""

from __future__ import annotations

import typer

from gesture_maze.cli.declared import options_from
from gesture_maze.embedded.server import redis_at
from gesture_maze.worker.settings import PoolSettings


@options_from(PoolSettings)
def worker(settings: PoolSettings) -> None:
    """Read frames, classify them and publish each session's moves, until SIGTERM or Ctrl-C; then drain.

    Workers that share a Redis share its partitions. A second signal stops without draining.
    Exit codes: 0 drained, 1 a process did not drain in time, 2 wrong settings or model.

    Example: [bold]maze worker --redis redis://127.0.0.1:6379/0 --processes 2[/bold]
    """
    with redis_at(settings.redis) as url:
        run(settings.model_copy(update={"redis": url}))


def run(settings: PoolSettings) -> None:
    """Run one worker process, or a supervised pool if there are several.

    Raises:
        SettingsError, ModelError: nothing was started.
        typer.Exit: with the pool's exit code if it is not 0.
    """
    if settings.processes > 1 or settings.supervise:
        from gesture_maze.worker.logs import open_log
        from gesture_maze.worker.supervisor import Supervisor

        code = Supervisor(settings, open_log(settings, worker="supervisor")).run()
        if code:
            raise typer.Exit(code)
    else:
        from gesture_maze.worker.identity import worker_id
        from gesture_maze.worker.library_logs import route_libraries
        from gesture_maze.worker.process import WorkerProcess

        process = WorkerProcess(settings.of_process(0), worker_id())
        route_libraries(process.log)
        process.run()
