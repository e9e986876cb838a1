"""The server's clock is set: heartbeats and leases of the past or of the future."""

from __future__ import annotations

import time
from typing import Any

import pytest

from gesture_maze.wire import keys
from tests.support.pool import PARTITIONS, HandWorker, joined


def test_heartbeat_in_the_future_counts_as_dead(client: Any) -> None:
    client.zadd(keys.WORKERS, {"ghost": 10**14})
    worker = joined(client)
    assert len(worker.loop.partitions) == PARTITIONS
    assert client.zrange(keys.WORKERS, 0, -1) == [b"a"]


def test_long_lease_of_a_missing_owner_is_released(client: Any) -> None:
    client.set(keys.lease_key(1), "ghost:1", px=3_600_000)
    worker = HandWorker(client)
    now_s = time.monotonic()
    worker.keeper.step(now_s)
    worker.keeper.step(now_s + 2)
    worker.work()
    assert len(worker.loop.partitions) == PARTITIONS


@pytest.mark.parametrize("moved_ms", [-3_600_000, 60_000], ids=["ahead", "back"])
def test_clock_that_is_set_moves_no_partition_to_another_worker(client: Any, moved_ms: int) -> None:
    a, b = HandWorker(client), HandWorker(client, "b")
    for worker in (a, b, a, b):
        worker.join()
        worker.work()
    assert [len(worker.loop.partitions) for worker in (a, b)] == [2, 2]
    leases = [keys.lease_key(number) for number in range(PARTITIONS)]
    held = client.mget(leases)
    # afterwards heartbeats are of long ago or of the future, and leases have ended or last long
    for name in "ab":
        client.zincrby(keys.WORKERS, moved_ms, name)
    for lease in leases:
        if moved_ms < 0:
            client.delete(lease)
        else:
            client.pexpire(lease, a.settings.lease_ttl_ms + moved_ms)
    now_s = time.monotonic() + 2  # the next survey is due
    for worker in (a, b):
        worker.keeper.step(now_s)
        worker.work()
    assert client.zcard(keys.WORKERS) == 2
    assert [len(worker.loop.partitions) for worker in (a, b)] == [2, 2]
    assert set(a.loop.partitions).isdisjoint(b.loop.partitions)
    assert moved_ms < 0 or client.mget(leases) == held, "no lease has ended"


def test_dead_worker_leaves_the_roster_when_its_time_after_a_set_clock_is_over(client: Any) -> None:
    worker = joined(client)
    client.zadd(keys.WORKERS, {"ghost": 1, "a": 1})
    worker.join()
    assert client.zcard(keys.WORKERS) == 2
    client.zincrby(keys.WORKERS, -worker.settings.lease_ttl_ms / 2 - 1, "ghost")  # as if that time had passed
    worker.join()
    assert client.zrange(keys.WORKERS, 0, -1) == [b"a"]


def test_pool_after_a_reboot_with_a_corrected_clock_is_owned_by_new_workers(client: Any) -> None:
    # what the append-only file holds: leases that last for an hour, and heartbeats of an hour ahead
    ahead_ms = 3_600_000
    for number in range(PARTITIONS):
        client.set(keys.lease_key(number), f"old-{number % 2}:1", px=ahead_ms)
    client.zadd(keys.WORKERS, {f"old-{n}": time.time() * 1000 + ahead_ms for n in range(2)})
    new = [HandWorker(client, name) for name in ("a", "b")]
    now_s = time.monotonic()
    for second in range(3):
        for worker in new:
            worker.keeper.step(now_s + 2 * second)
            worker.work()
    assert [len(worker.loop.partitions) for worker in new] == [2, 2]
    assert set(client.zrange(keys.WORKERS, 0, -1)) == {b"a", b"b"}
