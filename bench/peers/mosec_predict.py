"""mosec: a model server with dynamic batches, one POST /inference per frame.

Gives: batches over plain HTTP clients, several stages and GPUs, metrics; no Redis at all.
"""

from __future__ import annotations

import sys

from answering import Answering
from mosec import Server, Worker


class Predict(Worker):
    """Answers batches."""

    def __init__(self) -> None:
        self._answer = Answering()

    def deserialize(self, data: bytes) -> bytes:
        """Return the body."""
        return data

    def serialize(self, data: str) -> bytes:
        """Return the reply."""
        return data.encode()

    def forward(self, data: list[bytes]) -> list[str]:
        """Answer a batch."""
        return [text for _, text in self._answer([(one[276:], one[:24], one[24:276]) for one in data])]


if __name__ == "__main__":
    sys.argv = [sys.argv[0], "--port", sys.argv[1], "--log-level", "error"]
    server = Server()
    server.append_worker(Predict, num=1, max_batch_size=64, max_wait_time=2)
    server.run()
