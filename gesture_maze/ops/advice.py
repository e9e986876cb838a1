"""How many workers a pool needs, from the measured rate of frames and the measured cost of one.

A worker is one process on one core. Its capacity follows from the processor time per frame, which is read
from the workers' own metrics, or assumed if none can be reached. At low load batches are small and a frame
costs more than under pressure, so the advice errs towards more workers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import redis

from gesture_maze.ops.reach import MetricsPage, metrics_pages
from gesture_maze.producer.cluster.client import ClusterRedis
from gesture_maze.wire.printable import amount
from gesture_maze.worker.redis.cluster.placement import even_partitions, primaries_of
from gesture_maze.worker.redis.status import PoolStatus, StatusReader

HEADROOM: Final = 0.6
"""Share of a worker's time to plan with. Above this share waiting times grow steeply: in an M/D/1 queue a
frame waits 0.75 service times on average at 0.6, and 4.5 at 0.9."""
SPARE: Final = 1
"""Workers beyond what the load needs, so that one may die."""
DEFAULT_FRAME_S: Final = 10e-6
"""Processor seconds of a worker per frame, if it cannot be measured."""
REDIS_FRAMES_PER_S: Final = 250_000.0
"""Measured capacity of one Redis, beside two workers on two cores."""
REDIS_LIMIT: Final = 0.7
FRAME_BYTES: Final = 330
"""Memory of Redis 7.0 per frame in a stream, packed, with 1 and with 8 frames per entry."""
MEMORY_SHARE: Final = 0.75
"""Share of maxmemory that streams may take; above it workers shorten retention."""
DEFAULT_RETENTION_S: Final = 60.0
"""The workers' default, used if no worker reports how long it keeps entries."""
PARTITIONS_PER_WORKER: Final = 2
"""Partitions per worker. With fewer the shares are uneven: of 16 partitions, each of 9 workers gets 1 or 2,
so some do twice the work."""


@dataclass(frozen=True, slots=True)
class Load:
    """The measurements.

    Attributes:
        frames_per_s: frames that arrive per second.
        lag: entries that wait.
        lag_per_s: entries by which the lag grows per second; negative while the pool catches up.
        frame_s: processor seconds of a worker per frame; None if it could not be measured.
        workers: live workers.
        partitions: partitions of the pool.
        reached: workers whose metrics could be read.
        hottest: the partition to which most entries were added, and its share of them; None without entries.
        placement: partitions per primary of a cluster; empty for a single Redis.
        even_partitions: the smallest partition count that spreads evenly over the primaries; None if none
            does.
        retention_s: how long committed entries are kept.
        maxmemory_bytes: the limit of Redis; 0 if there is none or it is not known.
    """

    frames_per_s: float
    lag: int
    lag_per_s: float
    frame_s: float | None
    workers: int
    partitions: int
    reached: int = 0
    hottest: tuple[int, float] | None = None
    placement: tuple[int, ...] = ()
    even_partitions: int | None = None
    retention_s: float = DEFAULT_RETENTION_S
    maxmemory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Advice:
    """How many workers to run.

    Attributes:
        workers_needed: number of workers, a spare one included.
        worker_frames_per_s: frames per second to plan for one worker.
        utilisation: of the current workers; 1 is full, above 1 is overload; infinite without workers.
        sentences: for people, the most urgent first.
    """

    workers_needed: int
    worker_frames_per_s: float
    utilisation: float
    sentences: tuple[str, ...]


def advise(load: Load) -> Advice:
    """Return how many workers are needed, and whether more partitions or another Redis are."""
    cost_s = load.frame_s or DEFAULT_FRAME_S
    capacity = HEADROOM / cost_s
    needed = min(max(math.ceil(load.frames_per_s / capacity), 1) + SPARE, max(load.partitions, 1))
    busy = load.frames_per_s * cost_s / load.workers if load.workers else math.inf
    return Advice(needed, capacity, busy, tuple(_sentences(load, needed, capacity)))


def _sentences(load: Load, needed: int, capacity: float) -> Iterable[str]:
    if not load.workers:
        yield f"No worker is alive: start {needed} with 'maze worker --processes {needed}'."
    elif load.workers < needed:
        more = amount(needed - load.workers, "more worker")
        yield f"Start {more}: {_workers_run(load.workers)}, {needed} are needed."
    elif load.workers > needed:
        spare = amount(load.workers - needed, "worker")
        yield f"{spare} can be stopped: {_workers_run(load.workers)}, {needed} would be enough."
    else:
        yield f"The number of workers, {load.workers}, is right."
    if load.lag_per_s > max(1.0, load.frames_per_s * 0.01):
        lag = amount(load.lag, "entry", "entries")
        yield f"The lag of {lag} grows by {load.lag_per_s:,.0f}/s: the pool is too slow."
    yield from _redis_sentences(load)
    if load.hottest is not None:
        partition, share = load.hottest
        even = 1 / load.partitions
        yield f"The hottest partition is {partition}: {share:.0%} of the entries, {even:.0%} if even."
    yield from _memory(load)
    if needed * PARTITIONS_PER_WORKER > load.partitions:
        wanted = 1 << (needed * PARTITIONS_PER_WORKER - 1).bit_length()
        yield (
            f"{amount(load.partitions, 'partition')} cannot be shared evenly by {amount(needed, 'worker')}: "
            f"{min(wanted, 1024)} could. The number is fixed for the life of a Redis, see docs/operations.md."
        )
    if load.frame_s is None:
        why = "No frames were answered" if load.reached else "No worker's metrics could be read"
        yield f"{why}, so {capacity:,.0f} frames/s per worker is an assumption."


