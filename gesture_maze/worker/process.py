"""One worker process: start up, main loop, shut down."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from types import FrameType
from typing import Any, Final

from gesture_maze.producer.address import without_password
from gesture_maze.version import __version__
from gesture_maze.wire.errors import ConnectionLost, MazeError, RedisRefused, SettingsError
from gesture_maze.wire.gestures import GESTURES, parse_action_key
from gesture_maze.worker.assembly import Worker, assemble, load_classifier
from gesture_maze.worker.health import HealthServer
from gesture_maze.worker.keeper import STALL_S
from gesture_maze.worker.logs import Log, Sampler, open_log
from gesture_maze.worker.metrics import Metrics
from gesture_maze.worker.records import Rejected
from gesture_maze.worker.redis.client import connect, leave_wrong_server
from gesture_maze.worker.redis.registry import ModelRegistry
from gesture_maze.worker.serving.champion import ModelWatch
from gesture_maze.worker.serving.observer import Observer
from gesture_maze.worker.serving.serving import Recipe, Serving
from gesture_maze.worker.settings import Settings
from gesture_maze.worker.threads import SideThreads
from gesture_maze.worker.tracing import open_tracing

BACK_OFF_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0)
"""Waits after consecutive failures to reach Redis, in seconds; the last one repeats."""
SWITCH_S: Final = 0.0005
"""Longest time that another thread holds the interpreter while frames wait. Python's default is 5 ms, which
is visible in the latency."""
GC_OBJECTS: Final = 200_000
"""New containers before the cycle collector runs. A batch makes thousands, which reference counting frees."""
HEAP_KEPT_BYTES: Final = 4 << 20
"""Free memory at the top of the heap that stays with the process: about as much as a batch needs."""
M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
"""Parameters of glibc's `mallopt` (malloc.h)."""
DRAIN_OVERDUE: Final = 1
"""Exit code of a process whose drain exceeded `drain_ms`."""


