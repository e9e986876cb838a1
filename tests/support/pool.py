"""A worker without a process: the real loop, keeper and scripts, stepped by hand."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from gesture_maze.wire import keys
from gesture_maze.wire.frames import Frame, pack
from gesture_maze.wire.gestures import LABELS
from gesture_maze.worker.assembly import assemble
from gesture_maze.worker.metrics import Metrics
from gesture_maze.worker.serving.serving import Serving
from gesture_maze.worker.settings import Settings

PARTITIONS = 4


class WristModel:
    """A model that reads the label from the wrist's x."""

    version = "wrist-1"

    def classify(
        self, landmarks: npt.NDArray[np.float32], aspect: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        return landmarks[:, 0, 0].astype(np.int64), np.full(len(landmarks), 0.95, np.float32)


def hand(session: str, seq: int, gesture: str = "like", t: int | None = None) -> Frame:
    """Return a frame whose gesture `WristModel` reads."""
    landmarks = np.zeros((21, 3), np.float32)
    landmarks[0, 0] = LABELS[gesture]
    return Frame(session, seq, seq * 40 if t is None else t, landmarks)


def add(client: Any, *frames: Frame, entry_id: str = "*", partitions: int = PARTITIONS) -> bytes:
    """Add one entry with these frames of one partition and return its id."""
    s, m, landmarks = pack(frames)
    stream = keys.frames_key(keys.partition_of(frames[0].session, partitions))
    return bytes(client.xadd(stream, {"s": s, "m": m, "l": landmarks}, id=entry_id))


def sessions_of(partition: int, count: int, partitions: int = PARTITIONS) -> list[str]:
    """Return names of sessions on `partition`."""
    names = (f"player-{number}" for number in itertools.count())
    return list(
        itertools.islice((one for one in names if keys.partition_of(one, partitions) == partition), count)
    )


class HandWorker:
    """One worker, stepped by hand.

    Args:
        client: a redis-py client.
        name: its worker id.
        model: the classifier.
        changed: settings that differ from the tests' defaults.
    """

    def __init__(self, client: Any, name: str = "a", model: Any = None, **changed: Any) -> None:
        # a lease that does not expire between two calls of a test on a slow machine
        defaults = {
            "partitions": PARTITIONS, "block_ms": 20, "lease_ttl_ms": 20_000, "log_level": "error",
        }  # fmt: skip
        self.settings = Settings.of(**defaults | changed)
        self.rejected: list[str] = []
        self.metrics = Metrics()
        serving = Serving.of(model or WristModel(), 0.7, self.settings.actions)
        worker = assemble(
            self.settings,
            client,
            serving,
            name,
            clock=time.monotonic,
            metrics=self.metrics,
            on_rejected=lambda rejected: self.rejected.extend(one.reason for one in rejected),
        )
        self.worker, self.broker, self.keeper, self.loop = worker, worker.broker, worker.keeper, worker.loop
        self._opened.append(self)

    _opened: ClassVar[list[HandWorker]] = []

    @classmethod
    def close_all(cls) -> None:
        """Close the connections of all workers since the last call, without releasing their leases."""
        while cls._opened:
            cls._opened.pop().worker.close()

    def join(self) -> None:
        """Acquire the available partitions."""
        self.keeper.step(time.monotonic())

    def work(self, steps: int = 4) -> int:
        """Run enough steps to commit what was read, and return the number of frames."""
        return sum(self.loop.step() for _ in range(steps))

    def count(self, name: str, **labels: str) -> float:
        """Return the value of a metric."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


class Subscriber:
    """A subscriber that collects the replies of sessions."""

    def __init__(self, client: Any, *sessions: str, partitions: int = PARTITIONS) -> None:
        self._pubsub = client.pubsub(ignore_subscribe_messages=True)
        self._pubsub.subscribe(*[keys.actions_channel(keys.partition_of(s, partitions), s) for s in sessions])
        self.replies: list[dict[str, Any]] = []

    def read(self, timeout_s: float = 0.05) -> list[dict[str, Any]]:
        """Return all replies so far; wait until none arrives for `timeout_s`."""
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            message = self._pubsub.get_message(timeout=0.01)
            if message is not None and message["type"] == "message":
                self.replies.append(json.loads(message["data"]))
                end_s = time.monotonic() + timeout_s
        return self.replies

    def seqs(self, session: str | None = None) -> list[int]:
        """Return the answered seqs, in the order of the replies."""
        return [reply["seq"] for reply in self.read() if session in (None, reply["session"])]

    def close(self) -> None:
        self._pubsub.close()


def outcomes(client: Any, partition: int) -> dict[str, int]:
    """Return the outcome counters of a partition."""
    return {name.decode(): int(count) for name, count in client.hgetall(keys.outcomes_key(partition)).items()}


A, B = sessions_of(1, 2)
STREAM = keys.frames_key(1)
"""The stream of sessions A and B."""


def joined(client: Any, name: str = "a", **changed: Any) -> HandWorker:
    """Return a worker that owns all partitions."""
    worker = HandWorker(client, name, **changed)
    worker.join()
    worker.work()
    assert len(worker.loop.partitions) == PARTITIONS
    return worker


def standing(client: Any) -> dict[str, Any]:
    """Return the state of the group on `STREAM`."""
    (group,) = client.xinfo_groups(STREAM)
    return dict(group)
