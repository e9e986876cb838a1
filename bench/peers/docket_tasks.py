"""docket: one task per frame, on Redis streams with a consumer group, asyncio.

Gives: tasks that are scheduled, replaced and cancelled by key, perpetual tasks, dependency injection.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from datetime import timedelta

import redis
from answering import Answering

CONCURRENCY = 50
CHECK = timedelta(milliseconds=20)
"""With docket's own 10 tasks and 250 ms a worker answers a full queue at 40 tasks a second."""


async def handle(s: bytes, m: bytes, points: bytes) -> None:
    """Answer one frame; replaced in the worker."""


def feed(client: redis.Redis, frames: list[tuple[bytes, bytes, bytes]]) -> None:
    """Add the frames to the worker's queue."""
    from docket import Docket

    async def enqueue() -> None:
        port = client.connection_pool.connection_kwargs["port"]
        async with Docket(name="peer", url=f"redis://127.0.0.1:{port}/0") as docket:
            await docket.add_many([docket.call(handle)(*one) for one in frames])

    asyncio.run(enqueue())


def work(url: str) -> None:
    """Answer frames until killed."""
    import redis.asyncio
    from docket import Docket, Worker

    logging.disable(logging.WARNING)
    answer, client = Answering(), redis.asyncio.Redis.from_url(url)

    async def reply(s: bytes, m: bytes, points: bytes) -> None:
        ((channel, text),) = answer([(s, m, points)])
        await client.publish(channel, text)

    async def run() -> None:
        async with Docket(name="peer", url=url) as docket:
            docket.register(reply, names=["handle"])
            async with Worker(docket, concurrency=CONCURRENCY, minimum_check_interval=CHECK) as worker:
                await worker.run_forever()

    asyncio.run(run())


if __name__ == "__main__":
    work(sys.argv[1])