class WorkerProcess:
    """A worker process with all its parts. `run` returns after a signal, when the worker has drained.

    Args:
        settings: checked settings.
        worker: a new, unique worker id.
        supervised: drain when the parent process ends. Leave it off for a worker started from a shell, which
            should survive the shell like any other program.

    Raises:
        ModelError: the bundle is broken.
        SettingsError: the metrics port is in use.
    """

    def __init__(self, settings: Settings, worker: str, *, supervised: bool = False) -> None:
        self._settings: Final = settings
        self.log: Final = open_log(settings, worker=worker)
        self.metrics: Final = Metrics()
        recipe = Recipe(settings.threshold, settings.actions, self.metrics.inference)
        self._serving = recipe.serving(load_classifier(settings.model))
        self.metrics.model_loaded(self._serving.version, self._serving.labels.names)
        self._z_announced = False
        self._client: Final = connect(settings.redis, f"maze-worker-{worker}", settings.lease_ttl_ms)
        registry = ModelRegistry(self._client)
        self._observer: Final = Observer(registry, self.metrics, self.log)
        self._stop: Final = threading.Event()
        self._sampler: Final = Sampler()
        self._health = HealthServer(
            self.metrics.registry, self._live, self._ready, settings.metrics_host, settings.metrics_port
        )
        self._parts: Final = self._assemble(worker)
        self._models: Final = self._watch_models(registry, recipe)
        self._threads: Final = SideThreads(self._stop, self.log)
        self._turned_s = time.monotonic()
        self._failures = 0
        self._next_summary_s = time.monotonic() + settings.summary_s
        self._parent: Final = os.getppid() if supervised else None

    def _assemble(self, worker: str) -> Worker:
        return assemble(
            self._settings,
            self._client,
            self._serving,
            worker,
            clock=time.monotonic,
            metrics=self.metrics,
            info=self._info(),
            observer=self._observer,
            on_rejected=self._log_rejected,
            tracing=open_tracing(worker),
            log=self.log,
        )

    def _watch_models(self, registry: ModelRegistry, recipe: Recipe) -> ModelWatch:
        return ModelWatch(
            registry,
            recipe,
            in_use=self._serving.version,
            offer=self._offer,
            challenge=self._observer.challenge,
            announce=self._announce,
            metrics=self.metrics,
            log=self.log,
        )

    def run(self) -> None:
        """Process frames until a signal, then drain. A second signal ends the process at once.

        Raises:
            SettingsError: Redis holds another topology, or the mapping names an unknown gesture.
            RedisRefused: a right or the login is missing from the start.
        """
        self._start_up()
        while not self._stop.is_set():
            self._pass()
        self._shut_down()

    def _start_up(self) -> None:
        self._handle_signals()
        sys.setswitchinterval(SWITCH_S)
        _collect_rarely()
        _keep_heap()
        self.log.info(
            "started",
            version=__version__,
            model=self._serving.version,
            metrics=f"http://{_bracketed(self._settings.metrics_host)}:{self._health.port}/metrics",
            redis=without_password(self._settings.redis),
            actions=dict(self._serving.actions),
            **self._settings.model_dump(
                exclude={"redis", "metrics_port", "metrics_host", "model", "actions"}
            ),
        )
        self._find_champion()
        self._parts.keeper.progressed(time.monotonic())
        for side in (self._parts.keeper, self._models, self._observer):
            self._threads.start(type(side).__name__, side.run)

    def _pass(self) -> None:
        """Run one pass of the main loop, or wait if Redis is temporarily unavailable."""
        self._turned_s = time.monotonic()
        try:
            if self._failures:
                self._parts.loop.reconnect()
            self._parts.loop.step()
            self._failures = 0
        except (ConnectionLost, RedisRefused) as error:
            self._parts.keeper.raise_fault()
            self._wait_for_redis(error)
        self._show_model()
        self._run_periodic_tasks()

    def _wait_for_redis(self, error: MazeError) -> None:
        leave_wrong_server(self._client, error)
        self.metrics.redis_error("connection")
        self.log.warning("redis_disconnected", error=str(error), failures=self._failures + 1)
        self._stop.wait(BACK_OFF_S[min(self._failures, len(BACK_OFF_S) - 1)])
        self._failures += 1

    def _find_champion(self) -> None:
        """Load the champion named in Redis before any partition is acquired. Wait while Redis is
        unavailable."""
        while not self._stop.is_set():
            self._turned_s = time.monotonic()
            try:
                self._models.step(time.monotonic())
            except (ConnectionLost, RedisRefused) as error:
                if isinstance(error, ConnectionLost) or error.momentary:
                    self._wait_for_redis(error)
                    continue
                self._models.offline(error)  # the model of the settings answers
            self._failures = 0
            self._parts.path.begin([], None)  # makes the offered model the current one
            self._show_model()
            if self._models.complete and (unknown := self._unknown_gestures()):
                names, model = ", ".join(unknown), self._serving.version
                message = f"actions: neither the model {model} nor the published set knows {names}"
                raise SettingsError("settings", message)
            return

    def _offer(self, serving: Serving) -> None:
        self._parts.path.offer(serving)
        self._parts.wake()  # apply it even if no frames arrive

    def _announce(self, needs_z: bool) -> None:
        """Tell the pool whether a model that is loaded here, and may answer soon, uses z."""
        self._z_announced = needs_z
        self._parts.keeper.describe(self._info())

    def _show_model(self) -> None:
        """Log and publish a change of the model that answers."""
        serving, old = self._parts.path.serving, self._serving
        if serving is old:
            return
        self._serving = serving
        self.metrics.model_loaded(serving.version, serving.labels.names, swapped=True)
        self._parts.keeper.describe(self._info())
        self.log.info(
            "model_swapped", old=old.version, new=serving.version, load_ms=round(serving.load_ms, 1)
        )
        if unknown := self._unknown_gestures():
            self.log.warning("actions_not_matched", unknown=unknown, known=serving.labels.names)

    def _unknown_gestures(self) -> list[str]:
        """Return the gestures of the mapping that neither the model in use nor the published set has."""
        known = {*GESTURES, *self._serving.labels.names}
        return sorted({parse_action_key(key)[1] for key in self._settings.actions or ()} - known)

    def _deciding(self) -> dict[str, Any]:
        """Return the settings that replies depend on; captures record them."""
        settings = self._settings
        policy = asdict(settings.policy)
        return {"threshold": settings.threshold, "actions": settings.actions, "policy": policy}

    def _info(self) -> str:
        # `lease_ttl_ms` and `compact` are read by roster.lua, including the space before their values
        return json.dumps(
            {
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "port": self._health.port,
                "model": self._serving.version,
                "version": __version__,
                "retention_ms": self._settings.retention_ms,
                "lease_ttl_ms": self._settings.lease_ttl_ms,
                "actions": dict(self._serving.actions),
                "settings": self._deciding(),
                "gestures": self._serving.labels.names,
                "compact": not (self._serving.needs_z or self._z_announced),
                **({"drawings": self._serving.drawings} if self._serving.drawings else {}),
            }
        )

    def _run_periodic_tasks(self) -> None:
        """Write the summary line and check that the supervisor is alive, when due."""
        now_s = time.monotonic()
        if now_s < self._next_summary_s:
            return
        self._next_summary_s = now_s + self._settings.summary_s
        if self._parent is not None and os.getppid() != self._parent:
            self.log.warning("parent_lost", action="draining")
            self._stop.set()
        summary = self.metrics.summary()
        self.log.info(
            "summary",
            frames=summary.outcomes,
            p50_ms=summary.latency_p50_ms,
            p99_ms=summary.latency_p99_ms,
            gestures=summary.gestures,
            lag=summary.lag,
            partitions=summary.partitions,
            rss_mb=self.metrics.rss_mb(),
        )

    def _log_rejected(self, rejected: Iterable[Rejected]) -> None:
        for one in rejected:
            suppressed = self._sampler.admit(one.reason, time.monotonic())
            if suppressed is not None:
                self.log.warning(
                    "frame_rejected",
                    reason=one.reason.value,
                    partition=one.partition,
                    entry=one.entry.decode(),
                    session=one.session,
                    cause=one.cause,
                    suppressed=suppressed,
                )

    def _shut_down(self) -> None:
        begin_s = time.monotonic()
        if not self._failures:  # otherwise Redis is unavailable, and the leases expire
            drain_within(self._settings.drain_ms, self._parts.loop.drain, self.log)
        self._health.close()
        self._parts.close()
        self.log.info("stopped", drain_ms=round((time.monotonic() - begin_s) * 1000))

    def _handle_signals(self) -> None:
        def stop(number: int, _frame: FrameType | None) -> None:
            if self._stop.is_set():
                os._exit(128 + number)
            self._stop.set()
            self._parts.wake()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)

    def _live(self) -> tuple[bool, dict[str, Any]]:
        """Return whether the process is live, with details.

        An outage of Redis does not make it fail, because restarting all workers would not help.
        """
        still_s = time.monotonic() - self._turned_s
        dead = self._threads.dead()
        facts = {"loop_still_s": round(still_s, 3), "dead_threads": dead}
        return still_s < STALL_S and not dead, facts

    def _ready(self) -> tuple[bool, dict[str, Any]]:
        """Return whether this worker does its share of the work, with details."""
        owned = sorted(self._parts.loop.partitions)
        ready = self._parts.keeper.is_ready(time.monotonic()) and not self._failures
        return ready, {"model": self._serving.version, "partitions": owned}


