"""The contract of the producers, on fakeredis and on real servers."""

from __future__ import annotations

import numpy as np
import pytest

from gesture_maze.embedded.ports import free_port
from gesture_maze.producer import (
    AsyncFrameProducer,
    Backpressure,
    ConnectionLost,
    Frame,
    FrameError,
    FrameProducer,
    RedisRefused,
    SendLost,
    SendRefused,
    SettingsError,
)
from gesture_maze.wire.decode import decode
from gesture_maze.wire.keys import GROUP, TOPOLOGY, frames_key, partition_of
from tests.support.servers import Proxy, Server

HAND = np.linspace(0, 1, 63, dtype=np.float32).reshape(21, 3)


def frame(session: str = "p1", seq: int = 1) -> Frame:
    return Frame(session, seq, 5, HAND, 4 / 3)


TICK = [frame(f"p{number}") for number in range(40)]


def found_on(server: Server, partition: int) -> list[tuple[str, int]]:
    entries = [
        [part for pair in fields.items() for part in pair]
        for _, fields in server.client.xrange(frames_key(partition))
    ]
    frames, rejects = decode(entries)
    assert not rejects
    return [(one.decode(), seq) for one, seq in zip(frames.sessions, frames.seq.tolist(), strict=True)]


def found_everywhere(server: Server) -> list[tuple[str, int]]:
    return sorted(one for partition in range(16) for one in found_on(server, partition))


# --- sending


def test_frame_sent_arrives_unchanged(server: Server, producer: FrameProducer) -> None:
    producer.send(frame())
    ((_, fields),) = server.client.xrange(frames_key(partition_of("p1", 16)))
    (found, _) = decode([[part for pair in fields.items() for part in pair]])
    assert found.sessions == [b"p1"]
    assert (found.seq[0], found.captured_ms[0], found.aspect[0], found.flags[0]) == (
        1,
        5,
        np.float32(4 / 3),
        1,
    )
    np.testing.assert_array_equal(found.landmarks[0], HAND)


def test_tick_of_many_frames_is_one_entry_per_partition(server: Server, producer: FrameProducer) -> None:
    producer.send_tick(TICK)
    for partition in range(16):
        wanted = [one.session for one in TICK if partition_of(one.session, 16) == partition]
        assert server.client.xlen(frames_key(partition)) == bool(wanted)
        assert [session for session, _ in found_on(server, partition)] == wanted


def test_arrays_sent_arrive_as_frames(server: Server, producer: FrameProducer) -> None:
    sessions = [one.session for one in TICK]
    producer.send_arrays(sessions, np.ones(40, np.int64), 5, np.stack([HAND] * 40), aspect=4 / 3)
    assert found_everywhere(server) == sorted((one, 1) for one in sessions)


def test_tick_with_a_bad_frame_is_not_sent(server: Server, producer: FrameProducer) -> None:
    with pytest.raises(FrameError) as caught:
        producer.send_tick([*TICK, frame("p 1")])
    assert caught.value.reason == "bad_session"
    assert not server.client.keys("frames:*")


async def test_asyncio_producer_sends_frames_ticks_and_arrays(server: Server) -> None:
    async with AsyncFrameProducer(server.async_redis, partitions=16) as producer:
        await producer.send(frame(seq=0))
        await producer.send_tick(TICK)
        await producer.send_arrays(["p1"], [2], 5, HAND[None], aspect=4 / 3)
    if server.kind == "fakeredis":
        await server.async_redis.aclose()
    assert found_on(server, partition_of("p1", 16))[0] == ("p1", 0)
    assert len(found_everywhere(server)) == 42


def test_stream_with_maxlen_is_bounded(server: Server) -> None:
    with FrameProducer(server.redis, maxlen=100, partitions=1) as producer:
        for seq in range(400):
            producer.send(frame(seq=seq))
    assert 100 <= server.client.xlen(frames_key(0)) < 400


# --- topology


def test_topology_written_by_the_first_producer_is_checked_by_others(server: Server) -> None:
    with (
        FrameProducer(server.redis, partitions=4) as first,
        FrameProducer(server.redis) as second,
    ):
        assert first.connect() == second.connect() == 4
    assert server.client.hgetall(TOPOLOGY) == {b"version": b"1", b"partitions": b"4"}
    with FrameProducer(server.redis, partitions=8) as third, pytest.raises(SettingsError) as caught:
        third.send(frame())
    assert caught.value.reason == "topology"
    assert "4 partitions" in str(caught.value)


