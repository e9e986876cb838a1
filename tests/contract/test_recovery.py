"""Recovery of a pool: memory limit, missing rights, tampered keys, stalls, clock jumps."""

from __future__ import annotations

import time
from typing import Any

import pytest

from gesture_maze.wire import keys
from gesture_maze.wire.errors import ConnectionLost, RedisRefused, SettingsError
from gesture_maze.wire.frames import pack
from gesture_maze.worker.intake import MAX_BATCH_BYTES
from gesture_maze.worker.redis.client import connect
from gesture_maze.worker.redis.listener import SILENCE_S, WakeListener
from tests.support.pool import (
    PARTITIONS,
    STREAM,
    A,
    B,
    HandWorker,
    Subscriber,
    add,
    hand,
    joined,
    outcomes,
    sessions_of,
    standing,
)
from tests.support.servers import Proxy, Server

FUTURE_ID = "10000000000000-0"
"""An entry id of the year 2286."""


@pytest.fixture
def full(real_server: Server) -> Any:
    """A client and a function that puts the server at its memory limit."""

    def fill() -> None:
        real_server.client.config_set("maxmemory", "1mb")

    real_server.client.config_set("maxmemory-policy", "noeviction")
    yield real_server.client, fill
    real_server.client.config_set("maxmemory", 0)
    HandWorker.close_all()


def test_takeover_out_of_memory_answers_waiting_frames(full: Any) -> None:
    client, fill = full
    replies = Subscriber(client, A)
    first = joined(client)
    add(client, hand(A, 1))
    first.work()
    add(client, hand(A, 2))
    first.broker.release_dead("a")  # simulated death, which leaves suspects
    fill()
    with pytest.raises(Exception, match=r"OOM|memory"):
        client.set("anything", "x")
    second = joined(client, "b")
    second.work(8)
    assert replies.seqs() == [1, 2]
    assert client.hget(keys.suspect_key(1), "owner").startswith(b"b:")
    replies.close()


def test_suspects_cleared_with_a_lost_lease_are_kept(client: Any) -> None:
    first = joined(client)
    grant = first.loop.partitions[1].grant
    first.broker.release_dead("a")
    joined(client, "b")
    before = client.hgetall(keys.suspect_key(1))
    assert not first.broker.clear_suspects(grant)
    assert client.hgetall(keys.suspect_key(1)) == before


def _user(client: Any, *commands: str) -> Any:
    """Return a client of a user with these rights, on every key and channel."""
    client.acl_setuser(
        "mute", enabled=True, nopass=True, reset=True, commands=list(commands), keys=["*"], channels=["*"]
    )
    address = client.connection_pool.connection_kwargs
    return type(client)(host=address["host"], port=address["port"], username="mute", password="any")


def test_partition_of_a_worker_without_the_right_to_publish_is_refused(real_server: Server) -> None:
    client = real_server.client
    mute = _user(client, "+@all", "-publish")
    add(client, hand(A, 1))
    worker = HandWorker(mute)
    with pytest.raises(RedisRefused) as raised:
        worker.broker.acquire("a", 1)
    assert raised.value.reason == "no_permission"
    worker.keeper.acquire(1, time.monotonic())
    assert worker.keeper.held() == {}
    assert client.get(keys.lease_key(1)) is None
    assert client.hgetall(keys.outcomes_key(1)) == {}
    HandWorker.close_all()
    mute.close()
    client.acl_deluser("mute")


def test_worker_that_loses_the_right_to_publish_commits_nothing(real_server: Server) -> None:
    client = real_server.client
    mute = _user(client, "+@all")
    worker = joined(mute)
    client.execute_command("ACL", "SETUSER", "mute", "-publish")
    add(client, hand(A, 1))
    worker.work()
    assert 1 not in worker.loop.partitions
    assert outcomes(client, 1) == {}
    assert standing(client)["last-delivered-id"] == b"0-0"
    client.execute_command("ACL", "SETUSER", "mute", "+publish")
    replies = Subscriber(client, A)
    worker.join()
    worker.work()
    assert replies.seqs() == [1]
    replies.close()
    HandWorker.close_all()
    mute.close()
    client.acl_deluser("mute")


def test_wake_subscription_that_falls_silent_is_lost_and_a_quiet_one_is_not(proxy: Proxy) -> None:
    now_s = 0.0
    client = connect(proxy.url, "test")
    listener = WakeListener(client, lambda: now_s)
    for _ in range(4):  # no message for longer than the limit, but answers to pings
        now_s += SILENCE_S * 0.5
        assert listener.wait(1.0) == set()
    proxy.silence()
    for _ in range(2):
        now_s += SILENCE_S * 0.5
        assert listener.wait(0.01) == set()
    now_s += SILENCE_S * 0.5
    with pytest.raises(ConnectionLost, match="did not answer on a subscription"):
        listener.wait(0.01)
    listener.close()
    client.close()


