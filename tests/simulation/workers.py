"""Workers without a process: the real keeper, loop and scripts, driven as `worker.process` drives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

from gesture_maze.wire import keys
from gesture_maze.wire.errors import ConnectionLost, MazeError, RedisRefused
from gesture_maze.worker.assembly import assemble
from gesture_maze.worker.logs import Log
from gesture_maze.worker.metrics import Metrics
from gesture_maze.worker.process import BACK_OFF_S
from gesture_maze.worker.redis.client import leave_wrong_server
from gesture_maze.worker.redis.streams import StreamReader
from gesture_maze.worker.serving.serving import Serving
from gesture_maze.worker.settings import Settings
from tests.simulation.checker import Violation
from tests.simulation.cluster_client import SimCluster, SimClusterReader
from tests.simulation.network import Network
from tests.simulation.scheduler import Lock, Process, Signal, is_readable
from tests.support.pool import WristModel

POISON: Final = 17
"""The label of a frame that kills the worker that classifies it."""
CLOCK_START_S: Final = 1000.0
STALL_S: Final = 3.0
PAGE_ENTRIES: Final = 8
MOST_PASSES: Final = 100
"""Passes of a loop at one instant, which answers that have arrived already may cause."""

Trace = Callable[..., None]


class _Log(Log):
    """Writes events into the trace."""

    def __init__(self, trace: Trace, worker: str) -> None:
        super().__init__("human", "error")
        self._trace, self._worker = trace, worker

    def _write(self, level: int, event: str, values: dict[str, Any]) -> None:
        self._trace(event, worker=self._worker, **values)


class _Listener:
    """Stands in for the keeper's subscription to the wake channel."""

    def __init__(self, client: Any, clock: Callable[[], float]) -> None:
        self._worker: SimWorker = client.sim_worker

    def wait(self, timeout_s: float) -> set[bytes]:
        self._worker.keeper_wake.wait(timeout_s)
        return set()

    def close(self) -> None:
        """Nothing is open."""


@contextmanager
def simulated_keepers() -> Iterator[None]:
    """Let keepers wait in simulated time, give up a stuck worker sooner, and rebuild sessions in small
    pages."""
    with (
        patch("gesture_maze.worker.keeper.WakeListener", _Listener),
        patch("gesture_maze.worker.keeper.STALL_S", STALL_S),
        patch("gesture_maze.worker.redis.broker.PAGE_ENTRIES", PAGE_ENTRIES),
    ):
        yield


class _Reader(StreamReader):
    """Waits in simulated time, as a blocking read does.

    It waits for entries of the partitions that it asked for, until `block_ms` are over or the loop is woken.
    """

    def __init__(self, client: Any, worker: SimWorker) -> None:
        super().__init__(client, waits=False)
        self._worker = worker
        self._asked_for: tuple[dict[int, bytes], int, float] = {}, 0, 0.0
        self._added: dict[bytes, int] = {}

    def interrupt(self) -> None:
        """Do nothing: `wait` returns True at the next call."""

    def request(self, positions: Any, count: int, block_ms: int) -> None:
        self._asked_for = dict(positions), count, self._worker.scheduler.now_s + block_ms / 1000
        self._ask()

    def _ask(self) -> None:
        positions, count, _ = self._asked_for
        added = self._worker.network.added
        streams = [keys.frames_key(number).encode() for number in positions]
        self._added = {stream: added[stream] for stream in streams}
        super().request(positions, count, 0)

    def waits_for(self, stream: bytes) -> bool:
        """Return whether an entry of a stream ends the read."""
        return stream in self._added

    def wait(self, timeout_s: float, others: tuple[int, ...]) -> bool:
        (wake,) = others
        if self.pending:
            # now and then the answer is not there at once, and the loop does what it does when it is idle
            return not is_readable(wake) if timeout_s > 0 else self._worker.network.rng.random() < 0.5
        if timeout_s and not is_readable(wake):
            self._worker.loop_wake.wait(timeout_s)
        return False

    def receive(self) -> Any:
        found = super().receive()
        until_s = self._asked_for[2]
        while not found and self._worker.scheduler.now_s < until_s:
            if not self._has_news():
                self._worker.loop_wake.wait(until_s - self._worker.scheduler.now_s)
            if not self._has_news():
                break
            self._ask()
            found = super().receive()
        self._added = {}
        return found

    def _has_news(self) -> bool:
        added = self._worker.network.added
        return any(added[stream] != count for stream, count in self._added.items())


