"""The faults of a world with a cluster: what else happens to its nodes and slots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.simulation.cluster_network import ClusterNetwork, ClusterNode
from tests.simulation.faults import KINDS, Faults

if TYPE_CHECKING:
    from tests.simulation.world import World

CLUSTER_KINDS: Final = ("move", "primary", "switch", "node")
ALONE: Final = {"flush", "failover"}
"""Kinds that only a world with a single server has."""
OTHER_KINDS: Final = tuple(kind for kind in KINDS if kind not in ALONE)
MOST_NODES: Final = 10


def is_cluster(seed: int, faults: tuple[str, ...]) -> bool:
    """Return whether a world has a cluster: every fourth one, or one with a fault that needs one."""
    return bool(set(CLUSTER_KINDS) & set(faults)) if faults else seed % 4 == 3


class ClusterFaults(Faults):
    """As `Faults`, for a world with a cluster."""

    def __init__(self, world: World, kinds: tuple[str, ...]) -> None:
        assert isinstance(world.network, ClusterNetwork)
        self._cluster: Final = world.network
        super().__init__(world, kinds)

    def _chosen(self) -> tuple[str, ...]:
        of_cluster = self._rng.sample(CLUSTER_KINDS, self._rng.randint(1, 2))
        return *of_cluster, *self._rng.sample(OTHER_KINDS, self._rng.randint(0, 2))

    def _idle_owner(self) -> ClusterNode | None:
        """Return a primary that can be replaced and whose role and slots do not change just now."""
        return self._idle([node for node in self._cluster.nodes if self._cluster.can_fail(node)])

    def _idle(self, nodes: list[ClusterNode]) -> ClusterNode | None:
        found = [node for node in nodes if node.alive and not node.busy]
        return self._rng.choice(found) if found else None

    def _move(self, target: ClusterNode | None = None) -> None:
        """Move a slot to another primary, at once or key by key."""
        network = self._cluster
        slot = network.any_slot()
        source = network.owner(slot)
        primaries = [node for node in network.nodes if node is not source and network.slots_of(node)]
        target = target or self._idle(primaries)
        if target is None or source.busy or not source.alive:
            return
        self._world.trace("slot_moving", slot=slot, source=source.address, target=target.address)
        network.begin_move(slot, target)
        if self._rng.random() < 0.4:
            self._end_move(slot)
            return
        source.busy = target.busy = True
        pause_s = self._rng.choice([0.01, 0.1])

        def go_on() -> None:
            if network.move_key(slot):
                self._later(self._rng.uniform(0.0, 2 * pause_s), go_on)
                return
            source.busy = target.busy = False
            self._end_move(slot)

        self._later(pause_s, go_on)

    def _end_move(self, slot: int) -> None:
        self._cluster.end_move(slot)
        self._world.trace("slot_moved", slot=slot)

    def _node(self) -> None:
        """Add a node, which takes a slot."""
        if len(self._cluster.nodes) < MOST_NODES:
            self._move(self._cluster.add_primary())

    def _switch(self) -> None:
        """Let a replica take over that has everything (CLUSTER FAILOVER)."""
        if (old := self._idle_owner()) is not None:
            self._world.trace("switched", old=old.address, new=self._cluster.switch(old).address)

    def _primary(self) -> None:
        """Let a primary die and its replica take over, which may lack what the primary did last."""
        old = self._idle_owner()
        if old is None:
            return
        old.busy = True
        network, checker = self._cluster, self._world.checker
        held, noted = (network.copy_of(old), checker.copy()) if self._rng.random() < 0.5 else (None, None)

        def die() -> None:
            nonlocal held
            if held is None:
                held = network.copy_of(old)
            network.kill(old, dark=self._rng.random() < 0.3)
            self._world.trace("primary_died", node=old.address, dark=old.dark, behind=noted is not None)
            self._later(self._rng.uniform(0.1, 1.0), take_over)

        def take_over() -> None:
            partitions = network.partitions_of(old)
            new = network.replace(old, held or {})
            if noted is not None:
                checker.on_failed_over(noted, partitions)
            old.busy = False
            self._later(self._rng.uniform(0.0, 2.0), come_back)
            self._world.trace("replica_took_over", old=old.address, new=new.address)

        def come_back() -> None:
            old.alive = True

        self._later(self._rng.uniform(0.01, 0.5) if noted is not None else 0.0, die)
