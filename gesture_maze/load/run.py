"""A load test: players that show random gestures, and a report of the outcomes of their frames."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from gesture_maze.load.latencies import quantile_ms
from gesture_maze.load.stopping import stop_signals
from gesture_maze.load.traffic import Traffic
from gesture_maze.producer import FrameProducer
from gesture_maze.simulator.crowd import Crowd
from gesture_maze.simulator.players import Labels
from gesture_maze.wire.errors import RedisRefused, RefusalReason
from gesture_maze.wire.gestures import DEFAULT_ACTIONS, LABELS, NO_GESTURE, Move
from gesture_maze.worker.redis.attach import attached
from gesture_maze.worker.redis.status import PoolStatus, StatusReader

GESTURE_MS: Final = 1200
"""How long a player shows one gesture."""
SETTLE_S: Final = 5.0
"""Longest wait at the end for a pool with a backlog."""
POLL_S: Final = 0.05
QUIET_S: Final = 0.5
"""A user without the right to read the pool's status waits until no reply has come for this time."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """The options of `maze simulate`, see its flags."""

    redis: str
    players: int
    fps: float
    seconds: float
    listen: int
    ticks: int
    max_lag: int
    seed: int


@dataclass(slots=True)
class LoadReport:
    """The result of a load test.

    Attributes:
        replies: replies received.
        outcomes: outcomes counted by the pool during the test, including frames of other producers; None if
            the user has no right to read them.
        latency_ms: p50, p99 and p99.9.
        lag: entries that were still waiting at the end; None as `outcomes`.
        all_accounted_for: whether the pool's counts add up; None as `outcomes`.
    """

    seconds: float
    accepted: int
    refused: dict[str, int]
    unknown: int
    replies: int
    listened: int
    frames_per_s: float
    outcomes: dict[str, int] | None
    latency_ms: tuple[float | None, float | None, float | None]
    lag: int | None
    all_accounted_for: bool | None
    late_turns: int

    def as_dict(self) -> dict[str, Any]:
        """Return the report as `--json` prints it."""
        values = asdict(self)
        p50, p99, p999 = values.pop("latency_ms")
        return {**values, "latency_p50_ms": p50, "latency_p99_ms": p99, "latency_p999_ms": p999}


class Restless:
    """Players who show a gesture of the maze or none, and change it every `GESTURE_MS`.

    Args:
        players: number of players.
        seed: determines the gestures.
    """

    def __init__(self, players: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._labels: Final = np.array([LABELS[name] for name in (*DEFAULT_ACTIONS, NO_GESTURE)], np.int64)
        self._phase_ms: Final = rng.integers(0, GESTURE_MS, players)
        self._first: Final = rng.integers(0, len(self._labels), players)

    def targets(self, now_ms: int) -> Labels:
        """Return the labels of the gestures to show now, (players,) int64."""
        turns = (now_ms + self._phase_ms) // GESTURE_MS
        shown: Labels = self._labels[(self._first + turns) % len(self._labels)]
        return shown

    def receive(self, number: int, move: Move, now_ms: int) -> None:
        """Ignore the move, because these players have no maze."""


def run(options: LoadOptions) -> LoadReport:
    """Send frames for `options.seconds` or until Ctrl-C, wait for the pool, and return the report.

    Raises:
        SettingsError, ConnectionLost: Redis cannot be used.
    """
    crowd = Crowd(options.players, options.fps, options.seed, f"load-{os.urandom(3).hex()}", options.ticks)
    steer = Restless(options.players, options.seed)
    with (
        stop_signals() as stop,
        attached(options.redis) as client,
        FrameProducer(options.redis, name="maze-simulate", max_lag=options.max_lag) as producer,
    ):
        producer.connect()
        reader = StatusReader(client)
        first = readable_status(reader)
        with Traffic(producer, crowd, steer, options.listen) as traffic:
            begin_s = time.monotonic()
            stop.wait(options.seconds)
            traffic.stop_sending()
            seconds = time.monotonic() - begin_s
            last = None if first is None else _settled(reader)
            if last is None:
                _wait_for_replies(traffic)
        if traffic.fault is not None:
            raise traffic.fault
    return _report(traffic, seconds, first, last)


def readable_status(reader: StatusReader) -> PoolStatus | None:
    """Return the pool's status, or None if the user may not read it, such as one with the role `producer`.

    Raises:
        SettingsError, ConnectionLost: Redis cannot be used.
    """
    try:
        return reader.read()
    except RedisRefused as error:
        if error.reason != RefusalReason.NO_PERMISSION:
            raise
        return None


def _wait_for_replies(traffic: Traffic) -> None:
    now_s = time.monotonic()
    end_s, quiet_s, replies = now_s + SETTLE_S, now_s + QUIET_S, traffic.account.replies
    while now_s < min(end_s, quiet_s):
        time.sleep(POLL_S)
        now_s = time.monotonic()
        if traffic.account.replies > replies:
            quiet_s, replies = now_s + QUIET_S, traffic.account.replies


def _settled(reader: StatusReader) -> PoolStatus:
    end_s = time.monotonic() + SETTLE_S
    found = reader.read()
    while found.lag and time.monotonic() < end_s:
        time.sleep(POLL_S)
        found = reader.read()
    time.sleep(POLL_S)  # for the last replies to arrive
    return found


def _report(
    traffic: Traffic, seconds: float, first: PoolStatus | None, last: PoolStatus | None
) -> LoadReport:
    account = traffic.account
    counts = account.latencies.counts
    outcomes = None
    if first is not None and last is not None:
        outcomes = {name: count - first.outcomes[name] for name, count in last.outcomes.items()}
    return LoadReport(
        seconds=round(seconds, 2),
        accepted=account.accepted,
        refused=dict(account.refused),
        unknown=account.unknown,
        replies=account.replies,
        listened=traffic.listened,
        frames_per_s=round(account.accepted / seconds, 1),
        outcomes=outcomes,
        latency_ms=(quantile_ms(counts, 0.5), quantile_ms(counts, 0.99), quantile_ms(counts, 0.999)),
        lag=None if last is None else last.lag,
        all_accounted_for=None if last is None else last.all_accounted_for,
        late_turns=account.late_turns,
    )
