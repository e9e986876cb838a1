"""The demo's options, its state at one moment, and its summary."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from gesture_maze.demo.players import Players, Score
from gesture_maze.load.latencies import Counts
from gesture_maze.load.traffic import Account
from gesture_maze.worker.redis.cluster.placement import Primary
from gesture_maze.worker.redis.status import PoolStatus

LOOK_S: Final = 0.25
"""Interval between two looks."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """The options of `maze demo`, see its flags. With `seconds` 0 it runs until Ctrl-C."""

    redis: str
    players: int
    workers: int
    seconds: float
    side: int
    seed: int
    kill_after_s: float | None
    watch: bool = False
    """Run a gateway whose page shows the demo."""
    open_browser: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """The demo at one moment.

    Attributes:
        elapsed_s: time since the players began.
        pool: the pool's status; while Redis is unavailable, the last known one.
        latencies: counts of all latencies so far, (BUCKETS,); `gestures` and `account` count from the start
            too.
        events: events, oldest first: (seconds since the start, sentence).
        url: address of Redis.
        log: the workers' log.
        watch: address of the page that shows the demo; None without a gateway.
        primaries: of a cluster; empty for a single Redis.
    """

    elapsed_s: float
    options: DemoOptions
    pool: PoolStatus
    account: Account
    accepted: int
    latencies: Counts
    gestures: dict[str, int]
    score: Score
    players: Players
    takeovers: int
    events: tuple[tuple[float, str], ...]
    url: str
    log: Path
    watch: str | None = None
    primaries: tuple[Primary, ...] = ()


class View(Protocol):
    """Shows the demo while it runs."""

    def show(self, look: Look) -> None:
        """Show this moment."""


@dataclass(slots=True)
class Summary:
    """The result of the demo. Numbers are frames unless the name says otherwise.

    Attributes:
        lost: accepted frames without a reply and without another outcome.
        unknown: frames sent over a connection that was lost, so that their fate is unknown.
        outcomes: outcomes counted by the pool while the demo ran; `trimmed` counts entries.
        all_accounted_for: whether all frames are accounted for, in every partition.
        takeover_ms: time from the demo's kill until the last partition had a new owner; None without a kill.
    """

    seconds: float
    players: int
    workers: int
    seed: int
    sent: int
    answered: int
    lost: int
    unknown: int
    refused: dict[str, int]
    outcomes: dict[str, int]
    all_accounted_for: bool
    mazes_solved: int
    moves: int
    wrong_moves: int
    bumps: int
    frames_per_s: float
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    latency_p999_ms: float | None
    takeovers: int
    takeover_ms: int | None
    models: list[str]
    log: str

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as `--json` prints it."""
        return asdict(self)
