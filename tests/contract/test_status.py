"""The status of a pool as read from Redis, on every server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from gesture_maze.cli.main import build
from gesture_maze.wire import keys
from gesture_maze.wire.errors import SettingsError
from gesture_maze.worker.redis.status import StatusReader, partition_count
from tests.support.pool import PARTITIONS, A, HandWorker, add, hand, joined, sessions_of
from tests.support.servers import Server

READING = ("status", "status --sd", "status --advise", "doctor", "top --once", "models", "dead")


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    HandWorker.close_all()


def test_status_of_an_empty_redis_has_no_pool(server: Server) -> None:
    found = StatusReader(server.client).read()
    assert (found.partitions, found.workers, found.healthy) == ((), (), True)
    assert partition_count(server.client) == 0


def test_status_of_another_wire_version_is_refused(server: Server) -> None:
    server.client.hset(keys.TOPOLOGY, mapping={"version": 2, "partitions": 4})
    with pytest.raises(SettingsError, match="got 2"):
        StatusReader(server.client).read()


def test_status_of_a_working_pool_has_owners_counts_and_lag(server: Server) -> None:
    worker = HandWorker(server.client)
    worker.join()
    session = sessions_of(2, 1)[0]
    for seq in (1, 2, 2):
        add(server.client, hand(session, seq))
    server.client.xadd(keys.frames_key(2), {"foo": "bar"})
    worker.work()
    add(server.client, hand(session, 3))

    found = StatusReader(server.client).read()
    assert [one.partition for one in found.partitions] == list(range(PARTITIONS))
    assert {one.owner for one in found.partitions} == {"a"}
    assert [one.partitions for one in found.workers] == [tuple(range(PARTITIONS))]
    assert found.workers[0].silent_ms < 3000
    busy = found.partitions[2]
    assert (busy.added, busy.entries_read, busy.lag, busy.dead) == (5, 4, 1, 1)
    assert busy.counts == {"entries": 4, "frames": 4, "answered": 2, "duplicate": 1, "rejected": 1}
    assert found.outcomes["answered"] == 2
    assert busy.epoch > 0
    assert busy.waits_since_ms is not None
    assert abs(found.server_ms - busy.waits_since_ms) < 5000
    assert found.partitions[0].waits_since_ms is None
    assert found.all_accounted_for
    assert found.healthy


def test_status_after_a_takeover_accounts_for_all_frames(server: Server) -> None:
    first = HandWorker(server.client, "a")
    first.join()
    session = sessions_of(1, 1)[0]
    for seq in range(1, 6):
        add(server.client, hand(session, seq))
    first.work()
    server.client.delete(*[keys.lease_key(partition) for partition in range(PARTITIONS)])
    server.client.zrem(keys.WORKERS, "a")
    second = HandWorker(server.client, "b")
    second.join()
    for seq in range(6, 9):
        add(server.client, hand(session, seq))
    second.work(8)
    add(server.client, hand(session, 9))
    found = StatusReader(server.client).read()
    assert found.partitions[1].entries_read == 8
    assert found.lag == 1
    assert found.all_accounted_for


def test_status_of_a_stream_at_the_largest_id_is_shown_and_the_partition_is_taken_over(
    real_server: Server,
) -> None:
    largest = f"{2**64 - 1}-{2**64 - 1}"
    worker = joined(real_server.client)
    add(real_server.client, hand(A, 1), entry_id=largest)
    worker.work()
    found = StatusReader(real_server.client).read()
    assert found.healthy
    assert (found.lag, found.outcomes["answered"]) == (0, 1)
    worker.loop.drain()
    assert len(joined(real_server.client, "b").loop.partitions) == PARTITIONS


def test_status_of_miscounted_frames_is_unhealthy(server: Server) -> None:
    worker = HandWorker(server.client)
    worker.join()
    add(server.client, hand(sessions_of(0, 1)[0], 1))
    worker.work()
    server.client.hincrby(keys.outcomes_key(0), "answered", 1)
    found = StatusReader(server.client).read()
    assert not found.partitions[0].frames_accounted_for
    assert not found.healthy


def test_status_of_frames_without_an_owner_is_unhealthy(server: Server) -> None:
    HandWorker(server.client).join()
    add(server.client, hand(sessions_of(3, 1)[0], 1))
    server.client.delete(keys.lease_key(3))
    found = StatusReader(server.client).read()
    assert found.without_owner == (3,)
    assert found.partitions[3].owner is None
    assert not found.healthy


@pytest.mark.parametrize("words", READING)
def test_read_only_command_out_of_memory_works(real_server: Server, words: str) -> None:
    assert real_server.url is not None
    worker = HandWorker(real_server.client)
    worker.join()
    real_server.client.script_flush()
    real_server.client.config_set("maxmemory", 1)
    result = CliRunner().invoke(build(), [*words.split(), "--redis", real_server.url])
    expected = 1 if words == "doctor" else 0  # the full memory itself is an error
    assert result.exit_code == expected, result.output


def test_status_of_a_pool_with_hostile_values_is_shown(real_server: Server) -> None:
    assert real_server.url is not None
    client = real_server.client
    client.hset(keys.TOPOLOGY, mapping={"version": 1, "partitions": PARTITIONS})
    client.zadd(keys.WORKERS, {b"\xff\x1b[2J": float("inf")})
    client.hset(keys.WORKERS_INFO, b"\xff\x1b[2J", "[1]")
    client.hset(keys.outcomes_key(1), "answered", "many")
    result = CliRunner().invoke(build(), ["status", "--redis", real_server.url])
    assert result.exit_code == 0, result.output
    assert "\\x1b[2J" in result.output
    assert result.output.replace("\n", "").isprintable()
