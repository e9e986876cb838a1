"""The fair baseline: a redis-py loop over a stream with a consumer group, in batches.

Gives: nothing new to learn; several consumers share a stream without set-up.
"""

from __future__ import annotations

import sys

import redis
from answering import GROUP, STREAM, Answering

BATCH = 2048
"""As many frames as a batch of the pool has by default."""


def feed(client: redis.Redis, frames: list[tuple[bytes, bytes, bytes]]) -> None:
    """Add the frames to the worker's queue."""
    pipe = client.pipeline(transaction=False)
    for frame in frames:
        pipe.execute_command(*command(frame))
    pipe.execute()


def command(frame: tuple[bytes, bytes, bytes]) -> tuple[str | bytes, ...]:
    """Return the command that adds one frame."""
    s, m, points = frame
    return ("XADD", STREAM, "*", "s", s, "m", m, "l", points)


def work(url: str) -> None:
    """Answer frames until killed."""
    client = redis.Redis.from_url(url)
    client.xgroup_create(STREAM, GROUP, "0", mkstream=True)
    answer = Answering()
    while True:
        for _, entries in client.xreadgroup(GROUP, "one", {STREAM: ">"}, count=BATCH, block=1000) or []:
            pipe = client.pipeline(transaction=False)
            for channel, text in answer([(one[b"s"], one[b"m"], one[b"l"]) for _, one in entries]):
                pipe.publish(channel, text)
            pipe.xack(STREAM, GROUP, *[entry_id for entry_id, _ in entries])
            pipe.execute()


if __name__ == "__main__":
    work(sys.argv[1])
