"""The contract of listeners, on fakeredis and on real servers."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from gesture_maze.producer import (
    AsyncFrameProducer,
    Frame,
    FrameError,
    FrameProducer,
    ProducerClosed,
)
from gesture_maze.wire.gestures import PUBLISHED
from gesture_maze.wire.keys import actions_channel, frames_key, partition_of, reply_channel
from gesture_maze.wire.replies import ReplyWriter, reply_head
from tests.support.servers import Server, wait_until

WRITER = ReplyWriter(PUBLISHED, "test")


def answer(server: Server, session: str, seq: int) -> None:
    text = WRITER.write(reply_head(session), seq, 5, 16, 987, 1, 0)
    server.client.publish(actions_channel(partition_of(session, 16), session), text)


# --- replies


def test_replies_after_subscribing_arrive_in_order_and_once(server: Server, producer: FrameProducer) -> None:
    with producer.actions("p1", "p2") as replies:
        for session, seq in [("p1", 1), ("p1", 1), ("p2", 5), ("p3", 1), ("p1", 0), ("p1", 2)]:
            answer(server, session, seq)
        found = [next(replies) for _ in range(3)]
        assert [(one.session, one.seq) for one in found] == [("p1", 1), ("p2", 5), ("p1", 2)]
        assert (found[0].gesture, found[0].action, found[0].confidence) == ("like", "up", 0.987)
        assert replies.get(0) is None


def test_replies_to_tick_arrive_from_the_reply_channel(server: Server, producer: FrameProducer) -> None:
    sessions = [name for name in (f"p{n}" for n in range(60)) if partition_of(name, 16) == 3]
    other = next(name for name in (f"p{n}" for n in range(60)) if partition_of(name, 16) == 4)
    with producer.actions(*sessions) as replies:
        producer.send_tick([Frame(name, 1, 5, None) for name in [*sessions, other, other]])
        ((_, fields),) = server.client.xrange(frames_key(3))
        texts = [WRITER.write(reply_head(one), 1, 5, 16, 987, 1, 0) for one in sessions]
        server.client.publish(reply_channel(3, fields[b"r"].decode()), f"[{','.join(texts)}]")
        found = [replies.get(5.0) for _ in sessions]
        assert [one and one.session for one in found] == sessions
    assert all(b"r" not in fields for _, fields in server.client.xrange(frames_key(4)))


def test_session_unsubscribed_receives_no_replies(server: Server, producer: FrameProducer) -> None:
    with producer.actions() as replies:
        assert replies.get(0) is None
        replies.subscribe("p1")
        replies.subscribe("p2")
        replies.unsubscribe("p1")
        answer(server, "p1", 1)
        answer(server, "p2", 1)
        assert next(replies).session == "p2"


def test_listener_read_in_one_thread_can_be_changed_and_closed_in_another(
    server: Server, producer: FrameProducer
) -> None:
    found: list[Any] = []
    replies = producer.actions("p1")
    reader = threading.Thread(target=lambda: found.extend(replies))
    reader.start()
    replies.subscribe("p2")
    answer(server, "p2", 1)
    answer(server, "p1", 1)
    wait_until(lambda: len(found) == 2)
    replies.close()
    reader.join(5)
    assert not reader.is_alive()
    assert {one.session for one in found} == {"p1", "p2"}


def test_listener_of_a_closed_producer_is_closed(producer: FrameProducer) -> None:
    replies = producer.actions("p1")
    producer.close()
    assert list(replies) == []


def test_bad_session_is_refused_by_actions(server: Server, producer: FrameProducer) -> None:
    with pytest.raises(FrameError):
        producer.actions("p*")
    assert server.client.pubsub_channels() == []


def test_cut_subscription_is_replaced(real_server: Server) -> None:
    def listeners() -> Any:
        return real_server.client.client_list(_type="pubsub")

    channel = actions_channel(partition_of("p1", 16), "p1")
    found: list[Any] = []
    with FrameProducer(real_server.redis, partitions=16) as producer, producer.actions("p1") as replies:
        reader = threading.Thread(target=lambda: found.append(replies.get(5)))
        reader.start()
        (old,) = listeners()
        real_server.client.client_kill_filter(_id=old["id"])
        wait_until(lambda: [one["id"] for one in listeners()] not in ([], [old["id"]]))
        wait_until(lambda: real_server.client.pubsub_numsub(channel)[0][1])
        answer(real_server, "p1", 1)
        reader.join(5)
    assert found[0].seq == 1
    wait_until(lambda: not listeners())


async def test_asyncio_listener_reads_while_it_subscribes_and_closes(server: Server) -> None:
    async with AsyncFrameProducer(server.async_redis, partitions=16) as producer:
        replies = await producer.actions("p1")
        found: list[Any] = []

        async def read() -> None:
            async for reply in replies:
                found.append(reply)

        reader = asyncio.create_task(read())
        await replies.subscribe("p2")
        for session, seq in [("p1", 1), ("p1", 1), ("p2", 5), ("p1", 0), ("p1", 2)]:
            answer(server, session, seq)
        async with asyncio.timeout(5):
            while len(found) < 3:
                await asyncio.sleep(0.005)
        await replies.unsubscribe("p2")
        await replies.close()
        async with asyncio.timeout(5):
            await reader
    if server.kind == "fakeredis":
        await server.async_redis.aclose()
    assert [(one.session, one.seq) for one in found] == [("p1", 1), ("p2", 5), ("p1", 2)]


# not on fakeredis, where the cancelled read itself may return the reply (asyncio.wait_for before Python 3.12)
async def test_asyncio_cancelled_reads_lose_no_reply(real_server: Server) -> None:
    async with (
        AsyncFrameProducer(real_server.async_redis, partitions=16) as producer,
        await producer.actions("p1") as replies,
    ):
        for seq in range(20):
            waiting = asyncio.create_task(replies.get())
            await asyncio.sleep(0)
            waiting.cancel()
            answer(real_server, "p1", seq)
            reply = await replies.get(5)
            assert reply is not None
            assert reply.seq == seq


async def check_opening(server: Server) -> None:
    producer = AsyncFrameProducer(server.async_redis, partitions=16)
    with pytest.raises(AttributeError, match=r"async with producer\.actions"):
        await producer.actions("p1").get(1.0)
    async with producer.actions("p1") as replies:
        answer(server, "p1", 1)
        assert (await anext(replies)).seq == 1
    awaited = await producer.actions("p1")
    await producer.close()
    for late in (producer.send(Frame("p1", 1, 5, None)), awaited.subscribe("p2"), producer.connect()):
        with pytest.raises(ProducerClosed):
            await late


def test_async_actions_are_entered_or_awaited_and_closed_ones_raise(server: Server) -> None:
    async def run() -> None:
        await check_opening(server)
        if server.kind == "fakeredis":
            await server.async_redis.aclose()

    asyncio.run(run())


def test_closed_producer_raises_instead_of_connecting_again(server: Server, producer: FrameProducer) -> None:
    replies = producer.actions("p1")
    producer.close()
    for late in (lambda: producer.send(Frame("p1", 1, 5, None)), lambda: producer.actions("p1")):
        with pytest.raises(ProducerClosed):
            late()
    with pytest.raises(ProducerClosed):
        replies.subscribe("p2")
