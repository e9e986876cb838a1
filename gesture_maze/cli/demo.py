"""`maze demo`: everything at once, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gesture_maze.cli.options import AsJson
from gesture_maze.cli.printing import print_json, print_line
from gesture_maze.embedded.server import EMBEDDED

if TYPE_CHECKING:
    from gesture_maze.demo.snapshot import DemoOptions, Summary

Opt = typer.Option
MOST_PLAYERS: Final = 2000
"""Most players: one process draws all hands and reads all replies, and with more it would measure itself."""


def demo(
    redis: Annotated[
        str,
        Opt(
            metavar="URL",
            show_default=False,
            help="Where the frames go; embedded-cluster: its own cluster. (default: its own server)",
        ),
    ] = EMBEDDED,
    players: Annotated[int, Opt(min=1, max=MOST_PLAYERS, help="Simulated players.")] = 50,
    workers: Annotated[int, Opt(min=1, max=64, help="Worker processes.")] = 2,
    seconds: Annotated[float, Opt(min=0, help="How long to play; 0 = until Ctrl-C.")] = 20,
    side: Annotated[int, Opt(min=2, max=40, help="Cells along the longer side of a maze.")] = 6,
    seed: Annotated[int, Opt(help="Seed of the mazes and hands.")] = 1,
    kill_after: Annotated[float | None, Opt(min=0, help="Kill a worker after this many seconds.")] = None,
    log: Annotated[Path | None, Opt(help="Where the workers' log goes. (default: a new file)")] = None,
    watch: Annotated[
        bool | None,
        Opt("--watch/--no-watch", help="Also show the mazes on a page. (default: yes, without --json)"),
    ] = None,
    open_browser: Annotated[bool, Opt("--open", help="Open that page in the browser.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start a server, workers and players who walk mazes by gestures; show them live, and print a summary.

    Kill a worker while it runs (the table shows the pids): another one takes over, and the game
    continues. Exit codes: 0, or 1 if not all frames are accounted for.

    Example: [bold]maze demo --seconds 20 --players 50 --kill-after 8[/bold]
    """
    from gesture_maze.demo.snapshot import DemoOptions
    from gesture_maze.demo.view import summary_lines

    shown = open_browser or (not as_json if watch is None else watch)
    options = DemoOptions(redis, players, workers, seconds, side, seed, kill_after, shown, open_browser)
    summary = _play(options, log, as_json)
    if as_json:
        print_json(summary.as_dict())
    else:
        for line in summary_lines(summary):
            print_line(line)
    if summary.lost or not summary.all_accounted_for:
        raise typer.Exit(1)


def _play(options: DemoOptions, log: Path | None, as_json: bool) -> Summary:
    """Play with a live table on a terminal, else with plain lines; `--json` keeps stdout for itself."""
    from rich.console import Console

    from gesture_maze.demo.run import play
    from gesture_maze.demo.view import LiveView, PlainView, to_stderr

    console = Console(stderr=as_json)
    if not console.is_terminal:
        return play(options, PlainView(to_stderr if as_json else print_line), log)
    with LiveView(console) as view:
        return play(options, view, log)
