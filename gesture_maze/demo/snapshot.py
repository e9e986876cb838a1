"""What a demo is told, what it looks like at one moment, and what it came to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from gesture_maze.demo.players import Players, Score
from gesture_maze.load.latencies import Counts
from gesture_maze.load.traffic import Account
from gesture_maze.worker.redis.status import PoolStatus

LOOK_S: Final = 0.25
"""Between two looks."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What `maze demo` is told; see its flags. `seconds` 0: until Ctrl-C."""

    redis: str
    players: int
    workers: int
    seconds: float
    side: int
    seed: int
    kill_after_s: float | None
    watch: bool = False
    """Run a gateway beside the demo, whose page shows it."""
    open_browser: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """The demo at one moment.

    Attributes:
        elapsed_s: since the players began.
        pool: the pool's status; the last one known while Redis is away.
        latencies: all counted so far, (BUCKETS,) as of now; so are `gestures` and `account` numbers.
        events: what happened, oldest first: (seconds since the beginning, sentence).
        url: the Redis that is used.
        log: the workers' log.
        watch: address of the page that shows it; None without.
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


class View(Protocol):
    """Shows the demo while it runs."""

    def show(self, look: Look) -> None:
        """Show this moment."""


@dataclass(slots=True)
class Summary:
    """What the demo came to. Frames, unless a name says otherwise.

    Attributes:
        lost: accepted, and neither was a reply heard nor another outcome counted.
        unknown: sent over a connection that was lost, so that nobody knows.
        outcomes: counted by the pool while the demo ran; `trimmed` counts entries.
        sum_holds: the sum over all outcomes, of each partition.
        takeover_ms: from the demo's own kill to the last partition's new owner; None where it killed nobody.
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
    sum_holds: bool
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
        """As `--json` prints it."""
        return asdict(self)
