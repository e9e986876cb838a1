"""FastStream: a subscriber of a Redis stream group, in batches.

Gives: typed handlers, AsyncAPI documents, the same code on Kafka, NATS and RabbitMQ.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys

import redis
from answering import GROUP, STREAM, Answering


def feed(client: redis.Redis, frames: list[tuple[bytes, bytes, bytes]]) -> None:
    """Add the frames to the worker's queue."""
    pipe = client.pipeline(transaction=False)
    for frame in frames:
        pipe.execute_command(*command(frame))
    pipe.execute()


def command(frame: tuple[bytes, bytes, bytes]) -> tuple[str | bytes, ...]:
    """Return the command that adds one frame."""
    body = json.dumps([base64.b64encode(value).decode() for value in frame])
    return ("XADD", STREAM, "*", "__data__", json.dumps({"data": body, "headers": {}}))


def work(url: str) -> None:
    """Answer frames until killed."""
    from faststream import FastStream
    from faststream.redis import RedisBroker, StreamSub

    client = redis.asyncio.Redis.from_url(url)
    broker, answer = RedisBroker(url, logger=None), Answering()
    sub = StreamSub(STREAM, group=GROUP, consumer="one", batch=True, max_records=256, last_id=">")

    @broker.subscriber(stream=sub)
    async def handle(messages: list[list[str]]) -> None:
        frames = [tuple(map(base64.b64decode, one)) for one in messages]
        pipe = client.pipeline(transaction=False)
        for channel, text in answer(frames):  # type: ignore[arg-type]
            pipe.publish(channel, text)
        await pipe.execute()

    redis.Redis.from_url(url).xgroup_create(STREAM, GROUP, "0", mkstream=True)
    asyncio.run(FastStream(broker, logger=None).run())


if __name__ == "__main__":
    work(sys.argv[1])
