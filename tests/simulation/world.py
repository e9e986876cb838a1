"""One world: a pool, its producers and a server, and the faults that a seed gives them.

A world has a time of faults and a time without: by its end everything must be owned, read, counted and
answered. A world uses a few kinds of faults only (swarm testing): faults of one kind hide those of another.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import redis

from gesture_maze.wire import keys
from gesture_maze.wire.frames import Frame, pack
from gesture_maze.wire.gestures import LABELS
from gesture_maze.worker.settings import Settings
from tests.simulation.checker import Checker, FrameId, Violation
from tests.simulation.network import ADMIN, Network
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.workers import POISON, SimWorker, simulated_wake_channel
from tests.support.pool import sessions_of

FAULTY_S: Final = 12.0
HEALING_S: Final = 7.0
"""Time to live of a lease and a second for a takeover, a restart, and a worker's back-off."""
POISON_S: Final = 14.0
"""Three more deaths and takeovers."""
PROBE_S: Final = 2.5
REBUILD_MS: Final = 5000
BURST_ENTRIES: Final = 2200
POISON_DEATHS: Final = 3

FAULTS: Final = (
    "kill", "freeze", "slow", "cut", "restart", "join", "clock", "flush", "group", "stream", "scripts",
    "memory", "reset", "poison", "network", "latency",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Result:
    """What a world came to.

    Attributes:
        violation: the broken promise; None if all held.
        trace: its last events.
    """

    seed: int
    violation: str | None
    faults: tuple[str, ...]
    accepted: int
    answered: int
    fenced: int
    deaths: int
    commits: int
    events: int
    trace: list[str]


class World:
    """A pool in a seed.

    Args:
        seed: all there is to know about a world.
        show: called with each line of the trace.
        faults: kinds of faults; none lets the seed choose.
    """

    def __init__(
        self, seed: int, show: Callable[[str], None] | None = None, faults: tuple[str, ...] = ()
    ) -> None:
        self.seed, self._show = seed, show
        self.rng = random.Random(seed)
        self._lines: list[str] = []
        self.scheduler = Scheduler()
        self.network = Network(self.scheduler, self.rng, self.trace)
        self.admin = self.network.client(ADMIN)
        self.partitions = self.rng.choice([1, 2, 4])
        self.kinds = self._choose_kinds()
        if faults:
            self.kinds = faults
        deadline_ms = self.rng.choice([0, 0, 1000])
        self.settings = Settings.of(
            partitions=self.partitions,
            deadline_ms=deadline_ms,
            supersede_ms=self.rng.choice([0, 500]) if deadline_ms else 0,
            rebuild_ms=REBUILD_MS,
            batch_frames=self.rng.choice([4, 64, 2048]),
            block_ms=1000,
            log_level="error",
        )
        self.checker = Checker(self.network.server.dbs[0], REBUILD_MS)
        self.network.observer = self.checker
        self.network.on_wake = self._wake_keepers
        self.network.on_added = self._wake_loops
        self.workers: list[SimWorker] = []
        self._born = self.deaths = 0
        self._poison: dict[int, int] = {}
        self._next_seq: dict[str, int] = {}
        self._faulty = True
        self._probing = False
        self._probes: set[FrameId] = set()

    def _choose_kinds(self) -> tuple[str, ...]:
        kinds = self.rng.sample(FAULTS, self.rng.randint(1, 5))
        if self.rng.random() < 0.03:
            kinds = ["burst", "restart"]
        return tuple(kinds)

    def run(self) -> Result:
        """Run it to its end."""
        violation = None
        with self.network.in_force(), simulated_wake_channel():
            try:
                self._begin()
                self.scheduler.run(FAULTY_S)
                self._heal()
                healed_s = FAULTY_S + HEALING_S + (POISON_S if "poison" in self.kinds else 0.0)
                self.scheduler.run(healed_s)
                self._probing = True
                self.scheduler.run(healed_s + PROBE_S)
                self.checker.check_end(self.partitions, {one.name for one in self._live()}, self._probes)
            except Violation as error:
                violation = str(error)
            finally:
                self.scheduler.end()
                self.network.observer = None
                for one in self.workers:
                    one.worker.wake.close()
        checker = self.checker
        return Result(
            self.seed, violation, self.kinds, checker.accepted, checker.answered, checker.fenced, self.deaths,
            checker.commits, self.scheduler.events, self._lines,
        )  # fmt: skip

    def trace(self, event: str, **facts: Any) -> None:
        """Note an event."""
        shown = " ".join(f"{name}={getattr(value, 'name', value)}" for name, value in facts.items())
        line = f"{self.scheduler.now_s:9.4f}  {event:24} {shown}"
        self._lines.append(line)
        if self._show is not None:
            self._show(line)

    def _begin(self) -> None:
        self.trace("world", seed=self.seed, faults=",".join(self.kinds), partitions=self.partitions)
        for _ in range(self.rng.randint(1, 3)):
            self._start_worker()
        for partition in range(self.partitions):
            self._start_producer(partition, sessions_of(partition, 2, self.partitions))
        if "network" in self.kinds:
            self.network.faults = self.rng.choice([0.003, 0.02])
        if "latency" in self.kinds:
            self.network.slow = self.rng.choice([0.02, 0.1])
        self._next_fault()

    # workers

    def _live(self) -> list[SimWorker]:
        return [one for one in self.workers if not one.dead]

    def _start_worker(self) -> None:
        self._born += 1
        name = f"w{self._born}"
        self.trace("worker_started", worker=name)
        rate = self.rng.uniform(0.99, 1.01)
        self.workers.append(
            SimWorker(name, self.network, self.settings, rate, self.trace, self._on_end, self._on_poison)
        )

    def _on_end(self, worker: SimWorker) -> None:
        """A supervisor starts another one."""
        self.deaths += 1
        self.scheduler.at(self.scheduler.now_s + self.rng.uniform(0.1, 1.5), self._start_worker)

    def _on_poison(self, worker: SimWorker, landmarks: Any) -> None:
        for row in landmarks[landmarks[:, 0, 0] == POISON]:
            number = int(row[1, 0])
            self._poison[number] = self._poison.get(number, 0) + 1
            self.trace("poison_killed", worker=worker.name, number=number, deaths=self._poison[number])
            if self._poison[number] > POISON_DEATHS and not {"flush", "stream"} & set(self.kinds):
                self.scheduler.at(self.scheduler.now_s, partial(self._too_deadly, number))

    def _too_deadly(self, number: int) -> None:
        raise Violation(f"poison frame {number} has killed {self._poison[number]} workers")

    def _wake_keepers(self) -> None:
        for one in self._live():
            one.keeper_wake.pulse()

    def _wake_loops(self) -> None:
        for one in self._live():
            one.loop_wake.pulse()

    # producers

    def _start_producer(self, partition: int, sessions: list[str]) -> None:
        process = Process(f"producer-{partition}")
        client = self.network.client(process)
        self.scheduler.spawn(lambda: self._produce(client, partition, sessions), process)

    def _produce(self, client: Any, partition: int, sessions: list[str]) -> None:
        stream = keys.frames_key(partition)
        sent: list[tuple[float, dict[str, bytes]]] = []
        probed = False
        while True:
            self.scheduler.sleep(self.rng.uniform(0.05, 0.4))
            if self._probing and probed:
                return
            probed = self._probing
            frames = [self._frame(session) for session in sessions for _ in range(self.rng.randint(1, 2))]
            s, m, landmarks = pack(frames)
            fields = {"s": s, "m": m, "l": landmarks}
            if self._send(client, stream, fields):
                sent.append((self.scheduler.now_s, fields))
                if probed:
                    newest = {frame.session: frame.seq for frame in frames}
                    self._probes |= set(newest.items())
            if self._faulty and sent and self.rng.random() < 0.08:  # a retry that comes late
                recent = [one for at_s, one in sent if at_s > self.scheduler.now_s - REBUILD_MS / 1000 + 1]
                if recent:
                    self._send(client, stream, self.rng.choice(recent))

    def _send(self, client: Any, stream: str, fields: dict[str, bytes]) -> bool:
        """Send an entry until it is known to be accepted, as a producer's retries do."""
        for _ in range(5):
            try:
                client.xadd(stream, fields)
            except redis.ConnectionError:
                self.scheduler.sleep(self.rng.uniform(0.01, 0.8))
            except redis.ResponseError:
                return False
            else:
                return True
        return False

    def _frame(self, session: str, label: int = LABELS["like"]) -> Frame:
        seq = self._next_seq[session] = self._next_seq.get(session, 0) + 1
        landmarks = np.zeros((21, 3), np.float32)
        landmarks[0, 0] = label
        return Frame(session, seq, seq * 40, landmarks)

    # faults

    def _next_fault(self) -> None:
        delay_s = self.rng.expovariate(1.0)
        if self.scheduler.now_s + delay_s < FAULTY_S:
            self.scheduler.at(self.scheduler.now_s + delay_s, self._do_fault)

    def _do_fault(self) -> None:
        kind = self.rng.choice(self.kinds)
        self.trace("fault", kind=kind)
        getattr(self, f"_fault_{kind}")()
        self._next_fault()

    def _any_worker(self) -> SimWorker | None:
        live = self._live()
        return self.rng.choice(live) if live else None

    def _fault_kill(self) -> None:
        if worker := self._any_worker():
            worker.die("killed")

    def _fault_freeze(self) -> None:
        if worker := self._any_worker():
            worker.frozen_until_s = min(self.scheduler.now_s + self.rng.uniform(0.2, 7.0), FAULTY_S)

    def _fault_slow(self) -> None:
        if worker := self._any_worker():
            worker.slow_until_s = min(self.scheduler.now_s + self.rng.uniform(0.1, 14.0), FAULTY_S)

    def _fault_cut(self) -> None:
        if worker := self._any_worker():
            worker.cut_until_s = self.scheduler.now_s + self.rng.uniform(0.2, 6.0)

    def _fault_restart(self) -> None:
        if worker := self._any_worker():
            worker.stop()

    def _fault_join(self) -> None:
        if len(self._live()) < 4:
            self._start_worker()

    def _fault_clock(self) -> None:
        self.network.skew_s += self.rng.choice(
            [-60.0, 60.0, self.rng.uniform(-60, 60), self.rng.uniform(-2, 2)]
        )

    def _fault_flush(self) -> None:
        self.admin.flushall()
        self.checker.on_flushed()
        self._maybe_reset()

    def _fault_group(self) -> None:
        partition = self.rng.randrange(self.partitions)
        stream = keys.frames_key(partition)
        if self.admin.exists(stream):
            self.admin.xgroup_destroy(stream, keys.GROUP)
            self.checker.on_group_destroyed(partition, self.partitions)
            self._maybe_reset()

    def _fault_stream(self) -> None:
        partition = self.rng.randrange(self.partitions)
        cursor = self.checker.cursor(partition)
        self.admin.delete(keys.frames_key(partition))
        self.checker.on_stream_deleted(partition, cursor or (0, 0))
        self._maybe_reset()

    def _fault_scripts(self) -> None:
        self.admin.script_flush()

    def _fault_memory(self) -> None:
        self.network.out_of_memory = True

        def end() -> None:
            self.network.out_of_memory = False

        self.scheduler.at(self.scheduler.now_s + self.rng.uniform(0.5, 3.0), end)

    def _fault_reset(self) -> None:
        self.network.cut()

    def _maybe_reset(self) -> None:
        if self.rng.random() < 0.7:
            self.network.cut(share=self.rng.choice([0.4, 1.0]))

    def _fault_network(self) -> None:
        self.network.cut(self._any_worker())

    def _fault_latency(self) -> None:
        """Applies to every command from the beginning."""

    def _fault_poison(self) -> None:
        if len(self._poison) > 2:
            return
        number = 1 + len(self._poison)
        self._poison[number] = 0
        partition = self.rng.randrange(self.partitions)
        frame = self._frame(sessions_of(partition, 3, self.partitions)[2], POISON)
        frame.landmarks[1, 0] = number
        s, m, landmarks = pack([frame])
        self._add(partition, {"s": s, "m": m, "l": landmarks})

    def _fault_burst(self) -> None:
        """Many entries between a frame and its retry."""
        partition = self.rng.randrange(self.partitions)
        names = sessions_of(partition, 4, self.partitions)
        s, m, landmarks = pack([self._frame(names[3])])
        early = {"s": s, "m": m, "l": landmarks}
        self._add(partition, early)
        for _ in range(BURST_ENTRIES):
            s, m, landmarks = pack([self._frame(names[2])])
            self._add(partition, {"s": s, "m": m, "l": landmarks})
        worker = self._any_worker()
        if worker:
            self.scheduler.at(self.scheduler.now_s + 0.8, worker.stop)
        self.scheduler.at(self.scheduler.now_s + 3.0, lambda: self._add(partition, early))

    def _add(self, partition: int, fields: dict[str, bytes]) -> None:
        """Add an entry that meets no fault."""
        stream = keys.frames_key(partition)
        entry_id = self.admin.xadd(stream, fields)
        self.network.added += 1
        self.checker._on_added(partition, entry_id, [part for pair in fields.items() for part in _raw(pair)])
        self._wake_loops()

    def _heal(self) -> None:
        """End all faults."""
        self.trace("healed")
        self._faulty = False
        self.network.faults = self.network.slow = 0.0
        self.network.out_of_memory = False
        for one in self._live():
            one.cut_until_s = 0.0
        if not self._live():
            self._start_worker()


def _raw(pair: tuple[str, bytes]) -> tuple[bytes, bytes]:
    return pair[0].encode(), pair[1]
