"""How many workers a pool needs: from what arrives, and what a frame costs, as measured.

A worker is one process on one core. What it can serve follows from the processor time that a frame takes it,
which is read off the workers' own metrics; where none can be reached, it is taken from a bench. At low load
batches are small and a frame costs more than it would under pressure: the advice errs towards more workers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import redis

from gesture_maze.ops.reach import metrics_pages, total
from gesture_maze.worker.redis.status import PoolStatus, StatusReader

HEADROOM: Final = 0.6
"""Share of a worker's time that may be planned with; above, waiting times grow steeply (M/D/1: at 0.6 a frame
waits 0.75 service times on average, at 0.9 4.5)."""
SPARE: Final = 1
"""Workers beyond what the load needs: one may die and nobody waits."""
DEFAULT_FRAME_S: Final = 10e-6
"""Of a worker per frame, if none can be asked."""
REDIS_FRAMES_PER_S: Final = 250_000.0
"""What one Redis core has been seen to serve, beside two workers on two cores."""
REDIS_LIMIT: Final = 0.7
PARTITIONS_PER_WORKER: Final = 2
"""With fewer the shares are uneven: of 16 partitions 9 workers get 1 or 2, and some twice the work."""


@dataclass(frozen=True, slots=True)
class Load:
    """What was measured.

    Attributes:
        frames_per_s: frames that arrive.
        lag: entries that wait.
        lag_per_s: by how many entries a second that grows; negative while the pool catches up.
        frame_s: processor seconds of a worker per frame; None where no worker could be asked.
        workers: that live.
        partitions: that there are.
    """

    frames_per_s: float
    lag: int
    lag_per_s: float
    frame_s: float | None
    workers: int
    partitions: int


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do.

    Attributes:
        workers_needed: to run.
        worker_frames_per_s: what one is taken to serve, with headroom.
        utilisation: of the workers there are, 0 to 1 and above; infinite without any.
        sentences: for people, the most urgent first.
    """

    workers_needed: int
    worker_frames_per_s: float
    utilisation: float
    sentences: tuple[str, ...]


def advise(load: Load) -> Advice:
    """Workers needed, and whether more partitions or another Redis are due."""
    cost_s = load.frame_s or DEFAULT_FRAME_S
    capacity = HEADROOM / cost_s
    needed = min(max(math.ceil(load.frames_per_s / capacity), 1) + SPARE, max(load.partitions, 1))
    busy = load.frames_per_s * cost_s / load.workers if load.workers else math.inf
    return Advice(needed, capacity, busy, tuple(_sentences(load, needed, capacity)))


def _sentences(load: Load, needed: int, capacity: float) -> Iterable[str]:
    if not load.workers:
        yield f"No worker lives: start {needed} with 'maze worker --processes {needed}'."
    elif load.workers < needed:
        yield f"Start {needed - load.workers} more workers: {load.workers} live, {needed} are needed."
    elif load.workers > needed:
        yield f"{load.workers - needed} workers may be stopped: {load.workers} live, {needed} are enough."
    else:
        yield f"{load.workers} workers are right."
    if load.lag_per_s > max(1.0, load.frames_per_s * 0.01):
        yield f"The lag of {load.lag:,} entries grows by {load.lag_per_s:,.0f} a second: this is too slow."
    if load.frames_per_s > REDIS_FRAMES_PER_S * REDIS_LIMIT:
        yield (
            f"{load.frames_per_s:,.0f} frames/s are over {REDIS_LIMIT:.0%} of what one Redis serves: send "
            "part of the sessions to a second one, with workers of its own, or more frames "
            "per entry (send_tick)."
        )
    if needed * PARTITIONS_PER_WORKER > load.partitions:
        wanted = 1 << (needed * PARTITIONS_PER_WORKER - 1).bit_length()
        yield (
            f"{load.partitions} partitions are few for {needed} workers: {min(wanted, 1024)} "
            "would share evenly. "
            "The number is fixed for the life of a Redis: take it for a new one, see docs/operations.md."
        )
    if load.frame_s is None:
        yield f"No worker's metrics could be read: a worker is taken to serve {capacity:,.0f} frames/s."


def measure(client: redis.Redis, seconds: float, pause: Callable[[float], object] = time.sleep) -> Load:
    """Look at the pool and at its workers' metrics twice, some seconds apart.

    Raises:
        ConnectionLost, SettingsError: as `worker.redis.status.StatusReader.read`.
    """
    reader = StatusReader(client)
    first, pages = reader.read(), metrics_pages(reader.read())
    pause(seconds)
    last = reader.read()
    later = metrics_pages(last)
    return load_between(first, last, [(pages[one], later[one]) for one in pages.keys() & later.keys()])


def load_between(first: PoolStatus, last: PoolStatus, pages: Sequence[tuple[str, str]]) -> Load:
    """What happened between two looks; `pages` are a worker's metrics at the first and at the last."""
    passed_s = max(last.server_ms - first.server_ms, 1) / 1000
    entries = _added(last) - _added(first)
    read = sum(one.counts.get("entries", 0) for one in last.partitions)
    cpu_s, frames = (
        total((page for _, page in pages), name) - total((page for page, _ in pages), name)
        for name in ("process_cpu_seconds_total", "maze_frames_total")
    )
    return Load(
        frames_per_s=entries / passed_s * (last.frames / read if read else 1.0),
        lag=last.lag,
        lag_per_s=(last.lag - first.lag) / passed_s,
        frame_s=cpu_s / frames if frames else None,
        workers=len(last.workers),
        partitions=len(last.partitions),
    )


def _added(status: PoolStatus) -> int:
    return sum(one.added for one in status.partitions)
