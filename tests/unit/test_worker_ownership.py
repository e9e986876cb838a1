"""How a worker opens partitions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from gesture_maze.wire.errors import NodeLost
from gesture_maze.worker.keeper import RENEW_SHARE, SELF_FENCE_SHARE, STALL_S, Keeper
from gesture_maze.worker.logs import Log
from gesture_maze.worker.metrics import Metrics
from gesture_maze.worker.ownership import Ownership
from gesture_maze.worker.partition import Partition
from gesture_maze.worker.records import Grant, Read, Roster, Standing
from gesture_maze.worker.redis.client import node_timeout_s
from gesture_maze.worker.settings import MIN_LEASE_TTL_MS

PAGES = 5
PAGE_S = 4.0
"""How long sessions are rebuilt from one page: together longer than a loop may be without progress."""


def owner(acquire: Callable[..., Grant | None]) -> tuple[Keeper, Ownership, dict[int, Partition]]:
    """Return keeper, ownership and partitions of a worker at 100 s, with empty streams."""
    log = Log("human", "error")
    broker: Any = SimpleNamespace(lease_ttl_ms=3000, acquire=acquire, past=lambda *_: iter([]))
    keeper = Keeper(broker, "w", "{}", lambda: None, log, lambda: 100.0)
    path: Any = SimpleNamespace(rebuild=lambda *_: None)
    partitions: dict[int, Partition] = {}
    ownership = Ownership(
        broker, keeper, path, partitions, total=2, rebuild_ms=5000, metrics=Metrics(),
        clock=lambda: 100.0, log=log,
    )  # fmt: skip
    return keeper, ownership, partitions


@pytest.mark.parametrize("lease_ttl_ms", [MIN_LEASE_TTL_MS, 3000, 60_000])
def test_timeout_of_a_node_that_hangs_ends_before_leases_on_other_nodes_do(lease_ttl_ms: int) -> None:
    worst_s = lease_ttl_ms / 1000 * RENEW_SHARE + node_timeout_s(lease_ttl_ms)
    assert worst_s < lease_ttl_ms / 1000 * SELF_FENCE_SHARE


def test_long_lease_in_the_name_of_a_worker_that_does_not_hold_it_is_freed() -> None:
    keeper, _, _ = owner(lambda *_: None)
    broker: Any = keeper._broker
    freed: list[Any] = []
    broker.renew = lambda _tokens: {}
    broker.roster = lambda *_: Roster(0, ["a", "w"], ["w:9"])  # by shares it is the other's
    broker.survey = lambda _held: []
    broker.free = lambda *words: freed.append(words)
    keeper.step(100.0)
    assert freed == [("w", [0], 6000)]


def test_keeper_after_a_stop_of_the_whole_process_does_not_take_the_loop_for_stalled() -> None:
    keeper, _, _ = owner(lambda *_: Grant(1, "w:1", b"9-0", 9))
    broker: Any = keeper._broker
    broker.renew = lambda tokens: dict.fromkeys(tokens, False)
    broker.roster = lambda *_: Roster(0, ["w"], [None])
    broker.survey = lambda _held: []
    keeper.progressed(100.0)
    keeper.step(100.0)
    keeper.step(100.0 + 2 * STALL_S)
    assert keeper.held()
    assert keeper.is_ready(100.0 + 2 * STALL_S)


def test_rebuild_that_takes_longer_than_a_stall_keeps_its_leases() -> None:
    now_s = 100.0
    silent_s: list[float] = []
    grant = Grant(1, "w:1", b"9-0", 9)

    def rebuild(_partition: Any, past: Iterable[Read], _now_ms: int | None) -> None:
        nonlocal now_s
        for _ in past:
            now_s += PAGE_S
            silent_s.append(keeper.silent_s(now_s))

    log = Log("human", "error")
    broker: Any = SimpleNamespace(
        lease_ttl_ms=3000,
        acquire=lambda *_: grant,
        past=lambda *_: iter([Read(1, [b"1-0"], [[b"x", b"y"]])] * PAGES),
    )
    keeper = Keeper(broker, "w", "{}", lambda: None, log, lambda: now_s)
    path: Any = SimpleNamespace(rebuild=rebuild)
    ownership = Ownership(
        broker, keeper, path, {}, total=2, rebuild_ms=5000, metrics=Metrics(), clock=lambda: now_s, log=log
    )
    keeper.progressed(now_s)
    keeper.acquire(1, now_s)
    ownership.follow(lambda: None)
    assert len(silent_s) == PAGES
    assert PAGES * PAGE_S > STALL_S
    assert max(silent_s) <= PAGE_S


def test_partition_whose_node_stays_lost_is_dropped_before_another_batch_is_committed() -> None:
    grant = Grant(1, "w:1", b"9-0", 9)
    grants: list[Grant | None] = [grant, None]

    def acquire(_worker: str, partition: int, _cursor: bytes) -> Grant:
        found = grants.pop(0)
        if found is None:
            raise NodeLost(partition, "the connection is lost")
        return found

    keeper, ownership, partitions = owner(acquire)
    keeper.acquire(1, 100.0)
    ownership.follow(lambda: None)
    assert list(partitions) == [1]
    # its commit was lost, and the lease may still be there: the old token must not commit what follows
    ownership.recover({1: "the connection is lost"})
    assert keeper.is_usable(1, 100.0)
    assert not partitions


def test_partition_acquired_again_under_the_same_token_is_rebuilt_at_the_cursor() -> None:
    # a failover has lost the last epoch and the commits under it
    grants = [Grant(1, "w:5", b"9-0", 9), Grant(1, "w:5", b"3-0", 3)]
    keeper, ownership, partitions = owner(lambda *_: grants.pop(0))
    positions = []
    for _ in range(2):
        keeper.acquire(1, 100.0)
        ownership.follow(lambda: None)
        positions.append(partitions[1].position)
    assert positions == [b"9-0", b"3-0"]


class SlowRedis:
    """A server with a fake clock, on which every command on one partition takes `ACQUIRE_S`."""

    def __init__(self, partitions: int) -> None:
        self.now_s = 100.0
        self.lease_ttl_ms = 3000
        self.leases: list[str | None] = [None] * partitions
        self.expires_s = [0.0] * partitions
        self.on_release: Callable[[], None] = lambda: None

    def renew(self, tokens: dict[int, str]) -> dict[int, bool]:
        good = {one: self.now_s < self.expires_s[one] for one in tokens}
        for one, still in good.items():
            self.expires_s[one] = self.now_s + self.lease_ttl_ms / 1000 if still else 0.0
        return good

    def roster(self, worker: str, _info: str) -> Roster:
        held = zip(self.leases, self.expires_s, strict=True)
        return Roster(1, [worker], [lease if self.now_s < end_s else None for lease, end_s in held])

    def acquire(self, worker: str, partition: int, _cursor: bytes) -> Grant:
        self.now_s += ACQUIRE_S
        self.leases[partition] = f"{worker}:1"
        self.expires_s[partition] = self.now_s + self.lease_ttl_ms / 1000
        return Grant(partition, f"{worker}:1", b"0-0", 0)

    def release(self, tokens: dict[int, str]) -> None:
        self.now_s += ACQUIRE_S * len(tokens)
        self.on_release()

    def survey(self, _partitions: list[int]) -> list[Standing]:
        return []

    def past(self, *_: Any) -> Iterator[Read]:
        self.now_s += ACQUIRE_S
        return iter(())


ACQUIRE_S = 0.1


def test_worker_that_acquires_many_partitions_slowly_keeps_the_first_ones() -> None:
    total = 200
    redis: Any = SlowRedis(total)
    log = Log("human", "error")
    keeper = Keeper(redis, "w", "{}", lambda: None, log, lambda: redis.now_s)
    steps = 0
    while len(keeper.held()) < total:
        before = len(keeper.held())
        keeper.step(redis.now_s)
        steps += 1
        assert len(keeper.held()) > before
        assert all(keeper.is_usable(one, redis.now_s) for one in keeper.held())
        assert keeper._pause_s() == (0.0 if len(keeper.held()) < total else 0.75)
    assert steps <= total * ACQUIRE_S / 0.75 + 2
    assert ACQUIRE_S * total > STALL_S
    partitions: dict[int, Partition] = {}
    path: Any = SimpleNamespace(rebuild=lambda _partition, past, _now_ms: list(past))
    silent_s = []
    ownership = Ownership(
        redis, keeper, path, partitions, total=total, rebuild_ms=5000, metrics=Metrics(),
        clock=lambda: redis.now_s, log=log,
    )  # fmt: skip
    ownership.on_open = lambda _partition: silent_s.append(keeper.silent_s(redis.now_s))
    redis.on_release = lambda: silent_s.append(keeper.silent_s(redis.now_s))
    keeper.progressed(redis.now_s)
    ownership.follow(lambda: None)
    assert len(partitions) == total
    assert max(silent_s) <= 2 * ACQUIRE_S
    silent_s.clear()
    ownership.release(set(range(total)))
    assert not partitions
    assert len(silent_s) > total * ACQUIRE_S / STALL_S
    assert max(silent_s) < STALL_S