def test_stalled_loop_releases_its_leases_and_reclaims_its_share_on_progress(client: Any) -> None:
    stalled = joined(client)
    other = HandWorker(client, "b")
    other.join()
    now_s = time.monotonic()
    stalled.keeper.progressed(now_s)
    stalled.keeper.step(now_s + 11)
    assert stalled.keeper.held() == {}
    assert not stalled.keeper.is_ready(now_s + 11)
    other.join()
    other.work()
    assert len(other.loop.partitions) == PARTITIONS
    stalled.keeper.progressed(time.monotonic())
    stalled.keeper.step(time.monotonic())
    other.join()
    assert len(other.keeper.to_release()) == PARTITIONS // 2


def test_stalled_loop_whose_connection_is_lost_frees_its_leases_when_it_is_back(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*_: Any) -> None:
        raise ConnectionLost("connection", "lost")

    stalled = joined(client)
    now_s = time.monotonic()
    stalled.keeper.progressed(now_s)
    with monkeypatch.context() as patched:
        patched.setattr(stalled.broker, "roster", lose)
        with pytest.raises(ConnectionLost):
            stalled.keeper.step(now_s + 11)
    assert stalled.keeper.held() == {}
    stalled.keeper.step(now_s + 12)
    assert client.get(keys.lease_key(1)) is None


def test_stalled_loop_after_a_reconnect_does_not_reacquire_its_leases(client: Any) -> None:
    stalled = joined(client)
    now_s = time.monotonic()
    stalled.keeper.progressed(now_s)
    stalled.keeper.step(now_s + 11)
    stalled.loop.reconnect()
    assert (stalled.loop.partitions, stalled.keeper.held()) == ({}, {})
    assert client.get(keys.lease_key(1)) is None


@pytest.mark.parametrize(
    ("key", "write"),
    [
        (keys.WORKERS, lambda client: client.zadd(keys.WORKERS, {b"\xff\xfe": 10**13})),
        (keys.WORKERS_INFO, lambda client: client.hset(keys.WORKERS_INFO, b"\xff", b"\xff")),
        ("lease", lambda client: client.set(keys.lease_key(2), b"\xff\xfe:\xff", px=50)),
        ("epoch", lambda client: client.set(keys.epoch_key(1), b"1e309")),
        ("epoch nan", lambda client: client.set(keys.epoch_key(1), b"nan")),
    ],
)
def test_hostile_value_in_a_pool_key_does_not_stop_the_worker(
    client: Any, replies: Subscriber, key: str, write: Any
) -> None:
    write(client)
    time.sleep(0.06)
    worker = HandWorker(client)
    worker.join()
    worker.join()
    worker.work()
    add(client, hand(A, 1))
    worker.work()
    assert replies.seqs() == [1]


@pytest.mark.parametrize("partitions", [b"sixteen", b"\xff", b"", b"64"])
def test_tampered_topology_is_reported_and_leases_are_kept(client: Any, partitions: bytes) -> None:
    worker = joined(client)
    client.hset(keys.TOPOLOGY, "partitions", partitions)
    with pytest.raises(SettingsError, match="topology"):
        worker.keeper.step(time.monotonic())
    assert len(worker.keeper.held()) == PARTITIONS


def test_stream_recreated_below_the_cursor_is_read_from_its_start(client: Any, replies: Subscriber) -> None:
    worker = joined(client)
    add(client, hand(A, 1), entry_id=FUTURE_ID)
    worker.work()
    client.flushall()
    add(client, hand(A, 2), hand(A, 3))
    worker.loop.reconnect()
    worker.work()
    assert replies.seqs() == [1, 2, 3]


def test_stream_missing_at_reconnect_is_read_from_its_start(client: Any, replies: Subscriber) -> None:
    worker = joined(client)
    add(client, hand(A, 1), entry_id=FUTURE_ID)
    worker.work()
    client.flushall()
    worker.loop.reconnect()
    add(client, hand(A, 2), hand(A, 3))  # ids below the old cursor: the clock was set back
    worker.work()
    assert replies.seqs() == [1, 2, 3]


@pytest.mark.parametrize("late_commit", [False, True])
def test_stream_replaced_below_the_position_is_read_without_a_reconnect(
    client: Any, replies: Subscriber, late_commit: bool
) -> None:
    worker = joined(client)
    add(client, hand(A, 1), entry_id=FUTURE_ID)
    worker.work()
    client.delete(STREAM)
    if late_commit:  # it creates the group again, at its own position
        client.xgroup_create(STREAM, keys.GROUP, FUTURE_ID, mkstream=True)
    add(client, hand(A, 2))  # an id below the old position: the clock was set back
    _sweep(worker)
    worker.work()
    assert replies.seqs() == [1, 2]