def _workers_run(count: int) -> str:
    return "1 runs" if count == 1 else f"{count} run"


def _redis_sentences(load: Load) -> Iterable[str]:
    primaries = max(len(load.placement), 1)
    if load.frames_per_s > primaries * REDIS_FRAMES_PER_S * REDIS_LIMIT:
        served = f"{primaries} primaries serve" if primaries > 1 else "one Redis serves"
        yield (
            f"{load.frames_per_s:,.0f} frames/s are over {REDIS_LIMIT:.0%} of what {served}: use a cluster "
            "with more primaries, see docs/scaling.md, or send more frames per entry (send_tick)."
        )
    if not load.placement:
        return
    counts = ", ".join(map(str, sorted(load.placement)))
    if load.even_partitions in (load.partitions, None):
        yield f"{load.partitions} partitions fall on {primaries} primaries as {counts}."
    else:
        yield (
            f"{load.partitions} partitions fall on {primaries} primaries as {counts}: "
            f"{load.even_partitions} would fall evenly. The number is fixed for the life of a pool."
        )


def _memory(load: Load) -> Iterable[str]:
    wanted = load.frames_per_s * load.retention_s * FRAME_BYTES
    if load.maxmemory_bytes and wanted > load.maxmemory_bytes * MEMORY_SHARE:
        affordable_s = load.maxmemory_bytes * MEMORY_SHARE / (load.frames_per_s * FRAME_BYTES)
        yield (
            f"{load.retention_s:.0f} s of {load.frames_per_s:,.0f} frames/s take {wanted / 1e6:,.0f} MB, and "
            f"maxmemory is {load.maxmemory_bytes / 1e6:,.0f} MB: set it to "
            f"{wanted / MEMORY_SHARE / 1e6:,.0f} MB, or --retention-ms to {affordable_s * 1000:.0f}. Until "
            "then workers shorten the retention."
        )


def measure(client: redis.Redis, seconds: float, pause: Callable[[float], object] = time.sleep) -> Load:
    """Read the pool's status and its workers' metrics twice, some seconds apart, and return the load.

    Raises:
        ConnectionLost, SettingsError: as `worker.redis.status.StatusReader.read`.
    """
    reader = StatusReader(client)
    first, pages = reader.read(), metrics_pages(reader.read())
    pause(seconds)
    last = reader.read()
    later = metrics_pages(last)
    load = load_between(first, last, [(pages[one], later[one]) for one in pages.keys() & later.keys()])
    if not isinstance(client, ClusterRedis):
        return replace(load, maxmemory_bytes=_maxmemory(client))
    return replace(
        load,
        placement=tuple(len(one.partitions) for one in primaries_of(client, load.partitions)),
        even_partitions=even_partitions(client.table, load.partitions) if load.partitions else None,
    )


def _maxmemory(client: redis.Redis) -> int:
    try:
        found: Any = client.info("memory")
    except redis.RedisError:
        return 0  # unknown without the right to run INFO
    return int(found.get("maxmemory", 0))


def load_between(
    first: PoolStatus, last: PoolStatus, pages: Sequence[tuple[MetricsPage, MetricsPage]]
) -> Load:
    """Return the load between two readings; `pages` holds each worker's metrics at both."""
    passed_s = max(last.server_ms - first.server_ms, 1) / 1000
    entries = _added(last) - _added(first)
    read = sum(one.counts.get("entries", 0) for one in last.partitions)
    cpu_s, frames = (
        sum(after.total(name) - before.total(name) for before, after in pages)
        for name in ("process_cpu_seconds_total", "maze_frames_total")
    )
    return Load(
        frames_per_s=entries / passed_s * (last.frames / read if read else 1.0),
        lag=last.lag,
        lag_per_s=(last.lag - first.lag) / passed_s,
        frame_s=cpu_s / frames if frames > 0 else None,
        reached=len(pages),
        workers=len(last.workers),
        partitions=len(last.partitions),
        hottest=_hottest(first, last),
        retention_s=max((one.retention_ms for one in last.workers), default=0) / 1000 or DEFAULT_RETENTION_S,
    )


def _hottest(first: PoolStatus, last: PoolStatus) -> tuple[int, float] | None:
    before = {one.partition: one.added for one in first.partitions}
    added = {one.partition: one.added - before.get(one.partition, 0) for one in last.partitions}
    total = sum(added.values())
    if total <= 0:
        return None
    partition = max(added, key=lambda one: added[one])
    return partition, added[partition] / total


def _added(status: PoolStatus) -> int:
    return sum(one.added for one in status.partitions)
