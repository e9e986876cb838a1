"""A wake of a simulated loop lasts until the loop has waited, as that of a real one does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulation.scheduler import Process
from tests.simulation.workers import SimWorker, simulated_keepers
from tests.simulation.world import World


class OneWorker(World):
    """One worker, no producers and no faults."""

    def _begin(self) -> None:
        self.start_worker()


@pytest.fixture(params=["single", "cluster"])
def world(request: pytest.FixtureRequest) -> Any:
    """A world whose worker owns its partitions and has nothing to do."""
    made = OneWorker(0, faults=("move",) if request.param == "cluster" else ())
    with made.network.in_force(), simulated_keepers():
        made._begin()
        made.scheduler.run(3.0)
        yield made
        made.scheduler.end()
        made.network.observer = None
        made.workers[0].worker.wake.close()


def test_wake_of_a_loop_that_does_not_wait_prevents_its_next_wait(world: OneWorker) -> None:
    (worker,) = world.workers
    waits: list[float] = []
    worker.dead = True  # its own loop and keeper stand still
    world.scheduler.spawn(lambda: _wait_twice(worker, waits), Process("test"))
    world.scheduler.run(world.scheduler.now_s + 3.0)
    assert waits == [0.0, 0.5]


def _wait_twice(worker: SimWorker, waits: list[float]) -> None:
    """Wake the worker's loop, and note how long two waits for at most 0.5 s take."""
    worker.reader.close()
    worker.wake()
    for _ in range(2):
        begin_s = worker.scheduler.now_s
        worker.reader.wait(0.5, (worker.worker.wake.reader,))
        waits.append(round(worker.scheduler.now_s - begin_s, 3))
        worker.worker.wake.clear()
