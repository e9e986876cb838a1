"""`maze top`: the pool on a terminal, live."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gesture_maze.cli.options import DEFAULT_REDIS, AsJson, RedisUrl
from gesture_maze.cli.printing import print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rich.console import Console, RenderableType

Opt = typer.Option
PIPE_WIDTH: Final = 160
"""Characters of a line in a pipe without COLUMNS, wide enough for whole worker names."""


def top(
    redis: RedisUrl = DEFAULT_REDIS,
    every_s: Annotated[float, Opt(min=0.2, help="Seconds between readings.")] = 1.0,
    once: Annotated[bool, Opt("--once", help="Print the table once, after two readings, and exit.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show workers, partitions, rates, latency, gestures and shed frames, live, until Ctrl-C.

    Reads only: three round trips and one page per worker at each reading. Redis and workers may come and go
    meanwhile. In a pipe it prints the table once, as with --once.

    Example: [bold]maze top --redis redis://127.0.0.1:6379/0[/bold]
    """
    from rich.console import Console

    from gesture_maze.ops.reach import metrics_pages
    from gesture_maze.ops.top import Reading, Window, as_dict, render
    from gesture_maze.producer.address import without_password
    from gesture_maze.worker.redis.attach import attached
    from gesture_maze.worker.redis.status import StatusReader

    console, window, where = Console(), Window(), without_password(redis)
    if not console.is_terminal:
        console = Console(width=pipe_width(os.environ))
    with attached(redis) as client:
        reader = StatusReader(client)

        def take() -> None:
            status = reader.read()
            window.add(Reading(time.monotonic(), status, metrics_pages(status)))

        take()
        if sys.stdout.isatty() and not (once or as_json):
            _follow(
                console, take, lambda trouble: render(window, console.size.height, where + trouble), every_s
            )
            return
        time.sleep(every_s)
        take()
        if as_json:
            print_json(as_dict(window))
        else:
            console.print(render(window, 1000, where))


def pipe_width(environment: Mapping[str, str]) -> int:
    """Return the characters of a line in a pipe: COLUMNS, else `PIPE_WIDTH`."""
    columns = environment.get("COLUMNS", "")
    return (int(columns) if columns.isdecimal() else 0) or PIPE_WIDTH


def _follow(
    console: Console, take: Callable[[], None], picture: Callable[[str], RenderableType], every_s: float
) -> None:
    """Read and show until Ctrl-C, on the terminal's alternate screen, which is left at the end."""
    from rich.live import Live
    from rich.markup import escape

    from gesture_maze.load.stopping import stop_signals
    from gesture_maze.wire.errors import MazeError
    from gesture_maze.wire.printable import printable

    with stop_signals() as stop, Live(console=console, screen=True, auto_refresh=False) as live:
        while not stop.wait(every_s):
            trouble = ""
            try:
                take()
            except MazeError as error:
                trouble = f"  [red]{escape(printable(str(error)))}[/red]"
            live.update(picture(trouble), refresh=True)