def test_frames_with_future_ids_are_answered_and_trimmed_by_observation(client: Any) -> None:
    worker = joined(client, retention_ms=200, rebuild_ms=1, supersede_ms=0)
    add(client, hand(A, 1), entry_id=FUTURE_ID)
    for seq in range(2, 402):
        add(client, hand(A, seq))
    worker.work(30)
    assert outcomes(client, 1)["answered"] == 401
    assert worker.count("maze_reply_latency_seconds_sum") >= 0
    _sweep(worker)
    assert worker.count("maze_stream_ahead_seconds", partition="1") > 10**9
    time.sleep(0.3)
    _sweep(worker)
    assert client.xlen(STREAM) <= 100
    waiting = add(client, hand(A, 1000))
    worker.work()
    assert client.xrevrange(STREAM, count=1)[0][0] == waiting
    assert outcomes(client, 1)["answered"] == 402


def _sweep(worker: HandWorker) -> None:
    worker.keeper._next_survey_s = 0.0
    worker.keeper.step(time.monotonic())
    worker.loop._retention._next_sweep_s = worker.loop._retention._next_memory_s = 0.0
    worker.work()


def test_idle_partition_is_trimmed(client: Any) -> None:
    worker = joined(client, retention_ms=200, rebuild_ms=1)
    for seq in range(400):
        add(client, hand(A, seq))
    worker.work(30)
    time.sleep(0.3)
    _sweep(worker)
    assert client.xlen(STREAM) <= 100


def test_one_trim_removes_more_than_redis_does_by_default(real_server: Server) -> None:
    worker = joined(real_server.client)
    fill = "for i = 1, 15000 do redis.call('XADD', KEYS[1], i .. '-1', 'x', '') end"
    real_server.client.eval(fill, 1, keys.frames_key(0))
    worker.broker.trim({0: b"15000-1"})
    assert real_server.client.xlen(keys.frames_key(0)) <= 100
    HandWorker.close_all()


def test_retention_is_shortened_while_memory_is_short(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = joined(client, retention_ms=60_000, rebuild_ms=5_000)
    for used, retained_s in ((70, 60.0), (85, 32.5), (96, 5.0), (70, 60.0)):
        monkeypatch.setattr(worker.broker, "memory", lambda used=used: (used, 100))
        _sweep(worker)
        assert worker.count("maze_retention_seconds") == retained_s


def test_dead_letters_are_capped_by_bytes(client: Any) -> None:
    worker = joined(client, dead_letter_bytes=200_000)
    for _ in range(60):
        client.xadd(STREAM, {"x": b"y" * 100_000})
    worker.work(60)
    assert outcomes(client, 1)["rejected"] == 60
    kept = sum(len(value) for _, fields in client.xrange(keys.dead_key(1)) for value in fields.values())
    assert 0 < kept < 400_000


def test_retry_after_a_handover_of_a_busy_partition_is_answered_once(client: Any) -> None:
    busy = sessions_of(1, 42)[2:]
    replies = Subscriber(client, B)
    add(client, hand(B, 7))
    for seq in range(1, 80):
        for begin in (0, 20):
            add(client, *(hand(name, seq) for name in busy[begin : begin + 20]))
    for name in busy[:30]:
        for seq in range(100, 180):
            add(client, hand(name, seq))
    first = joined(client, batch_frames=512, deadline_ms=0, supersede_ms=0)
    while first.work():
        pass
    first.loop.drain()
    second = joined(client, "b", deadline_ms=0, supersede_ms=0, rebuild_ms=50_000)
    add(client, hand(B, 7))
    while second.work():
        pass
    assert replies.seqs() == [7]
    assert outcomes(client, 1)["duplicate"] == 1
    replies.close()


def test_backlog_of_huge_entries_is_processed_in_batches_bounded_by_bytes(real_server: Server) -> None:
    client = real_server.client
    s, m, landmarks = pack([hand(A, seq) for seq in range(1, 3501)])
    worker = joined(client, deadline_ms=0, supersede_ms=0)
    for _ in range(20):  # 1 MB each; all but the first hold nothing but duplicates
        client.xadd(STREAM, {"s": s, "m": m, "l": landmarks})
    sizes: list[int] = []
    decode = worker.worker.path.decode

    def noted(batch: Any) -> None:
        sizes.append(sum(len(one[-1]) for one in batch.entries))
        decode(batch)

    worker.worker.path.decode = noted
    worker.work(40)
    assert outcomes(client, 1) == {"answered": 3500, "duplicate": 66_500, "frames": 70_000, "entries": 20}
    assert max(sizes) <= MAX_BATCH_BYTES
    assert len([size for size in sizes if size]) >= 5
    HandWorker.close_all()


def test_frames_of_a_fenced_commit_after_flushall_and_reconnect_are_read_again(
    client: Any, replies: Subscriber
) -> None:
    worker = joined(client)
    client.flushall()
    add(client, hand(A, 1))
    worker.loop.step()  # reads the new stream and sends a commit, which the lost lease fences
    worker.loop.reconnect()
    worker.work()
    assert replies.seqs() == [1]
