"""One worker process: start up, main loop, shut down."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any, Final

import redis

from gesture_maze.models.bundle import bundled_path, load_bundle
from gesture_maze.models.classifier import Classifier
from gesture_maze.producer.address import without_password
from gesture_maze.version import __version__
from gesture_maze.wire.errors import ConnectionLost, Refused
from gesture_maze.worker.redis.broker import Broker, connect
from gesture_maze.worker.serving.champion import ModelWatch
from gesture_maze.worker.health import HealthServer
from gesture_maze.worker.keeper import STALL_S, Keeper
from gesture_maze.worker.logs import Sampler, open_log
from gesture_maze.worker.loop import Loop, Wake
from gesture_maze.worker.metrics import Metrics
from gesture_maze.worker.serving.observer import Observer
from gesture_maze.worker.pipeline import Pipeline
from gesture_maze.worker.policy import Policy
from gesture_maze.worker.redis.registry import ModelRegistry
from gesture_maze.worker.serving.serving import Recipe, Serving, TimedModel
from gesture_maze.worker.settings import Settings
from gesture_maze.worker.redis.streams import Committer, Reader
from gesture_maze.worker.tracing import open_tracing

BACK_OFF_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0)
"""Waits after a lost connection; the last one repeats."""
SWITCH_S: Final = 0.0005
"""How long the keeper or a scrape may hold the interpreter while frames wait; Python's own 5 ms show."""