def test_topology_after_flushall_is_written_again(server: Server) -> None:
    with FrameProducer(server.redis, partitions=4, guard_interval_s=0) as producer:
        producer.send(frame(seq=1))
        server.client.flushall()
        for seq in (2, 3):
            producer.send(frame(seq=seq))
        assert server.client.hgetall(TOPOLOGY) == {b"version": b"1", b"partitions": b"4"}
        assert [seq for _, seq in found_on(server, partition_of("p1", 4))] == [2, 3]


# --- backpressure


def test_lag_guard_refuses_frames_until_the_lag_falls(server: Server) -> None:
    key = frames_key(partition_of("p1", 16))
    with FrameProducer(server.redis, max_lag=3, guard_interval_s=0, partitions=16) as producer:
        producer.send(frame(seq=0))
        server.client.xgroup_create(key, GROUP, id="0")
        for seq in (1, 2, 3):
            producer.send(frame(seq=seq))
        with pytest.raises(Backpressure) as caught:
            producer.send_tick([frame("p2"), frame(seq=4)])
        assert caught.value.reason == "lag"
        assert caught.value.frames == (frame(seq=4),) or caught.value.rows == (1,)
        assert found_on(server, partition_of("p2", 16)) == [("p2", 1)]
        assert server.client.xlen(key) == 4
        # a worker commits all but one
        last = server.client.xrange(key)[2][0]
        server.client.xgroup_setid(key, GROUP, last, entries_read=3)
        producer.send(frame(seq=4))
        assert server.client.xlen(key) == 5


def test_lag_without_a_group_is_the_stream_length(server: Server) -> None:
    with FrameProducer(server.redis, max_lag=3, guard_interval_s=0, partitions=16) as producer:
        for seq in range(4):
            producer.send(frame(seq=seq))
        with pytest.raises(Backpressure):
            producer.send(frame(seq=4))


def test_send_out_of_memory_raises_backpressure(real_server: Server) -> None:
    with FrameProducer(real_server.redis, partitions=16) as producer:
        producer.send(frame(seq=1))
        real_server.client.config_set("maxmemory-policy", "noeviction")
        real_server.client.config_set("maxmemory", "1mb")
        with pytest.raises(Backpressure) as caught:
            producer.send_tick(TICK)
        assert caught.value.reason == "memory"
        assert caught.value.rows == tuple(range(40))
        real_server.client.config_set("maxmemory", 0)
        producer.send_tick(caught.value.frames)
    assert len(found_everywhere(real_server)) == 41


def test_topology_out_of_memory_raises_backpressure(real_server: Server) -> None:
    real_server.client.config_set("maxmemory", "1mb")
    with FrameProducer(real_server.redis, partitions=16) as producer, pytest.raises(Backpressure) as caught:
        producer.send(frame())
    assert caught.value.reason == "memory"
    assert caught.value.rows == (0,)


# --- refusals


def test_missing_replicas_are_reported_as_a_momentary_refusal(real_server: Server) -> None:
    with FrameProducer(real_server.redis, partitions=16, timeout_s=0.3, retries=0) as producer:
        producer.send(frame(seq=1))
        real_server.client.config_set("min-replicas-to-write", 1)
        try:
            with pytest.raises(SendRefused) as caught:
                producer.send_tick(TICK)
        finally:
            real_server.client.config_set("min-replicas-to-write", 0)
        assert (caught.value.reason, caught.value.momentary) == ("no_replicas", True)
        assert caught.value.rows == tuple(range(40))
        producer.send_tick(caught.value.frames)
    assert len(found_everywhere(real_server)) == 41


def test_partition_of_a_wrong_type_is_reported_and_the_others_are_accepted(server: Server) -> None:
    key = frames_key(partition_of("p1", 16))
    server.client.set(key, "not a stream")
    with FrameProducer(server.redis, partitions=16) as producer, pytest.raises(SendRefused) as caught:
        producer.send_tick([frame("p1"), frame("p2")])
    assert (caught.value.reason, caught.value.momentary) == ("wrong_type", False)
    assert caught.value.rows == (0,)
    assert f"XADD {key}" in str(caught.value)
    assert found_on(server, partition_of("p2", 16)) == [("p2", 1)]