def drain_within(limit_ms: int, drain: Callable[[], None], log: Log) -> None:
    """Drain, and end this process with `DRAIN_OVERDUE` if that takes longer than `limit_ms`."""

    def end() -> None:
        log.error("drain_timed_out", drain_ms=limit_ms)
        os._exit(DRAIN_OVERDUE)

    overdue = threading.Timer(limit_ms / 1000, end)
    overdue.daemon = True
    overdue.start()
    try:
        drain()
    except MazeError as error:
        # no frame is lost: the next owner reads again what was not committed
        log.warning("drain_interrupted", error=str(error))
    finally:
        overdue.cancel()


def _bracketed(host: str) -> str:
    """Return a host in the form for a URL, an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def _collect_rarely() -> None:
    """Keep the cycle collector out of the frame path.

    A batch of single frames makes thousands of lists and no cycles. The collector would walk all of them and
    all imported modules several times per batch, which takes a sixth of the worker's time. What the start
    made is kept without looking for garbage in it, which would delay the first answer by 40 ms.
    """
    gc.freeze()
    gc.set_threshold(GC_OBJECTS, 10, 10)
    gc.enable()  # off since `worker.__main__`


def _keep_heap() -> None:
    """Keep memory that a batch has freed for the next one.

    glibc returns the top of the heap to the kernel when more than about 1 MB of it is free. In many
    processes, by what happens to lie at the top, that is after every batch, and the page faults of the next
    one take a twentieth of the worker's time. Other C libraries have no `mallopt`.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_TRIM_THRESHOLD, HEAP_KEPT_BYTES)
        mallopt(M_MMAP_THRESHOLD, HEAP_KEPT_BYTES)  # larger blocks do not come from the heap
