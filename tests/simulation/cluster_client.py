"""The client and the reader of a cluster as the worker uses them, waiting in simulated time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from gesture_maze.producer.cluster.client import ClusterRedis
from gesture_maze.producer.cluster.slots import Address
from gesture_maze.worker.redis.cluster.streams import ClusterReader
from gesture_maze.worker.redis.connection import Connection
from tests.simulation.scheduler import Lock, Process, Scheduler, is_readable

if TYPE_CHECKING:
    from tests.simulation.cluster_network import ClusterNetwork
    from tests.simulation.network import Socket
    from tests.simulation.workers import SimWorker

TIMED = ("producer.cluster.client", "producer.cluster.pipeline", "worker.redis.cluster.streams")
"""Modules that read the monotonic clock and sleep."""


class _Time:
    """Stands in for the module `time`."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.sleep = scheduler.sleep

    def monotonic(self) -> float:
        return self._scheduler.now_s

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


@contextmanager
def simulated_cluster_time(others: AbstractContextManager[None], scheduler: Scheduler) -> Iterator[None]:
    """Let the client of a cluster live in simulated time, and its readers wait for simulated sockets."""
    with others, ExitStack() as patches:
        for module in TIMED:
            patches.enter_context(patch(f"gesture_maze.{module}.time", _Time(scheduler)))
        patches.enter_context(
            patch("gesture_maze.worker.redis.cluster.streams.Connection", _ReadingConnection)
        )
        yield


class SimCluster(ClusterRedis):
    """A client of the simulated cluster.

    Args:
        network: its nodes.
        process: whose client it is.
    """

    def __init__(self, network: ClusterNetwork, process: Process) -> None:
        super().__init__([node.address for node in network.nodes], {})
        self._network, self._process = network, process
        self._refreshing = Lock(network.scheduler)  # type: ignore[assignment, misc]

    def _open_node(self, address: Address) -> Any:
        return self._network.node_client(self._process, self._network.node_at(address))


class _ReadingConnection(Connection):
    """Keeps the simulated socket, as the real one keeps the real socket."""

    _kept: Any = None

    def opened(self) -> Any:
        connection = super().opened()
        if self._kept is None:
            self._kept = connection._sock
        return connection

    @property
    def socket(self) -> Any:
        self.opened()
        return self._kept


class _Selector:
    """Waits for simulated sockets, as one of `selectors` does for real ones.

    Args:
        worker: whose loop waits.
    """

    def __init__(self, worker: SimWorker) -> None:
        self._worker = worker
        self._registered: dict[Any, Any] = {}

    def register(self, source: Any, _events: int, data: Any = None) -> None:
        self._registered[source] = data
        if data is not None:
            source.on_ready = self._worker.loop_wake.pulse

    def unregister(self, source: Any) -> None:
        del self._registered[source]

    def select(self, timeout_s: float) -> list[tuple[SimpleNamespace, int]]:
        ready = self._ready()
        if not ready and timeout_s > 0 and not self._is_woken():
            self._worker.loop_wake.wait(timeout_s)
            ready = self._ready()
        return [(SimpleNamespace(data=data), 1) for data in ready]

    def _is_woken(self) -> bool:
        return any(data is None and is_readable(source) for source, data in self._registered.items())

    def _ready(self) -> list[Any]:
        now_s = self._worker.scheduler.now_s
        return [
            data for source, data in self._registered.items() if data is not None and _is_ready(source, now_s)
        ]


def _is_ready(socket: Socket, now_s: float) -> bool:
    answered = socket.responses is None or socket.responses.qsize() > 0
    return answered or (socket.lost and now_s >= socket.noticed_s)


class SimClusterReader(ClusterReader):
    """Waits in simulated time.

    Args:
        client: of the cluster.
        worker: whose reader it is.
    """

    def __init__(self, client: SimCluster, worker: SimWorker) -> None:
        super().__init__(client)
        self._selector = _Selector(worker)  # type: ignore[assignment, misc]

    def waits_for(self, _stream: bytes) -> bool:
        """Return False: nodes end the reads that wait for entries themselves."""
        return False
