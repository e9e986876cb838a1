"""The pool of `maze_pool`: one worker, in a thread, on fakeredis."""

from __future__ import annotations

import threading
import time
from typing import Any, Final, Self

import fakeredis

from gesture_maze.producer import FrameProducer
from gesture_maze.wire.keys import outcomes_key
from gesture_maze.worker.assembly import assemble, load_classifier, serving_of
from gesture_maze.worker.metrics import Metrics
from gesture_maze.worker.records import OUTCOMES
from gesture_maze.worker.settings import Settings

PARTITIONS: Final = 4
BLOCK_MS: Final = 20
"""Longest wait for frames, which also bounds the time to stop."""
KEEP_S: Final = 0.5
"""Interval at which leases are renewed."""
READY_S: Final = 10.0
SETTLE_S: Final = 5.0


class ThreadedPool:
    """A worker in a thread, the real loop on the real clock. Use it in a `with` block.

    Args:
        settings: worker settings that differ from the defaults; without them no frame is too old.

    Attributes:
        redis: a client of the fakeredis.
        producer: sends frames with `pool.producer.send(Frame(...))` and receives replies with
            `pool.producer.actions("p1")`.
    """

    def __init__(self, **settings: Any) -> None:
        few = {"partitions": PARTITIONS, "block_ms": BLOCK_MS, "log_level": "error"}
        # on a busy machine, too, every frame of a test is answered
        ageless = {"deadline_ms": 0, "supersede_ms": 0}
        self._settings: Final = Settings.of(**{**few, **ageless, **settings})
        server = fakeredis.FakeServer(version=(7,))
        self.redis: Final = fakeredis.FakeRedis(server=server, version=(7,))
        self.producer: Final = FrameProducer(
            fakeredis.FakeRedis(server=server, version=(7,)), partitions=self._settings.partitions
        )
        self._stop: Final = threading.Event()
        self._ready: Final = threading.Event()
        self._fault: Exception | None = None
        self._thread: Final = threading.Thread(target=self._run, name="maze-pool", daemon=True)

    def outcomes(self) -> dict[str, int]:
        """Return the number of frames by outcome, as counted by the commits."""
        total = dict.fromkeys(OUTCOMES, 0)
        for partition in range(self._settings.partitions):
            counts: Any = self.redis.hgetall(outcomes_key(partition))
            for name in OUTCOMES:
                total[name] += int(counts.get(name.encode(), 0))
        return total

    def wait_for(self, frames: int) -> dict[str, int]:
        """Wait until `frames` frames have an outcome, and return the outcomes.

        Raises:
            TimeoutError: it took longer than `SETTLE_S`.
        """
        end_s = time.monotonic() + SETTLE_S
        while sum((found := self.outcomes()).values()) < frames:
            if self._fault is not None:
                raise self._fault
            if time.monotonic() > end_s:
                message = f"expected {frames} frames with an outcome in {SETTLE_S:.0f} s, got {found}"
                raise TimeoutError(message)
            time.sleep(0.005)
        return found

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(READY_S) or self._fault is not None:
            raise self._fault or TimeoutError(f"the pool did not start within {READY_S:.0f} s")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(READY_S)
        self.producer.close()
        self.redis.close()

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 - raised again in the thread of the test
            self._fault = error
            self._ready.set()

    def _work(self) -> None:
        settings = self._settings
        metrics = Metrics()
        serving = serving_of(settings, load_classifier(settings.model), metrics)
        worker = assemble(settings, self.redis, serving, "maze-pool", clock=time.monotonic, metrics=metrics)
        keeper, loop = worker.keeper, worker.loop
        next_keep_s = 0.0
        while not self._stop.is_set():
            if time.monotonic() >= next_keep_s:
                next_keep_s = time.monotonic() + KEEP_S
                keeper.step(time.monotonic())
            loop.step()
            if len(loop.partitions) == self._settings.partitions:
                self._ready.set()
        loop.drain()
        worker.close()