class WorkerProcess:
    """Everything of one worker. `run` returns when it was told to stop and has drained.

    Args:
        settings: checked settings.
        worker: id of this worker, never used before.
        supervised: drain when the parent process is gone. Not for a worker that a shell has started: it goes
            on when the shell ends, as any program does.

    Raises:
        ModelError: the bundle is broken.
        SettingsError: Redis holds another topology, or the metrics port is taken.
    """

    def __init__(self, settings: Settings, worker: str, *, supervised: bool = False) -> None:
        self._settings: Final = settings
        self.log: Final = open_log(settings, worker=worker)
        self.metrics: Final = Metrics()
        recipe = Recipe(settings.threshold, self.metrics.inference)
        classifier = Classifier.from_bundle(
            load_bundle(Path(settings.model) if settings.model else bundled_path())
        )
        self.metrics.model_loaded(classifier.version)
        client = connect(settings.redis, f"maze-worker-{worker}")
        self._observer: Final = Observer(ModelRegistry(client), settings.actions, self.metrics, self.log)
        self.pipeline: Final = self._pipeline(classifier, recipe, worker)
        self._serving = self.pipeline.serving
        self._wake: Final = Wake()
        self._stop: Final = threading.Event()
        self._health = HealthServer(
            self.metrics.registry, self._live, self._ready, settings.metrics_host, settings.metrics_port
        )
        self._models: Final = ModelWatch(
            ModelRegistry(client),
            recipe,
            in_use=classifier.version,
            offer=self._offer,
            challenge=self._observer.challenge,
            metrics=self.metrics,
            log=self.log,
        )
        self._connect(client, worker)
        self._sampler: Final = Sampler()
        self._next_summary_s = time.monotonic() + settings.summary_s
        self._parent: Final = os.getppid() if supervised else None

    def _pipeline(self, classifier: Classifier, recipe: Recipe, worker: str) -> Pipeline:
        settings = self._settings
        return Pipeline(
            TimedModel(classifier, self.metrics.inference),
            threshold=recipe.least(classifier),
            baseline=classifier.manifest.baseline,
            actions=settings.actions,
            policy=Policy(settings.policy),
            deadline_ms=settings.deadline_ms,
            supersede_ms=settings.supersede_ms,
            worker=worker,
            observe=self._observer.note,
        )

    def _connect(self, client: redis.Redis, worker: str) -> None:
        settings = self._settings
        broker = Broker(client, settings.partitions, settings.lease_ttl_ms)
        self._keeper = Keeper(broker, worker, self._info(), self._wake, self.log)
        self._loop = Loop(
            settings,
            broker=broker,
            reader=Reader(client),
            committer=Committer(client, sharded=False, dead_letters=settings.dead_letters),
            keeper=self._keeper,
            pipeline=self.pipeline,
            metrics=self.metrics,
            clock=time.monotonic,
            log=self.log,
            wake=self._wake,
            rejected=self._log_rejected,
            tracing=open_tracing(worker),
        )

    def _info(self) -> str:
        return json.dumps(
            {
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "port": self._health.port,
                "model": self._serving.version,
                "version": __version__,
                "actions": self._settings.actions,
            }
        )

    def run(self) -> None:
        """Work until a signal, then drain. A second signal leaves at once."""
        self._handle_signals()
        sys.setswitchinterval(SWITCH_S)
        self.log.info(
            "started",
            version=__version__,
            model=self._serving.version,
            metrics=f"http://{self._settings.metrics_host}:{self._health.port}/metrics",
            redis=without_password(self._settings.redis),
            **self._settings.model_dump(exclude={"redis", "metrics_port", "metrics_host", "model"}),
        )
        self._keeper.loop_alive_s = time.monotonic()
        self._look_for_model()
        for side in (self._keeper, self._models, self._observer):
            name = type(side).__name__
            threading.Thread(
                target=side.run, args=(self._stop, time.monotonic), name=name, daemon=True
            ).start()
        failures = 0
        while not self._stop.is_set():
            try:
                if failures:
                    self._loop.reconnect()
                self._loop.step()
                failures = 0
            except ConnectionLost as error:
                self._offline(error, failures)
                failures += 1
            self._show_model()
            self._look_around()
        self._drain()

    def _look_for_model(self) -> None:
        """Take the champion that Redis names, before any partition is ours; wait for Redis if it is away."""
        failures = 0
        while not self._stop.is_set():
            try:
                self._models.step(time.monotonic())
            except Refused as error:
                self._models.offline(error)  # somebody put its key to another use: we have a model
            except ConnectionLost as error:
                self._offline(error, failures)
                failures += 1
                continue
            self.pipeline.run([], None)  # takes what is offered
            self._show_model()
            return

    def _offer(self, serving: Serving) -> None:
        self.pipeline.offer(serving)
        self._wake()  # without frames too

    def _show_model(self) -> None:
        """Say so if another model answers since the last look."""
        serving, old = self.pipeline.serving, self._serving
        if serving is old:
            return
        self._serving = serving
        self.metrics.model_loaded(serving.version, swapped=True)
        self._keeper.info = self._info()
        self.log.info(
            "model_swapped", old=old.version, new=serving.version, load_ms=round(serving.load_ms, 1)
        )

    def _offline(self, error: ConnectionLost, failures: int) -> None:
        self.metrics.redis_error("connection")
        self.log.warning("redis_offline", error=str(error), failures=failures + 1)
        self._keeper.loop_alive_s = time.monotonic()
        self._stop.wait(BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)])

    def _look_around(self) -> None:
        """What is due now and then: the summary line, and whether the supervisor is still there."""
        now_s = time.monotonic()
        if now_s < self._next_summary_s:
            return
        self._next_summary_s = now_s + self._settings.summary_s
        if self._parent is not None and os.getppid() != self._parent:
            self.log.warning("orphaned", note="the parent process is gone: draining")
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
            rss_mb=rss_mb(),
        )

    def _log_rejected(self, partition: int, entry_id: bytes, reason: str, session: str) -> None:
        suppressed = self._sampler.admit(reason, time.monotonic())
        if suppressed is not None:
            self.log.warning(
                "frame_rejected",
                reason=reason,
                partition=partition,
                entry=entry_id.decode(),
                session=session,
                suppressed=suppressed,
            )

    def _drain(self) -> None:
        begin_s = time.monotonic()
        try:
            self._loop.drain()
        except ConnectionLost as error:
            # nothing is lost: what was not committed is read again by the next owner
            self.log.warning("drain_cut_short", error=str(error))
        self._health.close()
        self._stop.set()
        self.log.info("stopped", drain_ms=round((time.monotonic() - begin_s) * 1000))

    def _handle_signals(self) -> None:
        def stop(number: int, _frame: FrameType | None) -> None:
            if self._stop.is_set():
                os._exit(128 + number)
            self._stop.set()
            self._wake()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)

    def _live(self) -> tuple[bool, dict[str, Any]]:
        silent_s = time.monotonic() - self._keeper.loop_alive_s
        return silent_s < STALL_S, {"loop_silent_s": round(max(silent_s, 0.0), 3)}

    def _ready(self) -> tuple[bool, dict[str, Any]]:
        joined = self._keeper.clock_offset_ms is not None and not self._keeper.leaving
        owned = sorted(self._loop.partitions)
        return joined and self._keeper.online, {"model": self._serving.version, "partitions": owned}


def rss_mb() -> float:
    """Resident memory of this process now, MB."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # not Linux: the peak has to do, in KB, or bytes on macOS
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)
