"""One world: a pool, its producers and subscribers, Redis, and the faults that a seed gives them.

Redis is a single server, or, in every fourth world, a cluster.

A world has a time of faults and a time without: by its end everything must be owned, read, counted and
answered. Worlds are short, because many short ones find more than a few long ones.
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
from gesture_maze.wire.frames import Frame
from gesture_maze.wire.gestures import LABELS
from gesture_maze.worker.settings import Settings
from tests.simulation.checker import Checker, FrameId, Violation
from tests.simulation.cluster_faults import ClusterFaults, is_cluster
from tests.simulation.cluster_network import ClusterNetwork
from tests.simulation.faults import FAULTY_S, REBUILD_MS, Faults, fields_of
from tests.simulation.network import Network
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.subscribers import RELEASE_S, Subscriber
from tests.simulation.workers import POISON, SimWorker, simulated_keepers
from tests.support.pool import sessions_of

LEASE_TTL_MS: Final = 2000
HEALING_S: Final = 8.0
"""Time to live of a lease and a second for a takeover, a restart, a worker's back-off, a lost answer."""
LATE_S: Final = 1.5
"""What a fault has planned happens within this time."""
LATE_COMMAND_S: Final = 3.1
"""A command arrives within this time, see `Network`."""
POISON_S: Final = 11.0
"""Three more deaths and takeovers."""
PROBE_S: Final = 1.2
POISON_DEATHS: Final = 3
MOST_POISON: Final = 2


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a world.

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
        cluster = is_cluster(seed, faults)
        made = ClusterNetwork if cluster else Network
        self.network: Network = made(self.scheduler, self.rng, self.trace)
        self.partitions = self.rng.choice([1, 1, 2, 4] if not cluster else [2, 2, 2, 4])
        if isinstance(self.network, ClusterNetwork):
            self.network.form(self.rng.randint(2, 3), self.partitions)
        self.admin = self.network.nodes[0].admin(self.network)
        self._pause_s = self.rng.choice([0.3, 0.4, 0.6] if cluster else [0.1, 0.3, 0.6])
        self.faults = (ClusterFaults if cluster else Faults)(self, faults)
        self.settings = self._settings()
        self.checker = Checker(self.network.database_of, self.partitions, REBUILD_MS)
        self.network.observer = self.checker
        self.network.on_wake = self._wake_keepers
        self.network.on_added = self._wake_loops
        self.network.on_published = self._deliver
        self.workers: list[SimWorker] = []
        self.subscribers: list[Subscriber] = []
        self._born = self._starting = self.deaths = 0
        self._poison: dict[int, int] = {}
        self._next_seq: dict[str, int] = {}
        self._faulty = True
        self._probing = False
        self._probes: set[FrameId] = set()

    def _settings(self) -> Settings:
        deadline_ms = self.rng.choice([0, 0, 1000])
        return Settings.of(
            partitions=self.partitions,
            deadline_ms=deadline_ms,
            supersede_ms=self.rng.choice([0, 500]) if deadline_ms else 0,
            rebuild_ms=REBUILD_MS,
            lease_ttl_ms=LEASE_TTL_MS,
            batch_frames=self.rng.choice([4, 64, 2048]),
            block_ms=1000,
            log_level="error",
        )

    def run(self) -> Result:
        """Run it to its end."""
        violation = None
        with self.network.in_force(), simulated_keepers():
            try:
                self._begin()
                self.scheduler.run(FAULTY_S)
                self._heal()
                self._recover()
                self._probing = True
                self.scheduler.run(self.scheduler.now_s + PROBE_S + RELEASE_S)
                self._check_end()
            except Violation as error:
                violation = str(error)
            finally:
                self.scheduler.end()
                self.network.observer = None
                for one in self.workers:
                    one.worker.wake.close()
        checker = self.checker
        return Result(
            self.seed, violation, self.faults.kinds, checker.accepted, checker.answered, checker.fenced,
            self.deaths, checker.commits, self.scheduler.events, self._lines,
        )  # fmt: skip

    def _recover(self) -> None:
        """Run until everything is owned and read, for as long as that may take at most."""
        longest_s = HEALING_S + (POISON_S if "poison" in self.faults.kinds else 0.0)
        self.scheduler.run(FAULTY_S + (LATE_COMMAND_S if "network" in self.faults.kinds else LATE_S))
        while self.scheduler.now_s < FAULTY_S + longest_s and not self._is_settled():
            self.scheduler.run(self.scheduler.now_s + 0.5)

    def _is_settled(self) -> bool:
        owned = {
            number: partition.token
            for one in self.live()
            for number, partition in one.worker.loop.partitions.items()
        }
        # a late command may have left a lease in the name of a worker that does not know of it
        mismatched = any(self.checker.lease(number) != owned.get(number) for number in range(self.partitions))
        if self._starting or mismatched or not self.network.is_settled:
            return False
        try:
            self.checker.check_end({one.name for one in self.live()}, set())
        except Violation:
            return False  # not yet; at the end it counts
        return True

    def _check_end(self) -> None:
        self.checker.check_end({one.name for one in self.live()}, self._probes)
        newest = dict(sorted(self._probes, key=lambda frame: frame[1]))
        for subscriber in self.subscribers:
            if problem := subscriber.problem(newest):
                raise Violation(problem)

    def trace(self, event: str, **facts: Any) -> None:
        """Note an event."""
        shown = " ".join(f"{name}={getattr(value, 'name', value)}" for name, value in facts.items())
        line = f"{self.scheduler.now_s:9.4f}  {event:24} {shown}"
        self._lines.append(line)
        if self._show is not None:
            self._show(line)

    def _begin(self) -> None:
        self.trace("world", seed=self.seed, faults=",".join(self.faults.kinds), partitions=self.partitions)
        for _ in range(self.rng.randint(1, 3 - isinstance(self.network, ClusterNetwork))):
            self.start_worker()
        for partition in range(self.partitions):
            sessions = sessions_of(partition, 2, self.partitions)
            self.subscribers.append(Subscriber(self.scheduler, partition, self.partitions, sessions))
            self._start_producer(partition, sessions)
        self.faults.begin()

    def _heal(self) -> None:
        """End all faults."""
        self.trace("healed")
        self._faulty = False
        self.faults.end()
        if not self.live():
            self.start_worker()

    # workers

    def live(self) -> list[SimWorker]:
        """Return the workers that are not dead."""
        return [one for one in self.workers if not one.dead]

    def start_worker(self) -> None:
        """Start a worker."""
        self._born += 1
        name = f"w{self._born}"
        self.trace("worker_started", worker=name)
        rate = self.rng.uniform(0.99, 1.01)
        self.workers.append(
            SimWorker(name, self.network, self.settings, rate, self.trace, self._on_end, self._on_poison)
        )

    def _on_end(self, worker: SimWorker) -> None:
        """Start another one, as a supervisor does."""
        self.deaths += 1
        self._starting += 1
        self.scheduler.at(self.scheduler.now_s + self.rng.uniform(0.1, 1.5), self._start_another)

    def _start_another(self) -> None:
        self._starting -= 1
        self.start_worker()

    def new_poison(self) -> int | None:
        """Return the number of another poison frame, or None if there are enough."""
        if len(self._poison) >= MOST_POISON:
            return None
        number = 1 + len(self._poison)
        self._poison[number] = 0
        return number

    def _on_poison(self, worker: SimWorker, landmarks: Any) -> None:
        for row in landmarks[landmarks[:, 0, 0] == POISON]:
            number = int(row[1, 0])
            self._poison[number] = self._poison.get(number, 0) + 1
            self.trace("poison_killed", worker=worker.name, number=number, deaths=self._poison[number])
            forgotten = {"flush", "stream", "failover", "primary"} & set(self.faults.kinds)
            if self._poison[number] > POISON_DEATHS and not forgotten:
                self.scheduler.at(self.scheduler.now_s, partial(self._too_deadly, number))

    def _too_deadly(self, number: int) -> None:
        raise Violation(f"poison frame {number} has killed {self._poison[number]} workers")

    def _wake_keepers(self) -> None:
        for one in self.live():
            one.keeper_wake.pulse()

    def _wake_loops(self, stream: bytes) -> None:
        """End the reads that wait for entries of a stream."""
        for one in self.live():
            if one.reader.waits_for(stream):
                one.loop_wake.pulse()

    def _deliver(self, channel: bytes, message: bytes) -> int:
        """Give a published message to the subscribers, and return how many received it."""
        return sum([one.receive(channel, message) for one in self.subscribers])

    # producers

    def _start_producer(self, partition: int, sessions: list[str]) -> None:
        process = Process(f"producer-{partition}")
        client = self.network.client(process)
        self.scheduler.spawn(lambda: self._produce(client, partition, sessions), process)

    def _produce(self, client: Any, partition: int, sessions: list[str]) -> None:
        """Send frames while there are faults, then nothing, then frames that must be answered."""
        stream = keys.frames_key(partition)
        sent: list[tuple[float, dict[str, bytes]]] = []
        while self._faulty:
            self.scheduler.sleep(self.rng.uniform(0.03, 2 * self._pause_s))
            fields = fields_of(
                [self.frame(session) for session in sessions for _ in range(self.rng.randint(1, 2))]
            )
            if self._send(client, stream, fields):
                sent.append((self.scheduler.now_s, fields))
            if self._faulty and sent and self.rng.random() < 0.15:  # a retry that comes late
                recent = [one for at_s, one in sent if at_s > self.scheduler.now_s - REBUILD_MS / 1000 + 0.5]
                if recent:
                    self._send(client, stream, self.rng.choice(recent))
        while not self._probing:
            self.scheduler.sleep(0.1)
        frames = [self.frame(session) for session in sessions]
        if self._send(client, stream, fields_of(frames)):
            self._probes |= {(frame.session, frame.seq) for frame in frames}

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

    def frame(self, session: str, label: int = LABELS["like"]) -> Frame:
        """Return the next frame of a session."""
        seq = self._next_seq[session] = self._next_seq.get(session, 0) + 1
        landmarks = np.zeros((21, 3), np.float32)
        landmarks[0, 0] = label
        return Frame(session, seq, seq * 40, landmarks)

    def add(self, partition: int, fields: dict[str, bytes]) -> None:
        """Add an entry that meets no fault."""
        stream = keys.frames_key(partition)
        client = self.network.admin_of(stream)
        if client is None:
            return  # its primary has died
        entry_id = client.xadd(stream, fields)
        words = [word for name, value in fields.items() for word in (name.encode(), value)]
        self.checker.on_added(partition, entry_id, words)
