"""The demo on a terminal: a live table, or a plain line a second where there is none."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gesture_maze.demo.players import Player
from gesture_maze.demo.snapshot import LOOK_S, Look, Summary
from gesture_maze.embedded.server import EMBEDDED
from gesture_maze.game.mazes import draw
from gesture_maze.load.latencies import quantile_ms
from gesture_maze.producer.address import without_password
from gesture_maze.wire.gestures import DEFAULT_ACTIONS

WINDOW_S: Final = 3.0
"""Rates and quantiles of the live table are of this much of the past."""
MOST_EVENTS: Final = 4
MOST_GESTURES: Final = 6
FIXED_LINES: Final = 17
"""Of the picture, without workers, gestures and events: they get what the terminal has left."""
MOST_MAZES: Final = 4
BAR_WIDTH: Final = 18
ARROWS: Final = {"up": "↑", "down": "↓", "left": "←", "right": "→"}


class Window:
    """The last looks, so that rates and quantiles can be of the recent past."""

    def __init__(self) -> None:
        self._looks: Final = deque[Look](maxlen=round(WINDOW_S / LOOK_S) + 1)

    def add(self, look: Look) -> None:
        """The newest look."""
        self._looks.append(look)

    @property
    def frames_per_s(self) -> float:
        """Frames accepted per second."""
        first, last = self._looks[0], self._looks[-1]
        if first is last:
            return last.accepted / max(last.elapsed_s, 1e-9)
        return (last.accepted - first.accepted) / (last.elapsed_s - first.elapsed_s)

    def quantile_ms(self, q: float) -> float | None:
        """Of the latencies; None without any."""
        first, last = self._looks[0], self._looks[-1]
        return quantile_ms(last.latencies if first is last else last.latencies - first.latencies, q)

    @property
    def gestures(self) -> list[tuple[str, float]]:
        """Gestures seen and their share of the replies, largest first."""
        first, last = self._looks[0], self._looks[-1]
        before = {} if first is last else first.gestures
        counts = {name: count - before.get(name, 0) for name, count in last.gestures.items()}
        total = sum(counts.values()) or 1
        return sorted(((name, n / total) for name, n in counts.items()), key=lambda one: -one[1])


class PlainView:
    """A line each second, for logs and pipes."""

    def __init__(self, write: Callable[[str], Any]) -> None:
        self._write: Final = write
        self._window: Final = Window()
        self._next_s = 0.0
        self._told = 0

    def show(self, look: Look) -> None:
        """See `demo.run.View`."""
        self._window.add(look)
        for at_s, sentence in look.events[self._told :]:
            self._write(f"{at_s:5.1f} s  {sentence}")
        self._told = len(look.events)
        if look.elapsed_s >= self._next_s:
            self._next_s = look.elapsed_s // 1 + 1
            self._write(plain_line(look, self._window))


def plain_line(look: Look, window: Window) -> str:
    """The demo's state in one line."""
    score = look.score
    owners = " ".join(f"{one.pid}:{len(one.partitions)}" for one in look.pool.workers)
    return (
        f"{look.elapsed_s:5.1f} s  {window.frames_per_s:,.0f} frames/s  "
        f"p50 {_ms(window.quantile_ms(0.5))}  p99 {_ms(window.quantile_ms(0.99))}  "
        f"moves {score.moves} (wrong {score.wrong}, bumped {score.bumped})  solved {score.solved}  "
        f"lag {look.pool.lag}  owners {owners}  takeovers {look.takeovers}"
    )


class LiveView:
    """The live table. Use as a context manager, so that the terminal is left as it was."""

    def __init__(self, console: Console) -> None:
        self._window: Final = Window()
        self._console: Final = console
        # a screen of its own, because the ^C that the terminal echoes would shift a picture among other lines
        self._live: Final = Live(console=console, auto_refresh=False, screen=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, look: Look) -> None:
        """See `demo.run.View`."""
        self._window.add(look)
        width, height = self._console.size
        self._live.update(render(look, self._window, width, height), refresh=True)