class _Model(WristModel):
    """May take its time, and dies of poison."""

    def __init__(self, worker: SimWorker) -> None:
        self._worker = worker

    def classify(
        self, landmarks: npt.NDArray[np.float32], aspect: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        worker = self._worker
        if worker.frame_cost_s:
            worker.scheduler.sleep(worker.frame_cost_s * len(landmarks))
        if worker.slow_until_s > worker.scheduler.now_s:
            worker.scheduler.sleep(worker.slow_until_s - worker.scheduler.now_s)
        if (landmarks[:, 0, 0] == POISON).any():
            worker.on_poison(worker, landmarks)
            worker.die("poison")
            worker.scheduler.suspend()
        return super().classify(landmarks, aspect)


class SimWorker(Process):
    """One worker process.

    Args:
        name: its id, never used before.
        network: how it reaches Redis.
        settings: of the pool.
        rate: seconds of its monotonic clock per simulated second.
        on_end: called when it has ended, for whatever reason.
        on_poison: called with the worker and the landmarks before poison kills it.
    """

    def __init__(
        self,
        name: str,
        network: Network,
        settings: Settings,
        rate: float,
        trace: Trace,
        on_end: Callable[[SimWorker], None],
        on_poison: Callable[[SimWorker, Any], None],
    ) -> None:
        super().__init__(name)
        self.network, self.scheduler, self._trace = network, network.scheduler, trace
        self._rate, self._born_s = rate, network.scheduler.now_s
        self._on_end, self.on_poison = on_end, on_poison
        self.slow_until_s = self.frame_cost_s = 0.0
        self.keeper_wake, self.loop_wake = Signal(self.scheduler), Signal(self.scheduler)
        self._stop = Signal(self.scheduler)
        self._passed_s, self._passes = -1.0, 0
        self._client = network.client(self)
        self._client.sim_worker = self
        is_cluster = isinstance(self._client, SimCluster)
        self.reader = SimClusterReader(self._client, self) if is_cluster else _Reader(self._client, self)
        self.worker = assemble(
            settings,
            self._client,
            Serving.of(_Model(self), 0.7, settings.actions),
            name,
            clock=self.clock,
            metrics=Metrics(),
            reader=self.reader,
            log=_Log(trace, name),
        )
        keeper = self.worker.keeper
        keeper._wake = self.wake  # type: ignore[misc]
        keeper._stepping = Lock(self.scheduler)  # type: ignore[assignment, misc]
        keeper.progressed(self.clock())
        self.scheduler.spawn(lambda: keeper.run(self._stop, self.clock), self)  # type: ignore[arg-type]
        self.scheduler.spawn(self._run, self)

    def clock(self) -> float:
        """Return its monotonic clock."""
        return CLOCK_START_S + (self.scheduler.now_s - self._born_s) * self._rate

    def wake(self) -> None:
        """Wake the loop, or prevent its next wait if it does not wait now."""
        self.worker.wake()
        self.loop_wake.pulse()

    def stop(self) -> None:
        """SIGTERM."""
        self._stop.set()
        self.wake()

    def die(self, why: str) -> None:
        """SIGKILL."""
        if not self.dead:
            self._trace("worker_died", worker=self.name, why=why)
            self.dead = True
            self.network.cut(self)
            self.worker.wake.close()
            self._on_end(self)

    def _run(self) -> None:
        """As `WorkerProcess.run` does."""
        failures = 0
        while not self._stop.is_set():
            self._check_spin()
            try:
                if failures:
                    self.worker.loop.reconnect()
                self.worker.loop.step()
                failures = 0
            except (ConnectionLost, RedisRefused) as error:
                if self._ended_by(error):
                    return
                self._trace("redis_disconnected", worker=self.name, error=str(error)[:80])
                self._stop.wait(BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)])
                failures += 1
            except MazeError as error:
                self.die(f"exit 2: {error}")
                return
        try:
            if not failures:
                self.worker.loop.drain()
        except MazeError as error:
            self._trace("drain_interrupted", worker=self.name, error=str(error)[:80])
        self.die("stopped")

    def _check_spin(self) -> None:
        """Count the passes of one instant of simulated time, of which a loop that waits makes few."""
        if self._passed_s != self.scheduler.now_s:
            self._passed_s, self._passes = self.scheduler.now_s, 0
        self._passes += 1
        if self._passes > MOST_PASSES:
            raise Violation(f"{self.name} makes passes without end and does not wait")

    def _ended_by(self, error: MazeError) -> bool:
        try:
            self.worker.keeper.raise_fault()
        except MazeError as fault:
            self.die(f"exit 2: {fault}")
            return True
        leave_wrong_server(self._client, error)
        return False
