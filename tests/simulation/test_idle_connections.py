"""Connections that are lost while they are not in use cost nothing."""

from __future__ import annotations

from gesture_maze.producer.cluster.slots import slot_of
from gesture_maze.wire import keys
from gesture_maze.worker.redis.cluster.streams import ClusterCommitter
from tests.simulation.cluster_network import ClusterNetwork
from tests.simulation.faults import fields_of
from tests.simulation.workers import simulated_keepers
from tests.simulation.world import World
from tests.support.pool import sessions_of


class OneWorker(World):
    """One worker of a cluster, no producers and no faults."""

    def __init__(self) -> None:
        self.events: list[str] = []
        super().__init__(0, faults=("move",), show=self.events.append)

    def _begin(self) -> None:
        self.start_worker()


def test_commit_over_a_connection_that_was_lost_while_idle_is_done_over_another_one() -> None:
    world = OneWorker()
    assert isinstance(world.network, ClusterNetwork)
    (session,) = sessions_of(0, 1, world.partitions)
    with world.network.in_force(), simulated_keepers():
        world._begin()
        for _ in range(2):
            world.scheduler.run(world.scheduler.now_s + 3.0)
            world.add(0, fields_of([world.frame(session)]))
            world.scheduler.run(world.scheduler.now_s + 0.5)
            _cut_committer(world)
        world.scheduler.end()
        world.network.observer = None
        world.workers[0].worker.wake.close()
    assert world.checker.answered_frames == {(session, 1), (session, 2)}
    assert not [line for line in world.events if "node_lost" in line]


def _cut_committer(world: OneWorker) -> None:
    """Break the connection over which the worker commits to partition 0."""
    committer = world.workers[0].worker.loop._commits._committer
    assert isinstance(committer, ClusterCommitter)
    address = committer._cluster.primary(slot_of(keys.frames_key(0)))
    committer._nodes[address]._connection.opened()._sock.lose(0.0)
