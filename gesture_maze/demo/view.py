"""The demo on a terminal: a live table, or one line per second if standard output is not a terminal."""

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
from gesture_maze.embedded.server import EMBEDDED, EMBEDDED_CLUSTER
from gesture_maze.game.mazes import draw
from gesture_maze.load.latencies import quantile_ms
from gesture_maze.producer.address import without_password
from gesture_maze.wire.gestures import DEFAULT_ACTIONS
from gesture_maze.wire.printable import amount

WINDOW_S: Final = 3.0
"""Time window of the rates and quantiles in the live table."""
MOST_EVENTS: Final = 4
MOST_GESTURES: Final = 6
FIXED_LINES: Final = 17
"""Lines of the table without workers, gestures and events, which share the remaining lines."""
MOST_MAZES: Final = 4
BAR_WIDTH: Final = 18
ARROWS: Final = {"up": "↑", "down": "↓", "left": "←", "right": "→"}


class Window:
    """The latest looks, from which rates and quantiles of the recent past are computed."""

    def __init__(self) -> None:
        self._looks: Final = deque[Look](maxlen=round(WINDOW_S / LOOK_S) + 1)

    def add(self, look: Look) -> None:
        """Add the newest look."""
        self._looks.append(look)

    @property
    def frames_per_s(self) -> float:
        """Frames accepted per second."""
        first, last = self._looks[0], self._looks[-1]
        if first is last:
            return last.accepted / max(last.elapsed_s, 1e-9)
        return (last.accepted - first.accepted) / (last.elapsed_s - first.elapsed_s)

    def quantile_ms(self, q: float) -> float | None:
        """Return the q-quantile of the latencies in ms, or None without any."""
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
    """A view that writes one line per second, for logs and pipes."""

    def __init__(self, write: Callable[[str], Any]) -> None:
        self._write: Final = write
        self._window: Final = Window()
        self._next_s = 0.0
        self._shown_events = 0

    def show(self, look: Look) -> None:
        """Show this moment."""
        self._window.add(look)
        for at_s, sentence in look.events[self._shown_events :]:
            self._write(f"{at_s:5.1f} s  {sentence}")
        self._shown_events = len(look.events)
        if look.elapsed_s >= self._next_s:
            self._next_s = look.elapsed_s // 1 + 1
            self._write(plain_line(look, self._window))


def plain_line(look: Look, window: Window) -> str:
    """Return the demo's state as one line."""
    score = look.score
    owners = " ".join(f"{one.pid}:{len(one.partitions)}" for one in look.pool.workers)
    primaries = "".join(f" {one.address}:{len(one.partitions)}" for one in look.primaries)
    return (
        f"{look.elapsed_s:5.1f} s  {window.frames_per_s:,.0f} frames/s  "
        f"p50 {_ms(window.quantile_ms(0.5))}  p99 {_ms(window.quantile_ms(0.99))}  "
        f"moves {score.moves} (wrong {score.wrong}, bumped {score.bumped})  solved {score.solved}  "
        f"lag {look.pool.lag}  owners {owners}  takeovers {look.takeovers}"
        f"{'  primaries' if primaries else ''}{primaries}"
    )


class LiveView:
    """A live table. Use it as a context manager, which restores the terminal."""

    def __init__(self, console: Console) -> None:
        self._window: Final = Window()
        self._console: Final = console
        # on the alternate screen, because the ^C that the terminal echoes would shift a table on the main one
        self._live: Final = Live(console=console, auto_refresh=False, screen=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, look: Look) -> None:
        """Show this moment."""
        self._window.add(look)
        width, height = self._console.size
        self._live.update(render(look, self._window, width, height), refresh=True)


