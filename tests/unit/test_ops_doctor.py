"""The findings of `maze doctor` for given facts."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from redis.exceptions import NoPermissionError

from gesture_maze.ops.doctor import Facts, examine
from gesture_maze.ops.mending import mend
from gesture_maze.wire.errors import ConnectionLost, RedisRefused, RefusalReason
from gesture_maze.worker.redis.attach import attached
from gesture_maze.worker.redis.status import PoolStatus, StatusReader
from tests.support.pool_status import partition_status, pool_status

GOOD = Facts(
    info={
        "redis_version": "7.0.15", "maxmemory_policy": "noeviction", "maxmemory": 100, "used_memory": 10,
        "aof_enabled": 1, "aof_last_write_status": "ok", "evicted_keys": 0,
    },
    config={"timeout": "0", "proto-max-bulk-len": str(512 << 20)},
    whoami="operator", powers={"FLUSHALL": False}, skew_ms=3.0, round_trip_ms=0.2, status=pool_status(),
    reached=frozenset({"w1"}),
)  # fmt: skip


def test_doctor_of_a_healthy_pool_finds_no_fault() -> None:
    assert {one.status for one in examine(GOOD)} == {"ok"}
    assert len(examine(GOOD)) == 10


def test_doctor_of_a_cluster_names_the_primary_with_a_fault() -> None:
    full = replace(GOOD, info={**GOOD.info, "used_memory": 90})
    facts = replace(GOOD, nodes={"10.0.0.2:6379": full}, covered=False)
    faults = {one.check: one.message for one in examine(facts) if one.status == "error"}
    assert faults.keys() == {"cluster", "memory 10.0.0.2:6379"}
    assert "90% of maxmemory" in faults["memory 10.0.0.2:6379"]


@pytest.mark.parametrize(
    ("changed", "status", "words"),
    [
        ({"info": {"redis_version": "6.2.14"}}, "error", "too old"),
        ({"info": {"maxmemory_policy": "allkeys-lru"}}, "error", "CONFIG SET maxmemory-policy noeviction"),
        ({"info": {"maxmemory": 0}}, "warning", "maxmemory is not set"),
        ({"info": {"used_memory": 90}}, "error", "90% of maxmemory"),
        ({"info": {"evicted_keys": 3}}, "error", "3 keys were evicted"),
        ({"info": {"aof_enabled": 0}}, "warning", "appendonly is off"),
        ({"info": {"aof_last_write_status": "err"}}, "error", "is the disk full"),
        ({"whoami": "default"}, "warning", "maze acl"),
        ({"powers": {"FLUSHALL": True}}, "warning", "may run FLUSHALL"),
        ({"local": False}, "warning", "rediss://"),
        ({"skew_ms": -900.0}, "warning", "NTP"),
        (
            {"status": pool_status(partition_status(3, newest_ms=10**13), server_ms=10**13 - 60_000)},
            "warning",
            "partitions 3 are up to 60 s ahead of the server's clock",
        ),
        ({"round_trip_ms": 12.0}, "warning", "two round trips"),
        ({"config": {"timeout": "5"}}, "error", "CONFIG SET timeout 0"),
        ({"config": {"proto-max-bulk-len": str(1 << 20)}}, "warning", "model bundle"),
        ({"status": PoolStatus(0, (), ())}, "warning", "No pool has used this Redis"),
        ({"status": pool_status(workers=0)}, "error", "No worker is alive"),
        (
            {"status": pool_status(partition_status(0), partition_status(1, owner=None))},
            "error",
            "No owner for partitions 1:",
        ),
        (
            {"status": pool_status(*(partition_status(one, owner=None) for one in (0, 1, 2, 5)))},
            "error",
            "No owner for partitions 0-2, 5: see",
        ),
        (
            {"status": pool_status(partition_status(0, counts={"frames": 9}))},
            "error",
            "lost or counted twice",
        ),
        ({"reached": frozenset()}, "warning", "--metrics-host"),
    ],
)
def test_doctor_for_each_fault_names_the_remedy(changed: dict[str, Any], status: str, words: str) -> None:
    if "info" in changed:
        changed = {"info": {**GOOD.info, **changed["info"]}}
    found = [one for one in examine(replace(GOOD, **changed)) if one.status != "ok"]
    assert [(one.status, words in one.message) for one in found if words in one.message] == [(status, True)]


@pytest.mark.parametrize(
    ("skew_ms", "words"),
    [(-0.3, "less than 1 ms off ours"), (0.0, "less than 1 ms off ours"), (-2.0, "-2 ms off ours")],
)
def test_doctor_of_clocks_that_agree_shows_a_readable_difference(skew_ms: float, words: str) -> None:
    (found,) = [one for one in examine(replace(GOOD, skew_ms=skew_ms)) if one.check == "clock"]
    assert (found.status, found.message) == ("ok", words)


def test_mend_without_rights_asks_for_a_user_with_all_rights() -> None:
    def refuse(**_: object) -> None:
        raise NoPermissionError("No permissions to access a key script")

    client: Any = SimpleNamespace(register_script=lambda _: refuse)
    with pytest.raises(RedisRefused, match="a user with all rights, which no role has") as refused:
        mend(client, 1)
    assert refused.value.reason == RefusalReason.NO_PERMISSION


def test_command_without_a_server_names_its_address_and_the_remedy() -> None:
    with pytest.raises(ConnectionLost) as failed, attached("redis://user:secret@127.0.0.1:1/0") as client:
        StatusReader(client).read()
    text = str(failed.value)
    assert text.startswith("cannot reach Redis: ")
    assert "start a server at redis://user:***@127.0.0.1:1/0, or set another address with --redis" in text
