"""streaQ: one task per frame, on Redis streams with a consumer group, asyncio.

Gives: typed tasks, dependencies between them, retries, schedules, middleware and a web page.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import redis
from answering import Answering


def feed(client: redis.Redis, frames: list[tuple[bytes, bytes, bytes]]) -> None:
    """Add the frames to the worker's queue."""
    from streaq import Worker

    worker: Any = Worker(redis_url=f"redis://127.0.0.1:{client.connection_pool.connection_kwargs['port']}/0")

    async def enqueue() -> None:
        async with worker:
            for begin in range(0, len(frames), 500):
                some = frames[begin : begin + 500]
                await worker.enqueue_many([worker.enqueue_unsafe("handle", *one) for one in some])

    asyncio.run(enqueue())


def work(url: str) -> None:
    """Answer frames until killed."""
    import redis.asyncio
    from streaq import Worker

    worker, answer, client = Worker(redis_url=url), Answering(), redis.asyncio.Redis.from_url(url)

    @worker.task(name="handle", ttl=0, silent=True)
    async def handle(s: bytes, m: bytes, points: bytes) -> None:
        ((channel, text),) = answer([(s, m, points)])
        await client.publish(channel, text)

    worker.run_sync()


if __name__ == "__main__":
    work(sys.argv[1])
