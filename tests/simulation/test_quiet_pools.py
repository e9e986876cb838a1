"""Promises about pools without faults, and with one kind of them, in simulated time."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from gesture_maze.wire import keys
from gesture_maze.worker.settings import Settings
from tests.simulation.faults import fields_of
from tests.simulation.network import Socket
from tests.simulation.run import run
from tests.simulation.workers import simulated_keepers
from tests.simulation.world import World

MOST_CALLS_PER_S = 8.0


class QuietWorld(World):
    """Two workers, no producers and no faults."""

    def _settings(self) -> Settings:
        self.partitions = 4
        return Settings.of(partitions=4, retention_ms=4000, rebuild_ms=1000, log_level="error")

    def _begin(self) -> None:
        for _ in range(2):
            self.start_worker()

    def play(self, seconds: float, every_s: float = 0.0) -> None:
        """Run for some time, with a frame of a new session every `every_s`."""
        begin_s = self.scheduler.now_s
        number = len(self._next_seq)
        while self.scheduler.now_s < begin_s + seconds:
            self.scheduler.run(self.scheduler.now_s + (every_s or seconds))
            if every_s:
                number += 1
                name = f"passer-by-{number}"
                self.add(keys.partition_of(name, self.partitions), fields_of([self.frame(name)]))


@pytest.fixture
def quiet() -> Any:
    """A quiet world that owns all of its partitions."""
    world = QuietWorld(0)
    with world.network.in_force(), simulated_keepers():
        world._begin()
        world.play(5.0)
        yield world
        world.scheduler.end()
        world.network.observer = None
        for one in world.workers:
            one.worker.wake.close()


def test_idle_pool_for_a_minute_sends_few_commands(
    quiet: QuietWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Counter[str] = Counter()
    execute = Socket.execute

    def counted(socket: Socket, command: list[bytes]) -> None:
        calls[socket.process.name] += 1
        execute(socket, command)

    monkeypatch.setattr(Socket, "execute", counted)
    quiet.play(60.0)
    assert set(calls) == {"w1", "w2"}
    assert max(calls.values()) / 60.0 <= MOST_CALLS_PER_S


def test_pool_with_sessions_that_come_and_go_does_not_grow(quiet: QuietWorld) -> None:
    sizes = []
    for _ in range(4):
        quiet.play(10.0, every_s=0.25)
        tables = [
            len(partition.sessions.by_id)
            for one in quiet.workers
            for partition in one.worker.loop.partitions.values()
        ]
        streams = sum(quiet.admin.xlen(keys.frames_key(number)) for number in range(4))
        sizes.append((len(quiet.admin.keys("*")), len(quiet.network.sockets), sum(tables), streams))
    shown = f"keys, connections, sessions, entries: {sizes}"
    assert len({size[0] for size in sizes}) == 1, shown
    # four of each worker at most, and one of the test
    assert max(size[1] for size in sizes) <= 9, shown
    # 4 sessions a second are kept for 4 s, and forgotten one partition per pass; trimming is approximate
    assert max(size[2] for size in sizes) <= 32, shown
    assert max(size[3] for size in sizes) <= 100, shown
    assert len(quiet._next_seq) == 160
    quiet.play(1.0)
    assert quiet.checker.answered == len(quiet._next_seq)


@pytest.mark.parametrize("seed", range(4))
def test_clock_jumps_of_a_minute_lose_nothing_and_rebalance_once_each(seed: int) -> None:
    result = run(seed, None, ("clock",))
    assert result.violation is None
    partitions = int(result.trace[0].rpartition("=")[2])
    jumps = sum("kind=clock" in line for line in result.trace)
    lost = sum("partition_lost" in line for line in result.trace)
    assert jumps > 0
    assert lost <= partitions * jumps
