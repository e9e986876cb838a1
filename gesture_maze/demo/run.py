"""The demo: a pool, players who walk mazes by gestures, and a status of both every quarter second."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from gesture_maze.demo.owners import Owners
from gesture_maze.demo.players import Players
from gesture_maze.demo.pool import Pool
from gesture_maze.demo.showcase import Published, showcase
from gesture_maze.demo.snapshot import LOOK_S, DemoOptions, Look, Summary, View
from gesture_maze.embedded.server import redis_at
from gesture_maze.load.latencies import quantile_ms
from gesture_maze.load.stopping import stop_signals
from gesture_maze.load.traffic import Traffic
from gesture_maze.producer import FrameProducer
from gesture_maze.simulator.crowd import Crowd
from gesture_maze.wire.errors import ConnectionLost
from gesture_maze.wire.printable import amount
from gesture_maze.worker.redis.attach import attached
from gesture_maze.worker.redis.cluster.placement import Primary, primaries_of
from gesture_maze.worker.redis.status import PoolStatus, StatusReader

FPS: Final = 15
SETTLE_S: Final = 5.0
"""Longest wait at the end for frames without an outcome."""


def play(options: DemoOptions, view: View, log: Path | None = None) -> Summary:
    """Run the demo until its time is over or Ctrl-C, and return the summary.

    Raises:
        SettingsError, ConnectionLost: the demo could not start, or the pool ended.
    """
    # a folder of our own: under a name that others can guess, another user could have put a link there
    log = log or Path(tempfile.mkdtemp(prefix="gesture-maze-demo-")) / "workers.log"
    with (
        stop_signals() as stop,
        redis_at(options.redis) as url,
        Pool(url, options.workers, log) as pool,
        attached(url) as client,
        FrameProducer(url, name="maze-demo") as producer,
        showcase(url, log, options) as address,
    ):
        shown = Published(view, client) if address else view
        count = partial(primaries_of, client)
        return Demo(options, pool, StatusReader(client), producer, address, count).run(shown, stop)


@dataclass(slots=True)
class _Kill:
    """The kill by --kill-after: its time, and the time until the last partition had a new owner."""

    at_ms: int | None = None
    worker: str = ""
    over_ms: int | None = None


@dataclass
class Demo:
    """One run of the demo. The caller has started `pool` and `producer`."""

    options: DemoOptions
    pool: Pool
    reader: StatusReader
    producer: FrameProducer
    address: str | None = None
    primaries_of: Callable[[int], tuple[Primary, ...]] = lambda _partitions: ()
    """Returns the primaries of a cluster."""
    primaries: tuple[Primary, ...] = ()
    owners: Owners = field(default_factory=Owners)
    events: list[tuple[float, str]] = field(default_factory=list)

    def run(self, view: View, stop: threading.Event) -> Summary:
        """Wait for the workers, play, wait for the last outcomes, and return the summary."""
        first = self.latest = self.pool.wait_ready(self.reader)
        self.owners.look(first)
        self.kill = _Kill()
        options = self.options
        self.players = Players(options.players, options.seed, options.side, time.time_ns() // 1_000_000)
        # seq must increase for the life of a session id, so demos must not share session ids
        crowd = Crowd(options.players, FPS, options.seed, f"demo-{os.urandom(3).hex()}")
        with Traffic(self.producer, crowd, self.players) as self.traffic:
            self.began_s = time.monotonic()
            self._watch(view, stop)
            self.traffic.stop_sending()
            seconds = self._elapsed_s()
            self._settle(first)
        return self._sum_up(first, seconds)

    def _elapsed_s(self) -> float:
        return time.monotonic() - self.began_s

    def _watch(self, view: View, stop: threading.Event) -> None:
        """Read the status, kill a worker when due, and show the demo, until time is over or `stop` is set."""
        options = self.options
        while not stop.wait(LOOK_S):
            self.pool.check()
            if self.traffic.fault is not None:
                raise self.traffic.fault
            self._look()
            if options.kill_after_s is not None and self._elapsed_s() >= options.kill_after_s:
                self._kill_once()
            view.show(self._picture())
            if options.seconds and self._elapsed_s() >= options.seconds:
                return

    def _look(self) -> None:
        try:
            self.latest = self.reader.read()
            self._look_at_primaries()
        except ConnectionLost as error:
            self._add_event(str(error))
            return
        for takeover in self.owners.look(self.latest):
            if takeover.died.worker == self.kill.worker and self.kill.at_ms is not None:
                self.kill.over_ms = max(self.kill.over_ms or 0, takeover.at_ms - self.kill.at_ms)
            self._add_event(
                f"worker {takeover.died.pid} died: "
                f"{amount(takeover.partitions, 'partition')} went to worker {takeover.new_owner.pid}"
            )

    def _look_at_primaries(self) -> None:
        """Read the placement of the partitions, and report primaries that came or went."""
        before = {one.address for one in self.primaries}
        self.primaries = self.primaries_of(len(self.latest.partitions))
        now = {one.address for one in self.primaries}
        for address in sorted(before - now):
            self._add_event(f"primary {address} is gone")
        for address in sorted(now - before if before else ()):
            self._add_event(f"{address} is a primary now")

    def _kill_once(self) -> None:
        if self.kill.at_ms is not None:
            return
        self.kill.at_ms = time.time_ns() // 1_000_000
        victim = self.pool.kill_one(self.latest)
        if victim is not None:
            self.kill.worker = victim.worker
            self._add_event(f"kill -9 {victim.pid} (owner of {amount(len(victim.partitions), 'partition')})")

    def _add_event(self, sentence: str) -> None:
        self.events.append((self._elapsed_s(), sentence))

    def _picture(self) -> Look:
        account = self.traffic.account
        return Look(
            elapsed_s=self._elapsed_s(),
            options=self.options,
            pool=self.latest,
            account=account,
            accepted=account.accepted,
            latencies=account.latencies.counts.copy(),
            gestures=dict(account.gestures),
            score=self.players.score,
            players=self.players,
            takeovers=self.owners.takeovers,
            events=tuple(self.events),
            url=self.pool.url,
            log=self.pool.log,
            watch=self.address,
            primaries=self.primaries,
        )

    def _settle(self, first: PoolStatus) -> None:
        """Wait until every accepted frame is accounted for."""
        end_s = time.monotonic() + SETTLE_S
        while time.monotonic() < end_s:
            self._look()
            if not self.latest.lag and not self._lost(first):
                return
            time.sleep(0.02)

    def _lost(self, first: PoolStatus) -> int:
        """Return how many accepted frames have no reply and no other outcome."""
        shed = sum(
            self.latest.outcomes[name] - first.outcomes[name]
            for name in ("stale", "superseded", "rejected", "buried")
        )
        account = self.traffic.account
        return max(account.accepted - account.replies - shed, 0)

    def _sum_up(self, first: PoolStatus, seconds: float) -> Summary:
        account, score = self.traffic.account, self.players.score
        quantile = {q: quantile_ms(account.latencies.counts, q) for q in (0.5, 0.99, 0.999)}
        return Summary(
            seconds=round(seconds, 2),
            players=self.options.players,
            workers=self.options.workers,
            seed=self.options.seed,
            sent=account.accepted,
            answered=account.replies,
            lost=self._lost(first),
            unknown=account.unknown,
            refused=dict(account.refused),
            outcomes={name: count - first.outcomes[name] for name, count in self.latest.outcomes.items()},
            all_accounted_for=self.latest.all_accounted_for,
            mazes_solved=score.solved,
            moves=score.moves,
            wrong_moves=score.wrong,
            bumps=score.bumped,
            frames_per_s=round(account.accepted / seconds, 1),
            latency_p50_ms=quantile[0.5],
            latency_p99_ms=quantile[0.99],
            latency_p999_ms=quantile[0.999],
            takeovers=self.owners.takeovers,
            takeover_ms=self.kill.over_ms,
            models=list(self.latest.models),
            log=str(self.pool.log),
        )
