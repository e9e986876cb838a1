"""A worker without a process: the real loop, keeper and scripts, stepped by hand."""

from __future__ import annotations

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
    """Takes the label from the wrist's x: a model that a test can read."""

    version = "wrist-1"

    def classify(
        self, landmarks: npt.NDArray[np.float32], aspect: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        return landmarks[:, 0, 0].astype(np.int64), np.full(len(landmarks), 0.95, np.float32)


def hand(session: str, seq: int, gesture: str = "like", t: int | None = None) -> Frame:
    """A frame whose gesture `WristModel` reads."""
    landmarks = np.zeros((21, 3), np.float32)
    landmarks[0, 0] = LABELS[gesture]
    return Frame(session, seq, seq * 40 if t is None else t, landmarks)


def add(client: Any, *frames: Frame, entry_id: str = "*", partitions: int = PARTITIONS) -> bytes:
    """One entry with these frames of one partition; its id."""
    s, m, landmarks = pack(frames)
    stream = keys.frames_key(keys.partition_of(frames[0].session, partitions))
    return bytes(client.xadd(stream, {"s": s, "m": m, "l": landmarks}, id=entry_id))


def sessions_of(partition: int, count: int, partitions: int = PARTITIONS) -> list[str]:
    """Names of sessions that live on `partition`."""
    names = (f"player-{number}" for number in range(10_000))
    found = [name for name in names if keys.partition_of(name, partitions) == partition]
    return found[:count]


class HandWorker:
    """One worker, stepped by hand.

    Args:
        client: a redis-py client.
        name: its worker id.
        model: what classifies.
        changed: settings that differ from the tests' defaults.
    """

    def __init__(self, client: Any, name: str = "a", model: Any = None, **changed: Any) -> None:
        # a lease that a slow machine does not lose between two calls of the test
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
        """Close the connections of every worker made since the last call; what they hold they keep."""
        while cls._opened:
            cls._opened.pop().worker.close()

    def join(self) -> None:
        """Take what is to be had."""
        self.keeper.step(time.monotonic())

    def work(self, steps: int = 4) -> int:
        """Step, so often that what was read is settled too; how many frames."""
        return sum(self.loop.step() for _ in range(steps))

    def count(self, name: str, **labels: str) -> float:
        """A metric's value."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


class Subscriber:
    """Collects the replies of sessions."""

    def __init__(self, client: Any, *sessions: str, partitions: int = PARTITIONS) -> None:
        self._pubsub = client.pubsub(ignore_subscribe_messages=True)
        self._pubsub.subscribe(*[keys.actions_channel(keys.partition_of(s, partitions), s) for s in sessions])
        self.replies: list[dict[str, Any]] = []

    def read(self, timeout_s: float = 0.05) -> list[dict[str, Any]]:
        """All replies so far; waits until none has come for `timeout_s`."""
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            message = self._pubsub.get_message(timeout=0.01)
            if message is not None and message["type"] == "message":
                self.replies.append(json.loads(message["data"]))
                end_s = time.monotonic() + timeout_s
        return self.replies

    def seqs(self, session: str | None = None) -> list[int]:
        """The seqs that were answered, in the order of the replies."""
        return [reply["seq"] for reply in self.read() if session in (None, reply["session"])]

    def close(self) -> None:
        self._pubsub.close()


def outcomes(client: Any, partition: int) -> dict[str, int]:
    """The counters of a partition."""
    return {name.decode(): int(count) for name, count in client.hgetall(keys.outcomes_key(partition)).items()}


A, B = sessions_of(1, 2)
STREAM = keys.frames_key(1)
"""Where A and B live."""


def joined(client: Any, name: str = "a", **changed: Any) -> HandWorker:
    """A worker that owns everything."""
    worker = HandWorker(client, name, **changed)
    worker.join()
    worker.work()
    assert len(worker.loop.partitions) == PARTITIONS
    return worker


def standing(client: Any) -> dict[str, Any]:
    """What Redis says of the group on `STREAM`."""
    (group,) = client.xinfo_groups(STREAM)
    return dict(group)
