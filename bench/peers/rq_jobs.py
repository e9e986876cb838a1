"""RQ: one job per frame, in a worker that does not fork.

Gives: the simplest job queue, with a dashboard, retries and schedules.
"""

from __future__ import annotations

import sys

import redis
from answering import Answering

_state: dict[str, object] = {}


def handle(s: bytes, m: bytes, points: bytes) -> None:
    """Answer one frame."""
    answer: Answering = _state["answer"]  # type: ignore[assignment]
    client: redis.Redis = _state["client"]  # type: ignore[assignment]
    ((channel, text),) = answer([(s, m, points)])
    client.publish(channel, text)


def feed(client: redis.Redis, frames: list[tuple[bytes, bytes, bytes]]) -> None:
    """Add the frames to the worker's queue."""
    from rq import Queue

    queue = Queue("peer", connection=client)
    pipe = client.pipeline(transaction=False)
    for begin in range(0, len(frames), 500):
        data = [
            Queue.prepare_data("rq_jobs.handle", args=one, result_ttl=0)
            for one in frames[begin : begin + 500]
        ]
        queue.enqueue_many(data, pipeline=pipe)
        pipe.execute()


def work(url: str) -> None:
    """Answer frames until killed."""
    import rq_jobs
    from rq import Queue, SimpleWorker

    client = redis.Redis.from_url(url)
    rq_jobs._state.update(answer=Answering(), client=client)
    SimpleWorker([Queue("peer", connection=client)], connection=client).work(logging_level="ERROR")


if __name__ == "__main__":
    work(sys.argv[1])