def render(look: Look, window: Window, width: int, height: int) -> RenderableType:
    """The whole picture, for a terminal of so many columns and lines."""
    left_lines = max(height - FIXED_LINES - len(look.pool.workers), 2)
    events = min(MOST_EVENTS, left_lines // 3)
    of = f" of {look.options.seconds:.0f}" if look.options.seconds else ""
    title = (
        f"[bold]gesture-maze[/bold]  {look.options.players} players, {look.options.workers} workers, "
        f"{look.elapsed_s:.0f}{of} s"
    )
    gestures = _gestures(window, min(MOST_GESTURES, left_lines - events))
    left = Group(_numbers(look, window), Text(), gestures)
    grid = Table.grid(padding=(0, 3))
    mazes = _mazes(look, width - 50)
    grid.add_row(left, *mazes)
    return Panel(
        Group(grid, Text(), _workers(look), Text(), _events(look, events)), title=title, title_align="left"
    )


def _numbers(look: Look, window: Window) -> Table:
    score, pool = look.score, look.pool
    shed = sum(pool.outcomes[name] for name in ("stale", "superseded", "trimmed"))
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_column(style="dim")
    table.add_row("frames", f"[bold]{window.frames_per_s:,.0f}[/bold] /s", f"{look.accepted:,} in all")
    p50, p99 = _ms(window.quantile_ms(0.5)), _ms(window.quantile_ms(0.99))
    table.add_row("latency", f"[bold]{p50}[/bold]", f"p50, p99 {p99}")
    table.add_row("lag", f"{pool.lag:,}", "entries")
    table.add_row("moves", f"[bold]{score.moves:,}[/bold]", f"{score.wrong} wrong, {score.bumped} bumped")
    table.add_row("mazes solved", f"[bold green]{score.solved:,}[/bold green]", "")
    table.add_row("shed", f"{shed:,}", "frames")
    table.add_row("takeovers", f"{look.takeovers}", "partitions")
    table.add_row("sum", "[green]holds[/green]" if pool.sum_holds else "[red]does not hold[/red]", "")
    return table


def _gestures(window: Window, most: int) -> Table:
    table = Table.grid(padding=(0, 1))
    for name, share in window.gestures[:most]:
        action = DEFAULT_ACTIONS.get(name)
        arrow = ARROWS[action] if action else " "
        table.add_row(f"{arrow} {name}", f"[cyan]{'█' * round(share * BAR_WIDTH)}[/cyan]", f"{share:.0%}")
    return table


def _mazes(look: Look, width: int) -> list[RenderableType]:
    """As many players' mazes as there is room for."""
    cell_columns = look.players.all[0].maze.width * 4 + 4
    shown = min(max(width // cell_columns, 0), MOST_MAZES, len(look.players.all))
    return [_maze(number, player) for number, player in enumerate(look.players.all[:shown])]


def _maze(number: int, player: Player) -> RenderableType:
    # the other thread may be moving the token: a copy of the trail, and one look at the cell
    picture = Text(draw(player.maze, player.cell, set(player.trail)))
    picture.highlight_regex("●", "bold yellow")
    picture.highlight_regex("★", "bold green")
    picture.highlight_regex("[·]", "yellow")
    wants = player.wants
    shows = f"{ARROWS[wants]} {wants}" if wants else ""
    return Group(picture, Text(f"player {number + 1}: {shows}, {player.solved} solved", style="dim"))


def _workers(look: Look) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for column in ("worker", "pid", "partitions", "owns", "heartbeat"):
        table.add_column(column, justify="right" if column in ("pid", "partitions") else "left")
    for one in look.pool.workers:
        owned = set(one.partitions)
        cells = "".join("■" if p.partition in owned else "·" for p in look.pool.partitions)
        table.add_row(
            one.worker,
            f"[bold]{one.pid}[/bold]",
            str(len(owned)),
            f"[cyan]{cells}[/cyan]",
            f"{one.silent_ms / 1000:.1f} s ago",
        )
    return table


def _events(look: Look, most: int) -> Text:
    lines = [
        f"{at_s:6.1f} s  {sentence}" for at_s, sentence in look.events[max(len(look.events) - most, 0) :]
    ]
    # on a shared Redis a worker may belong to another pool
    own = look.pool.workers if look.options.redis == EMBEDDED else ()
    kill = next((f"kill -9 {one.pid}; " for one in own), "")
    hint = f"Try: {kill}maze status --redis {without_password(look.url)}"
    watch = f"Watch: {look.watch}   " if look.watch else ""
    return Text("\n".join([*lines, hint, f"{watch}Worker log: {look.log}"]), style="dim")


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"


def summary_lines(summary: Summary) -> list[str]:
    """The summary for a person."""
    outcomes = ", ".join(f"{name} {count:,}" for name, count in summary.outcomes.items())
    takeover = "" if summary.takeover_ms is None else f", the last {summary.takeover_ms} ms after the kill"
    unknown = f", {summary.unknown} of unknown fate" if summary.unknown else ""
    refused = f", {sum(summary.refused.values()):,} refused" if summary.refused else ""
    return [
        f"{summary.players} players, {summary.workers} workers, {summary.seconds:.1f} s, "
        f"model {', '.join(summary.models)}",
        f"mazes solved  {summary.mazes_solved:,}",
        f"moves         {summary.moves:,} ({summary.wrong_moves} wrong, {summary.bumps} bumped)",
        f"frames        {summary.sent:,} sent ({summary.frames_per_s:,.0f}/s), "
        f"{summary.answered:,} answered{refused}{unknown}",
        f"lost          {summary.lost} of {summary.sent:,}",
        f"outcomes      {outcomes}",
        f"latency       p50 {_ms(summary.latency_p50_ms)}, p99 {_ms(summary.latency_p99_ms)}, "
        f"p99.9 {_ms(summary.latency_p999_ms)}",
        f"takeovers     {summary.takeovers} partitions{takeover}",
        f"the sum       {'holds' if summary.sum_holds else 'DOES NOT HOLD'}",
        f"worker log    {summary.log}",
    ]


def to_stderr(line: str) -> None:
    """Write a line at once."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
