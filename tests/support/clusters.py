"""Clusters to test against: moving slots, killing primaries."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from redis.exceptions import ResponseError

from gesture_maze.embedded.cluster import ClusterNode, LocalCluster
from gesture_maze.ops.acl import ROLES, acl_line
from gesture_maze.producer.cluster.slots import Address, SlotTable, slot_of
from gesture_maze.wire.keys import frames_key
from tests.support.servers import wait_until

PASSWORD = "a-password-of-the-tests"


def slot_of_partition(partition: int) -> int:
    """Return the slot of a partition's keys."""
    return slot_of(frames_key(partition))


def table_of(node: ClusterNode) -> SlotTable:
    """Return the slots as a node sees them."""
    return SlotTable.of(node.command("CLUSTER SLOTS"), Address("127.0.0.1", node.port))


def node_at(cluster: LocalCluster, address: Address | None) -> ClusterNode:
    """Return the node with an address."""
    return next(node for node in cluster.nodes if address is not None and node.port == address.port)


def owner_of(cluster: LocalCluster, slot: int) -> ClusterNode:
    """Return the node that serves a slot, as the nodes that answer see it."""
    alive = next(node for node in cluster.nodes if node.is_running())
    return node_at(cluster, table_of(alive).primary(slot))


def granted(cluster: LocalCluster, role: str) -> str:
    """Create a role's user on every node, with the rights that `maze acl` prints, and return its URL."""
    (line,) = [acl_line(one, PASSWORD) for one in ROLES if one.name == role]
    for node in filter(ClusterNode.is_running, cluster.nodes):
        node.command("ACL", "SETUSER", *line.split()[1:])
    return cluster.url.replace("://", f"://{role}:{PASSWORD}@")


def replica_of(cluster: LocalCluster, primary: ClusterNode) -> ClusterNode:
    """Return the only replica of a primary."""
    ports = [int(one["port"]) for one in primary.client.info("replication").values() if isinstance(one, dict)]
    (port,) = ports
    return next(node for node in cluster.nodes if node.port == port)


def partitions_on(cluster: LocalCluster, node: ClusterNode, partitions: int) -> set[int]:
    """Return the partitions of a pool that a node serves."""
    return {one for one in range(partitions) if owner_of(cluster, slot_of_partition(one)) is node}


def move_slot(cluster: LocalCluster, slot: int, target: ClusterNode) -> None:
    """Move a slot key by key, as `redis-cli --cluster reshard` does."""
    source = owner_of(cluster, slot)
    target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id())
    source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id())
    while names := source.command("CLUSTER", "GETKEYSINSLOT", slot, 100):
        words = ("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *names)
        wait_until(partial(_accepted, source, words), 10)
    for node in (target, source):
        node.command("CLUSTER", "SETSLOT", slot, "NODE", target.id())
    wait_until(lambda: all(_sees(node, slot, target) for node in cluster.nodes if node.is_running()))


def _accepted(node: ClusterNode, words: tuple[Any, ...]) -> bool:
    """Run a command, and return False if a node lost sight of the others for a moment."""
    try:
        node.command(*words)
    except ResponseError as error:
        if "CLUSTERDOWN" not in str(error):
            raise
        return False
    return True


def migrate_slot(cluster: LocalCluster, slot: int, target: ClusterNode) -> None:
    """Move a slot at once, as Valkey 9 does."""
    source = owner_of(cluster, slot)
    source.command("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", target.id())
    wait_until(lambda: _sees(source, slot, target), 10)


def _sees(node: ClusterNode, slot: int, target: ClusterNode) -> bool:
    found = table_of(node).primary(slot)
    return found is not None and found.port == target.port


def kill_primary(cluster: LocalCluster, slot: int, *, copied: bool = False) -> float:
    """Kill the primary of a slot, wait until its replica serves the slot, and return how long that took.

    Args:
        cluster: of primaries with a replica each.
        slot: one of the primary's slots.
        copied: whether its replica has everything that it accepted. Otherwise the frames and commits of its
            last moment may be lost with it, because replication is asynchronous.
    """
    victim = owner_of(cluster, slot)
    if copied:
        victim.command("CLIENT", "PAUSE", 10_000, "WRITE")
        replica = replica_of(cluster, victim)
        wait_until(lambda: _offset(replica, "slave_repl_offset") == _offset(victim, "master_repl_offset"))
    victim.kill()
    begin_s = time.monotonic()

    def taken_over() -> bool:
        alive: list[Any] = [node for node in cluster.nodes if node.is_running()]
        primaries = [table_of(node).primary(slot) for node in alive]
        return all(one is not None and one.port != victim.port for one in primaries)

    wait_until(taken_over, 20)
    return time.monotonic() - begin_s


def _offset(node: ClusterNode, name: str) -> int:
    return int(node.client.info("replication")[name])
