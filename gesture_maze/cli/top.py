"""`maze top`: the pool on a terminal, live."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from gesture_maze.cli.options import DEFAULT_REDIS, AsJson, RedisUrl
from gesture_maze.cli.printing import print_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console, RenderableType

Opt = typer.Option


def top(
    redis: RedisUrl = DEFAULT_REDIS,
    every_s: Annotated[float, Opt(min=0.2, help="Seconds between looks.")] = 1.0,
    once: Annotated[bool, Opt("--once", help="Print one picture after two looks, and end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Watch workers, partitions, rates, latency, gestures and sheds, until Ctrl-C.

    Reads only; three round trips and one page per worker at each look. Redis and workers may come and go
    meanwhile. Where the output is no terminal it prints one picture, as with --once.

    Example: [bold]maze top --redis redis://127.0.0.1:6379/0[/bold]
    """
    from rich.console import Console

    from gesture_maze.ops.reach import metrics_pages
    from gesture_maze.ops.top import Look, Window, as_dict, render
    from gesture_maze.producer.address import without_password
    from gesture_maze.worker.redis.attach import attached
    from gesture_maze.worker.redis.status import StatusReader

    console, window, where = Console(), Window(), without_password(redis)
    with attached(redis) as client:
        reader = StatusReader(client)

        def look() -> None:
            status = reader.read()
            window.add(Look(time.monotonic(), status, metrics_pages(status)))

        look()
        if sys.stdout.isatty() and not (once or as_json):
            _follow(
                console, look, lambda trouble: render(window, console.size.height, where + trouble), every_s
            )
            return
        time.sleep(every_s)
        look()
        if as_json:
            print_json(as_dict(window))
        else:
            console.print(render(window, 1000, where))


def _follow(
    console: Console, look: Callable[[], None], picture: Callable[[str], RenderableType], every_s: float
) -> None:
    """Look and show, until Ctrl-C, on a screen of its own, given back however this ends but by SIGKILL."""
    from rich.live import Live

    from gesture_maze.load.stopping import stop_signals
    from gesture_maze.wire.errors import ConnectionLost

    with stop_signals() as stop, Live(console=console, screen=True, auto_refresh=False) as live:
        while not stop.wait(every_s):
            trouble = ""
            try:
                look()
            except ConnectionLost as error:
                trouble = f"  [red]{error}[/red]"
            live.update(picture(trouble), refresh=True)