# --- lost connections


def test_lost_answer_writes_the_entry_at_most_twice(real_server: Server, proxy: Proxy) -> None:
    with FrameProducer(proxy.url, partitions=16) as producer:
        producer.connect()
        proxy.lose_answers_to = 1
        producer.send(frame())
    # the pool answers the first entry and counts the second as `duplicate`
    assert found_on(real_server, partition_of("p1", 16)) == [("p1", 1)] * 2


def test_lost_answers_are_retried_up_to_the_limit(real_server: Server, proxy: Proxy) -> None:
    with FrameProducer(proxy.url, retries=1, partitions=16) as producer:
        producer.connect()
        proxy.lose_answers_to = 9
        with pytest.raises(SendLost) as caught:
            producer.send_tick([frame("p1"), frame("p2")])
        assert caught.value.frames[0].session == "p1"
        assert proxy.lose_answers_to == 7
        proxy.lose_answers_to = 0
        producer.send(frame(seq=2))
    assert found_on(real_server, partition_of("p1", 16)) == [("p1", 1), ("p1", 1), ("p1", 2)]


def test_send_without_an_answer_ends_at_the_timeout(real_server: Server, proxy: Proxy) -> None:
    with FrameProducer(proxy.url, retries=1, timeout_s=0.1, partitions=16) as producer:
        producer.connect()
        proxy.swallow = True
        with pytest.raises(ConnectionLost):
            producer.send(frame())
        proxy.swallow = False
        producer.send(frame(seq=2))
    assert found_on(real_server, partition_of("p1", 16)) == [("p1", 2)]


async def test_asyncio_lost_answer_is_retried(real_server: Server, proxy: Proxy) -> None:
    async with AsyncFrameProducer(proxy.url, timeout_s=0.5, partitions=16) as producer:
        await producer.connect()
        proxy.lose_answers_to = 1
        await producer.send(frame())
    assert found_on(real_server, partition_of("p1", 16)) == [("p1", 1)] * 2


def test_connections_cut_while_idle_lose_no_frame(real_server: Server) -> None:
    with FrameProducer(real_server.redis, retries=1, partitions=16) as producer:
        for seq in (1, 2, 3):
            producer.send(frame(seq=seq))
            real_server.client.client_kill_filter(_type="normal", skipme=True)
    assert [seq for _, seq in found_on(real_server, partition_of("p1", 16))] == [1, 2, 3]


async def test_asyncio_connections_cut_while_idle_lose_no_frame(real_server: Server) -> None:
    async with AsyncFrameProducer(real_server.redis, retries=1, partitions=16) as producer:
        for seq in (1, 2, 3):
            await producer.send(frame(seq=seq))
            real_server.client.client_kill_filter(_type="normal", skipme=True)
    assert [seq for _, seq in found_on(real_server, partition_of("p1", 16))] == [1, 2, 3]


def test_unreachable_server_raises_connection_lost() -> None:
    with FrameProducer(f"redis://127.0.0.1:{free_port()}/0", retries=0) as producer:
        with pytest.raises(ConnectionLost):
            producer.send(frame())
        with pytest.raises(ConnectionLost):
            producer.actions("p1")


def test_malformed_url_is_refused() -> None:
    with pytest.raises(SettingsError):
        FrameProducer("http://127.0.0.1", partitions=16)


def test_wrong_password_is_refused_without_a_retry(real_server: Server) -> None:
    assert real_server.url is not None
    with FrameProducer(real_server.url.replace("//", "//unknown:wrong@")) as producer:
        with pytest.raises(SendRefused) as caught:
            producer.send(frame())
        assert caught.value.reason == "credentials"
        with pytest.raises(RedisRefused):
            producer.actions("p1")


def test_connections_have_the_given_name(real_server: Server) -> None:
    with FrameProducer(real_server.redis, name="my-game", partitions=16) as producer, producer.actions("p1"):
        producer.connect()
        names = [one["name"] for one in real_server.client.client_list()]
        assert names.count("my-game") == 2
