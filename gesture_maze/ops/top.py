"""The live view of a pool, from Redis and the metrics of its workers.

A `Reading` holds both at one moment. The view shows the newest one, and rates since the oldest one kept.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Group, JustifyMethod, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gesture_maze.ops.reach import MetricsPage
from gesture_maze.wire.printable import amount, printable
from gesture_maze.worker.redis.status import PartitionStatus, PoolStatus

WINDOW: Final = 5
"""Readings kept: at one a second, rates are those of the last four seconds."""
SHEDS: Final = ("stale", "superseded", "trimmed")
QUIET_MS: Final = 3000
MOST_GESTURES: Final = 8
BAR_WIDTH: Final = 24
FIXED_LINES: Final = 13
"""Lines of the view apart from workers and partitions."""

_BUCKETS: Final = ("maze_reply_latency_seconds_bucket", "le")
_GESTURES: Final = ("predicted_gesture_count_total", "gesture")
"""Metric and the label that separates its series."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The pool at one moment.

    Attributes:
        at_s: monotonic seconds.
        status: of the pool, from Redis.
        pages: metrics by worker id, of the workers that could be reached.
    """

    at_s: float
    status: PoolStatus
    pages: Mapping[str, MetricsPage]


class Window:
    """The last readings, and rates over them."""

    def __init__(self) -> None:
        self._readings: Final = deque[Reading](maxlen=WINDOW)

    def add(self, reading: Reading) -> None:
        """Add the newest reading."""
        self._readings.append(reading)

    @property
    def last(self) -> Reading:
        """The newest reading."""
        return self._readings[-1]

    @property
    def passed_s(self) -> float:
        """Seconds from the oldest reading to the newest."""
        return max(self.last.at_s - self._readings[0].at_s, 1e-9)

    def outcomes_per_s(self) -> dict[str, float]:
        """Return frames per second by outcome."""
        before = self._readings[0].status.outcomes
        after = self.last.status.outcomes
        return {name: (count - before[name]) / self.passed_s for name, count in after.items()}

    def entries_per_s(self, partition: int) -> float:
        """Return the entries per second that arrive at a partition."""
        first = self._readings[0].status.partitions
        before = first[partition].added if partition < len(first) else 0
        return (self.last.status.partitions[partition].added - before) / self.passed_s

    def worker_per_s(self, worker: str, metric: str) -> float | None:
        """Return the rate of a counter of one worker, or None if either reading lacks its metrics."""
        first, last = self._readings[0].pages.get(worker), self.last.pages.get(worker)
        if first is None or last is None:
            return None
        return (last.total(metric) - first.total(metric)) / self.passed_s

    def latency_s(self, q: float) -> float | None:
        """Return an upper bound of the q-quantile (0 to 1) of the latency of the window's replies.

        The bound is the upper limit of the histogram's bucket, infinite for the last one. None without
        replies.
        """
        counts = self._delta(*_BUCKETS)
        bounds = sorted(counts, key=float)
        most = counts[bounds[-1]] if bounds else 0
        if most <= 0:
            return None
        return float(next(bound for bound in bounds if counts[bound] >= q * most))

    def gestures(self) -> list[tuple[str, float]]:
        """Return the gestures shown in the window and their shares, largest first."""
        counts = self._delta(*_GESTURES)
        most = sum(counts.values()) or 1.0
        return sorted(((name, n / most) for name, n in counts.items() if n > 0), key=lambda one: -one[1])

    def _delta(self, metric: str, label: str) -> dict[str, float]:
        first, last = self._readings[0].pages, self.last.pages
        counts: dict[str, float] = {}
        for worker in first.keys() & last.keys():
            for sign, page in ((1, last[worker]), (-1, first[worker])):
                for name, value in page.by_label(metric, label).items():
                    counts[name] = counts.get(name, 0.0) + sign * value
        return counts


def as_dict(window: Window) -> dict[str, Any]:
    """Return the window as `--json` prints it; latencies are upper bounds, None without replies."""
    status = window.last.status
    return {
        "seconds": round(window.passed_s, 3),
        "frames_per_s": {name: round(rate, 3) for name, rate in window.outcomes_per_s().items()},
        "latency_p50_s": window.latency_s(0.5),
        "latency_p99_s": window.latency_s(0.99),
        "gestures": dict(window.gestures()),
        "lag": status.lag,
        "dead": status.dead,
        "models": list(status.models),
        "all_accounted_for": status.all_accounted_for,
        "workers": {
            one.worker: {
                "partitions": list(one.partitions),
                "frames_per_s": window.worker_per_s(one.worker, "maze_frames_total"),
                "cores": window.worker_per_s(one.worker, "process_cpu_seconds_total"),
            }
            for one in status.workers
        },
    }


def render(window: Window, height: int, where: str) -> RenderableType:
    """Return the view for a terminal of `height` lines; `where` is the address shown, without password."""
    status = window.last.status
    if not status.partitions:
        return Panel(f"No pool has used {where} yet: start one with 'maze worker'.", title="maze top")
    left = max(height - FIXED_LINES, 4)
    workers = min(len(status.workers), max(left // 3, 2))
    top = Table.grid(padding=(0, 4))
    top.add_row(_numbers(window), _gestures(window))
    parts: list[RenderableType] = [
        top,
        Text(),
        _workers(window, workers),
        Text(),
        _partitions(window, max(left - workers, 2)),
    ]
    return Panel(Group(*parts), title=f"[bold]maze top[/bold]  {where}", title_align="left")


def _numbers(window: Window) -> Table:
    status, rates = window.last.status, window.outcomes_per_s()
    shed = sum(rates[name] for name in SHEDS)
    waits = [status.server_ms - one.waits_since_ms for one in status.partitions if one.waits_since_ms]
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_row("answered", f"[bold]{rates['answered']:,.0f}[/bold] /s")
    table.add_row("latency", f"p50 {_ms(window.latency_s(0.5))}  p99 {_ms(window.latency_s(0.99))}")
    table.add_row(
        "lag", f"{amount(status.lag, 'entry', 'entries')}, oldest {max(waits, default=0) / 1000:.1f} s"
    )
    bad = rates["rejected"] + rates["buried"]
    table.add_row("shed", f"{_red(shed)} /s   bad {_red(bad)} /s   dead letters {status.dead:,}")
    table.add_row("model", _text(", ".join(status.models) or "-"))
    verdict = (
        "[green]ok[/green]" if status.all_accounted_for else "[red]error: frames lost or counted twice[/red]"
    )
    table.add_row("accounting", f"{verdict}   {amount(status.frames, 'frame')}")
    return table


def _gestures(window: Window) -> Table:
    table = Table.grid(padding=(0, 1))
    for name, share in window.gestures()[:MOST_GESTURES]:
        table.add_row(_text(name), f"[cyan]{'█' * max(round(share * BAR_WIDTH), 1)}[/cyan]", f"{share:.0%}")
    return table


def _workers(window: Window, most: int) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for column in ("#", "worker", "pid", "owns", "frames/s", "core", "beat"):
        whole = column in ("#", "pid")
        side: JustifyMethod = "left" if column in ("#", "worker") else "right"
        table.add_column(column, justify=side, no_wrap=whole, overflow="fold")
    status = window.last.status
    for number, one in enumerate(status.workers[:most], 1):
        frames = window.worker_per_s(one.worker, "maze_frames_total")
        busy = window.worker_per_s(one.worker, "process_cpu_seconds_total")
        age = f"{one.silent_ms / 1000:.1f} s"
        table.add_row(
            f"#{number}",
            _text(one.worker),
            str(one.pid),
            str(len(one.partitions)),
            "?" if frames is None else f"{frames:,.0f}",
            "?" if busy is None else f"{busy:.0%}",
            f"[red]{age}[/red]" if one.silent_ms > QUIET_MS else age,
        )
    if len(status.workers) > most:
        table.add_row("", f"[dim]and {len(status.workers) - most} more[/dim]")
    return table


def _text(value: str) -> Text:
    """Return text without markup, because names come from other programs."""
    return Text(printable(value))


def _partitions(window: Window, lines: int) -> Table:
    """Return as many partitions as fit, in columns; those with the largest lag if not all fit."""
    status = window.last.status
    shown = list(status.partitions)
    columns = min(-(-len(shown) // lines), 3)
    if len(shown) > columns * lines:
        shown = sorted(shown, key=lambda one: -one.lag)[: columns * lines]
    per_column = -(-len(shown) // columns)
    grid = Table.grid(padding=(0, 4))
    tables = [_column(window, shown[at : at + per_column]) for at in range(0, len(shown), per_column)]
    grid.add_row(*tables)
    return grid


def _column(window: Window, shown: Sequence[PartitionStatus]) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for name in ("p", "owner", "in/s", "lag"):
        table.add_column(name, justify="left" if name == "owner" else "right")
    numbers = {worker.worker: f"#{number}" for number, worker in enumerate(window.last.status.workers, 1)}
    for one in shown:
        owner = _text(numbers.get(one.owner, one.owner)) if one.owner else "[red]none[/red]"
        table.add_row(
            str(one.partition), owner, f"{window.entries_per_s(one.partition):,.0f}", f"{one.lag:,}"
        )
    return table


def _ms(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"≤{seconds * 1000:g} ms" if math.isfinite(seconds) else "above all buckets"


def _red(rate: float) -> str:
    return f"[red]{rate:,.1f}[/red]" if rate > 0 else "0"
