"""Celery on Redis: one task per frame, in a solo worker.

Gives: workflows, rate limits, many brokers, the largest ecosystem of tools.
"""

from __future__ import annotations

import base64
import sys
from typing import Any

import redis
from answering import Answering


def _app(url: str) -> Any:
    from celery import Celery

    app = Celery("peer", broker=url)
    app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=64)
    return app


def feed(client: redis.Redis, frames: list[tuple[bytes, bytes, bytes]]) -> None:
    """Add the frames to the worker's queue."""
    app = _app(f"redis://127.0.0.1:{client.connection_pool.connection_kwargs['port']}/0")
    with app.producer_or_acquire() as producer:
        for one in frames:
            words = [base64.b64encode(value).decode() for value in one]
            app.send_task("handle", words, producer=producer)


def work(url: str) -> None:
    """Answer frames until killed."""
    app, answer, client = _app(url), Answering(), redis.Redis.from_url(url)

    @app.task(name="handle")  # type: ignore[untyped-decorator]
    def handle(s: str, m: str, points: str) -> None:
        frame = base64.b64decode(s), base64.b64decode(m), base64.b64decode(points)
        ((channel, text),) = answer([frame])
        client.publish(channel, text)

    app.worker_main(["worker", "--pool=solo", "--loglevel=ERROR", "--without-gossip", "--without-mingle"])


if __name__ == "__main__":
    work(sys.argv[1])