def render(look: Look, window: Window, width: int, height: int) -> RenderableType:
    """Return the whole table for a terminal of `width` columns and `height` lines."""
    primary_lines = 2 + len(look.primaries) if look.primaries else 0
    left_lines = max(height - FIXED_LINES - len(look.pool.workers) - primary_lines, 2)
    events = min(MOST_EVENTS, left_lines // 3)
    of = f" of {look.options.seconds:.0f}" if look.options.seconds else ""
    title = (
        f"[bold]gesture-maze[/bold]  {amount(look.options.players, 'player')}, "
        f"{amount(look.options.workers, 'worker')}, "
        f"{look.elapsed_s:.0f}{of} s"
    )
    gestures = _gestures(window, min(MOST_GESTURES, left_lines - events))
    left = Group(_numbers(look, window), Text(), gestures)
    grid = Table.grid(padding=(0, 3))
    mazes = _mazes(look, width - 50)
    grid.add_row(left, *mazes)
    return Panel(
        Group(grid, Text(), _workers(look), *_primaries(look), Text(), _events(look, events)),
        title=title,
        title_align="left",
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
    counts = "[green]ok[/green]" if pool.all_accounted_for else "[red]error[/red]"
    table.add_row("accounting", counts, "" if pool.all_accounted_for else "frames lost or counted twice")
    return table


def _gestures(window: Window, most: int) -> Table:
    table = Table.grid(padding=(0, 1))
    for name, share in window.gestures[:most]:
        action = DEFAULT_ACTIONS.get(name)
        arrow = ARROWS[action] if action else " "
        table.add_row(f"{arrow} {name}", f"[cyan]{'█' * round(share * BAR_WIDTH)}[/cyan]", f"{share:.0%}")
    return table


def _mazes(look: Look, width: int) -> list[RenderableType]:
    """Return the mazes of as many players as fit into `width` columns."""
    cell_columns = look.players.all[0].maze.width * 4 + 4
    shown = min(max(width // cell_columns, 0), MOST_MAZES, len(look.players.all))
    return [_maze(number, player) for number, player in enumerate(look.players.all[:shown])]


def _maze(number: int, player: Player) -> RenderableType:
    # another thread may move the token: copy the trail, and read the cell once
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


def _primaries(look: Look) -> list[RenderableType]:
    """Return the table of a cluster's primaries, nothing for a single Redis."""
    if not look.primaries:
        return []
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for column in ("primary", "partitions", "serves", "entries"):
        table.add_column(column, justify="right" if column in ("partitions", "entries") else "left")
    for one in look.primaries:
        there = set(one.partitions)
        cells = "".join("■" if p.partition in there else "·" for p in look.pool.partitions)
        added = sum(p.added for p in look.pool.partitions if p.partition in there)
        table.add_row(one.address, str(len(there)), f"[magenta]{cells}[/magenta]", f"{added:,}")
    return [Text(), table]


def _events(look: Look, most: int) -> Text:
    lines = [
        f"{at_s:6.1f} s  {sentence}" for at_s, sentence in look.events[max(len(look.events) - most, 0) :]
    ]
    # on a shared Redis a worker may belong to another pool
    own = look.pool.workers if look.options.redis in (EMBEDDED, EMBEDDED_CLUSTER) else ()
    kill = next((f"kill -9 {one.pid}; " for one in own), "")
    hint = f"Try: {kill}maze status --redis {without_password(look.url)}"
    watch = f"Watch: {look.watch}   " if look.watch else ""
    return Text("\n".join([*lines, hint, f"{watch}Worker log: {look.log}"]), style="dim")


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"


def summary_lines(summary: Summary) -> list[str]:
    """Return the summary as lines of text."""
    outcomes = ", ".join(f"{name} {count:,}" for name, count in summary.outcomes.items())
    takeover = "" if summary.takeover_ms is None else f", the last {summary.takeover_ms} ms after the kill"
    unknown = f", {summary.unknown} unknown (connection lost)" if summary.unknown else ""
    refused = f", {sum(summary.refused.values()):,} refused" if summary.refused else ""
    return [
        f"{amount(summary.players, 'player')}, {amount(summary.workers, 'worker')}, {summary.seconds:.1f} s, "
        f"model {', '.join(summary.models)}",
        f"mazes solved  {summary.mazes_solved:,}",
        f"moves         {summary.moves:,} ({summary.wrong_moves} wrong, {summary.bumps} bumped)",
        f"frames        {summary.sent:,} sent ({summary.frames_per_s:,.0f}/s), "
        f"{summary.answered:,} answered{refused}{unknown}",
        f"lost          {summary.lost} of {summary.sent:,}",
        f"outcomes      {outcomes}",
        f"latency       p50 {_ms(summary.latency_p50_ms)}, p99 {_ms(summary.latency_p99_ms)}, "
        f"p99.9 {_ms(summary.latency_p999_ms)}",
        f"takeovers     {amount(summary.takeovers, 'partition')}{takeover}",
        f"accounting    {_accounting(ok=summary.all_accounted_for)}",
        f"worker log    {summary.log}",
    ]


def _accounting(*, ok: bool) -> str:
    return "ok: all frames are accounted for" if ok else "error: frames were lost or counted twice"


def to_stderr(line: str) -> None:
    """Write a line to standard error and flush it."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
