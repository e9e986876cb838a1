"""`maze gateway`: the game server between browsers and Redis."""

from __future__ import annotations

from gesture_maze.cli.declared import options_from
from gesture_maze.embedded.server import redis_at
from gesture_maze.gateway.settings import Settings


@options_from(Settings)
def gateway(settings: Settings) -> None:
    """Serve the game: the page /game, its sockets, and POST /predict; until SIGTERM or Ctrl-C.

    It needs workers on the same Redis: see [bold]maze worker[/bold]. Exit codes: 0, 2 wrong settings.

    Example: [bold]maze gateway --redis redis://127.0.0.1:6379/0 --port 8000[/bold]
    """
    from gesture_maze.gateway.server import run

    with redis_at(settings.redis) as url:
        run(settings.model_copy(update={"redis": url}))
