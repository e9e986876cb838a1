"""The only place where a worker is assembled: for the process, replays, the pytest pool and the tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gesture_maze.models.bundle import bundled_path, load_bundle
from gesture_maze.models.classifier import Classifier
from gesture_maze.worker.admit import Limits
from gesture_maze.worker.batch import Batch, Part
from gesture_maze.worker.commits import Commits
from gesture_maze.worker.intake import Intake
from gesture_maze.worker.keeper import Keeper
from gesture_maze.worker.logs import Log, Sampler, open_log
from gesture_maze.worker.loop import Loop
from gesture_maze.worker.metrics import Metrics
from gesture_maze.worker.ownership import Ownership
from gesture_maze.worker.partition import Partition
from gesture_maze.worker.path import FramePath
from gesture_maze.worker.policy import Policy
from gesture_maze.worker.quarantine import Quarantine
from gesture_maze.worker.redis.broker import Broker
from gesture_maze.worker.redis.cluster.streams import ClusterCommitter
from gesture_maze.worker.redis.commits import Committer
from gesture_maze.worker.redis.opened import open_broker, open_committer, open_reader
from gesture_maze.worker.redis.streams import Reader
from gesture_maze.worker.report import OnRejected, Reporter
from gesture_maze.worker.retention import Retention
from gesture_maze.worker.serving.observer import Observer
from gesture_maze.worker.serving.serving import Recipe, Serving
from gesture_maze.worker.settings import Settings
from gesture_maze.worker.tracing import Tracing
from gesture_maze.worker.wake import Wake


@dataclass(frozen=True, slots=True)
class Worker:
    """The parts of a worker. The caller runs `keeper` and `loop`, in one thread or two, and closes the
    worker."""

    broker: Broker
    keeper: Keeper
    loop: Loop
    path: FramePath
    metrics: Metrics
    log: Log
    wake: Wake

    def close(self) -> None:
        """Drop the connections."""
        self.loop.close()
        self.wake.close()


def load_classifier(model: str | None) -> Classifier:
    """Return the model at a path, or the bundled one.

    Raises:
        ModelError: the bundle is broken.
    """
    return Classifier.from_bundle(load_bundle(Path(model) if model else bundled_path()))


def serving_of(settings: Settings, classifier: Classifier, metrics: Metrics) -> Serving:
    """Return a classifier with the threshold and actions of a worker's settings."""
    return Recipe(settings.threshold, settings.actions, metrics.inference).serving(classifier)


def assemble(
    settings: Settings,
    client: Any,
    serving: Serving,
    worker: str,
    *,
    clock: Callable[[], float],
    metrics: Metrics,
    info: str = "{}",
    reader: Reader | None = None,
    observer: Observer | None = None,
    on_rejected: OnRejected | None = None,
    tracing: Tracing | None = None,
    log: Log | None = None,
) -> Worker:
    """Assemble a worker and return it.

    Args:
        settings: the worker's settings; those of the process (metrics port, summaries) are not used.
        client: a client of a single Redis, a cluster or fakeredis.
        serving: the model that answers first.
        worker: its id.
        clock: monotonic seconds.
        metrics: of this worker.
        info: JSON shown to operators.
        reader: reads frames; None selects the reader for the client.
        observer, on_rejected, tracing: see `worker.report`.
        log: where events go; None opens a log as set in the settings.
    """
    log, wake = log or open_log(settings, worker=worker), Wake()
    broker = open_broker(client, settings.partitions, settings.lease_ttl_ms)
    keeper = Keeper(broker, worker, info, wake, log, clock)
    path = _path(settings, serving, worker, metrics, log, clock)
    common = _Common(settings, broker, keeper, path, metrics, clock, log, {})
    limits = {"dead_letters": settings.dead_letters, "dead_letter_bytes": settings.dead_letter_bytes}
    committer = open_committer(client, **limits)
    reporter = Reporter(metrics, observer=observer, on_rejected=on_rejected, tracing=tracing)
    loop = _loop(common, reader or open_reader(client), committer, reporter, wake)
    return Worker(broker, keeper, loop, path, metrics, log, wake)


def _path(
    settings: Settings, serving: Serving, worker: str, metrics: Metrics, log: Log, clock: Callable[[], float]
) -> FramePath:
    limits = Limits(settings.deadline_ms, settings.supersede_ms)
    on_error = _model_errors(metrics, log, clock)
    return FramePath(serving, limits, Policy(settings.policy), worker, on_model_error=on_error)


@dataclass(frozen=True, slots=True)
class _Common:
    """The parts that most other parts depend on."""

    settings: Settings
    broker: Broker
    keeper: Keeper
    path: FramePath
    metrics: Metrics
    clock: Callable[[], float]
    log: Log
    partitions: dict[int, Partition]

    def server_ms(self) -> int | None:
        return self.keeper.server_ms(self.clock())


def _loop(
    common: _Common, reader: Reader, committer: Committer | ClusterCommitter, reporter: Reporter, wake: Wake
) -> Loop:
    keeper, partitions, clock = common.keeper, common.partitions, common.clock
    ownership = _ownership(common)
    commits = Commits(
        committer,
        keeper,
        partitions,
        drop=ownership.drop,
        recover=ownership.recover,
        metrics=common.metrics,
        clock=clock,
        log=common.log,
    )
    intake = Intake(
        reader,
        partitions,
        batch_frames=common.settings.batch_frames,
        block_ms=common.settings.block_ms,
        wake=wake,
        clock=clock,
        commits=commits,
        recover=ownership.recover,
    )
    quarantine = _quarantine(common, commits, reporter, ownership)
    ownership.on_open, ownership.on_close = quarantine.open, quarantine.close
    return Loop(
        partitions,
        keeper=keeper,
        ownership=ownership,
        intake=intake,
        path=common.path,
        commits=commits,
        reporter=reporter,
        quarantine=quarantine,
        retention=_retention(common, commits),
        clock=clock,
    )


def _ownership(common: _Common) -> Ownership:
    return Ownership(
        common.broker,
        common.keeper,
        common.path,
        common.partitions,
        total=common.settings.partitions,
        rebuild_ms=common.settings.rebuild_ms,
        metrics=common.metrics,
        clock=common.clock,
        log=common.log,
    )


def _quarantine(common: _Common, commits: Commits, reporter: Reporter, ownership: Ownership) -> Quarantine:
    def report(batch: Batch, parts: Sequence[Part], sent_ms: int | None) -> None:
        reporter.report_suspect(batch, parts, sent_ms)
        common.keeper.progressed(common.clock())

    return Quarantine(
        common.broker,
        common.path,
        commits,
        deadline_ms=common.settings.deadline_ms,
        server_ms=common.server_ms,
        report=report,
        recover=ownership.recover,
    )


def _retention(common: _Common, commits: Commits) -> Retention:
    return Retention(
        common.broker,
        common.keeper,
        commits,
        common.partitions,
        retention_ms=common.settings.retention_ms,
        rebuild_ms=common.settings.rebuild_ms,
        metrics=common.metrics,
        clock=common.clock,
        log=common.log,
    )


def _model_errors(metrics: Metrics, log: Log, clock: Callable[[], float]) -> Callable[[Exception], None]:
    """Return a handler that counts errors raised by the model, and logs one of each type per second."""
    sampler = Sampler()

    def on_error(error: Exception) -> None:
        metrics.model_failed()
        suppressed = sampler.admit(type(error).__name__, clock())
        if suppressed is not None:
            log.error("model_failed", error=repr(error), suppressed=suppressed)

    return on_error
