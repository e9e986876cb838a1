"""Producers and listeners on a silent connection or behind a demoted primary."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gesture_maze.capture.stream import CaptureStream
from gesture_maze.embedded.ports import free_port
from gesture_maze.producer import AsyncFrameProducer, Frame, FrameProducer
from gesture_maze.producer.errors import SendRefused
from gesture_maze.wire.errors import ConnectionLost
from gesture_maze.wire.gestures import PUBLISHED
from gesture_maze.wire.keys import actions_channel, partition_of
from gesture_maze.wire.replies import ReplyWriter, reply_head
from tests.support.servers import Proxy, RedisProcess, Server, wait_until

HAND = np.linspace(0, 1, 63, dtype=np.float32).reshape(21, 3)
CHANNEL = actions_channel(partition_of("p1", 16), "p1")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listeners and captures that give a silent connection up after 2 x 0.5 s instead of 2 x 3 s."""
    for module in ("producer.listening", "capture.stream"):
        monkeypatch.setattr(f"gesture_maze.{module}.SILENCE_S", 0.5)


def publish(client: Any, seq: int) -> int:
    text = ReplyWriter(PUBLISHED, "test").write(reply_head("p1"), seq, 5, 16, 987, 1, 0)
    return int(client.publish(CHANNEL, text))


@pytest.fixture
def old(tmp_path: Path) -> Iterator[RedisProcess]:
    """A primary that the test demotes."""
    found = RedisProcess(tmp_path)
    yield found
    found.client.close()
    found.end()


@pytest.mark.usefixtures("impatient")
def test_listener_on_a_silent_connection_subscribes_again(real_server: Server, proxy: Proxy) -> None:
    with FrameProducer(proxy.url, partitions=16) as producer, producer.actions("p1") as replies:
        proxy.silence()
        began_s, seq = time.monotonic(), 0
        while replies.get(0.1) is None:
            seq += 1
            publish(real_server.client, seq)
            assert time.monotonic() - began_s < 10


@pytest.mark.usefixtures("impatient")
async def test_asyncio_listener_on_a_silent_connection_subscribes_again(
    real_server: Server, proxy: Proxy
) -> None:
    async with (
        AsyncFrameProducer(proxy.url, partitions=16) as producer,
        await producer.actions("p1") as replies,
    ):
        proxy.silence()
        began_s, seq = time.monotonic(), 0
        while await replies.get(0.1) is None:
            seq += 1
            publish(real_server.client, seq)
            assert time.monotonic() - began_s < 10


@pytest.mark.usefixtures("impatient")
def test_capture_on_a_silent_connection_reports_it(real_server: Server, proxy: Proxy) -> None:
    stream = CaptureStream(proxy.url)
    stream.subscribe([CHANNEL])
    assert publish(real_server.client, 1) in (0, 1)
    proxy.silence()

    def silence_is_reported() -> bool:
        try:
            return stream.replies() == ["never"]
        except ConnectionLost:
            return True

    wait_until(silence_is_reported, 10)
    stream.close()


def demote(old: RedisProcess) -> None:
    """Make the server a replica of an unreachable server."""
    old.client.replicaof("127.0.0.1", free_port())


def port_of(server: Server) -> int:
    assert server.url is not None
    return int(server.url.rpartition(":")[2].partition("/")[0])


def test_producer_behind_a_moved_address_leaves_the_demoted_primary(
    real_server: Server, old: RedisProcess
) -> None:
    proxy = Proxy(old.port)
    try:
        with FrameProducer(proxy.url, partitions=16) as producer, producer.actions("p1") as replies:
            producer.send(Frame("p1", 1, 5, HAND))
            demote(old)
            with pytest.raises(SendRefused):
                producer.send(Frame("p1", 2, 5, HAND))
            proxy.upstream = port_of(real_server)
            producer.send(Frame("p1", 3, 5, HAND))
            assert real_server.client.xlen(f"frames:{{{partition_of('p1', 16)}}}") == 1
            replies.get(0.2)
            wait_until(lambda: publish(real_server.client, 3) == 1, 3)
            reply = replies.get(1)
            assert reply is not None
            assert reply.seq == 3
    finally:
        proxy.close()


async def test_asyncio_producer_behind_a_moved_address_leaves_the_demoted_primary(
    real_server: Server, old: RedisProcess
) -> None:
    proxy = Proxy(old.port)
    try:
        async with (
            AsyncFrameProducer(proxy.url, partitions=16) as producer,
            await producer.actions("p1") as replies,
        ):
            await producer.send(Frame("p1", 1, 5, HAND))
            demote(old)
            with pytest.raises(SendRefused):
                await producer.send(Frame("p1", 2, 5, HAND))
            proxy.upstream = port_of(real_server)
            await producer.send(Frame("p1", 3, 5, HAND))
            await replies.get(0.2)
            assert publish(real_server.client, 3) == 1
            assert await replies.get(1) is not None
    finally:
        proxy.close()
