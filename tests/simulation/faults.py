"""The faults of a world. Each kind is a method of `Faults`; the seed decides which kinds a world has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gesture_maze.wire import keys
from gesture_maze.wire.frames import Frame, pack
from tests.simulation.workers import POISON, SimWorker
from tests.support.pool import sessions_of

if TYPE_CHECKING:
    from tests.simulation.world import World

FAULTY_S: Final = 6.0
"""Faults begin before this time."""
REBUILD_MS: Final = 3000
BURST_ENTRIES: Final = 24
"""More than three pages, see `workers.simulated_keepers`, and more than `bugs.OLD_BOUND`."""
FAULTS_PER_S: Final = 1.5
KINDS: Final = (
    "kill", "freeze", "slow", "cut", "restart", "join", "clock", "flush", "group", "stream", "scripts",
    "memory", "reset", "poison", "network", "latency", "burst", "failover", "away",
)  # fmt: skip


class Faults:
    """The faults that a seed gives to a world.

    Args:
        world: what they happen to.
        kinds: which of `KINDS`; none lets the seed choose.
    """

    def __init__(self, world: World, kinds: tuple[str, ...]) -> None:
        self._world, self._rng = world, world.rng
        # a few kinds only (swarm testing): faults of one kind hide those of another
        chosen = self._chosen()
        self.kinds = kinds or chosen

    def _chosen(self) -> tuple[str, ...]:
        return tuple(self._rng.sample(KINDS, self._rng.randint(1, 4)))

    def begin(self) -> None:
        """Set up the faults that last, and plan the first one that does not."""
        network = self._world.network
        if "network" in self.kinds:
            network.faults = self._rng.choice([0.003, 0.01, 0.02, 0.04])
        if "latency" in self.kinds:
            network.slow = self._rng.choice([0.02, 0.1])
        self._plan()

    def end(self) -> None:
        """End all faults."""
        network = self._world.network
        network.faults = network.slow = 0.0
        network.out_of_memory = False
        for one in self._world.live():
            one.cut_until_s = 0.0
        for subscriber in self._world.subscribers:
            subscriber.come_back()

    def _plan(self) -> None:
        delay_s = self._rng.expovariate(FAULTS_PER_S)
        if self._world.scheduler.now_s + delay_s < FAULTY_S:
            self._later(delay_s, self._happen)

    def _happen(self) -> None:
        kind = self._rng.choice(self.kinds)
        self._world.trace("fault", kind=kind)
        getattr(self, f"_{kind}")()
        self._plan()

    def _later(self, delay_s: float, act: object) -> None:
        scheduler = self._world.scheduler
        scheduler.at(scheduler.now_s + delay_s, act)  # type: ignore[arg-type]

    def _until_s(self, shortest_s: float, longest_s: float) -> float:
        return min(self._world.scheduler.now_s + self._rng.uniform(shortest_s, longest_s), FAULTY_S)

    def _any_worker(self) -> SimWorker | None:
        live = self._world.live()
        return self._rng.choice(live) if live else None

    # workers

    def _kill(self) -> None:
        if worker := self._any_worker():
            worker.die("killed")

    def _freeze(self) -> None:
        if worker := self._any_worker():
            worker.frozen_until_s = self._until_s(0.2, 4.0)

    def _slow(self) -> None:
        if worker := self._any_worker():
            worker.slow_until_s = self._until_s(0.1, 6.0)

    def _cut(self) -> None:
        if worker := self._any_worker():
            worker.cut_until_s = self._until_s(0.2, 4.0)

    def _restart(self) -> None:
        if worker := self._any_worker():
            worker.stop()

    def _join(self) -> None:
        if len(self._world.live()) < 4:
            self._world.start_worker()

    # the server

    def _clock(self) -> None:
        self._world.network.skew_s += self._rng.choice(
            [-60.0, 60.0, self._rng.uniform(-60, 60), self._rng.uniform(-2, 2)]
        )

    def _flush(self) -> None:
        self._world.admin.flushall()
        self._world.checker.on_flushed()
        self._maybe_reset()

    def _group(self) -> None:
        world = self._world
        partition = self._rng.randrange(world.partitions)
        stream = keys.frames_key(partition)
        client = world.network.admin_of(stream)
        if client is not None and client.exists(stream):
            client.xgroup_destroy(stream, keys.GROUP)
            world.checker.on_group_destroyed(partition)
            self._maybe_reset()

    def _stream(self) -> None:
        world = self._world
        partition = self._rng.randrange(world.partitions)
        stream = keys.frames_key(partition)
        client = world.network.admin_of(stream)
        if client is None:
            return
        cursor = world.checker.cursor(partition)
        client.delete(stream)
        world.checker.on_stream_deleted(partition, cursor or (0, 0))
        self._maybe_reset()

    def _scripts(self) -> None:
        for node in self._world.network.nodes:
            node.server.script_cache.clear()

    def _memory(self) -> None:
        network = self._world.network
        network.out_of_memory = True

        def end() -> None:
            network.out_of_memory = False

        self._later(self._rng.uniform(0.5, 2.0), end)

    def _failover(self) -> None:
        """Let a replica take over, which lacks what the primary did last."""
        world = self._world
        replica, noted = world.network.copy_of_keys(), world.checker.copy()

        def promote() -> None:
            world.trace("failover")
            world.network.fail_over(replica)
            world.checker.on_failed_over(noted, range(world.partitions))

        self._later(self._rng.uniform(0.01, 1.0), promote)

    # the network

    def _reset(self) -> None:
        self._world.network.cut()

    def _maybe_reset(self) -> None:
        if self._rng.random() < 0.7:
            self._world.network.cut(share=self._rng.choice([0.4, 1.0]))

    def _network(self) -> None:
        self._world.network.cut(self._any_worker())

    def _latency(self) -> None:
        """Applies to every command from the beginning."""

    # frames and replies

    def _away(self) -> None:
        """Cut the connection of a subscriber, which returns some time later."""
        subscriber = self._rng.choice(self._world.subscribers)
        subscriber.leave()
        self._later(self._rng.uniform(0.1, 3.0), subscriber.come_back)

    def _poison(self) -> None:
        world = self._world
        number = world.new_poison()
        if number is None:
            return
        partition = self._rng.randrange(world.partitions)
        frame = world.frame(sessions_of(partition, 3, world.partitions)[2], POISON)
        frame.landmarks[1, 0] = number
        world.add(partition, fields_of([frame]))

    def _burst(self) -> None:
        """Many entries between a frame and its retry, and a hand-over between them."""
        world = self._world
        partition = self._rng.randrange(world.partitions)
        names = sessions_of(partition, 4, world.partitions)
        early = fields_of([world.frame(names[3])])
        world.add(partition, early)
        for _ in range(BURST_ENTRIES):
            world.add(partition, fields_of([world.frame(names[2])]))
        if worker := self._any_worker():
            self._later(0.5, worker.stop)
        self._later(REBUILD_MS / 1000 - 1.0, lambda: world.add(partition, early))


def fields_of(frames: list[Frame]) -> dict[str, bytes]:
    """Return the fields of an entry."""
    s, m, landmarks = pack(frames)
    return {"s": s, "m": m, "l": landmarks}
