"""A worker without a process: the same loop, pipeline and scripts, for replays and for testers' pools.

Whoever makes one runs its keeper and its loop, in one thread or two.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gesture_maze.models.bundle import bundled_path, load_bundle
from gesture_maze.models.classifier import Classifier
from gesture_maze.worker.redis.broker import Broker
from gesture_maze.worker.keeper import Keeper
from gesture_maze.worker.logs import open_log
from gesture_maze.worker.loop import Loop, Wake
from gesture_maze.worker.metrics import Metrics
from gesture_maze.worker.pipeline import Pipeline
from gesture_maze.worker.policy import Policy
from gesture_maze.worker.settings import Settings
from gesture_maze.worker.redis.streams import Committer, Reader


def load_classifier(model: str | None) -> Classifier:
    """The model at a path, or the bundled one.

    Raises:
        ModelError: the bundle is broken.
    """
    return Classifier.from_bundle(load_bundle(Path(model) if model else bundled_path()))


def assemble(
    settings: Settings,
    client: Any,
    classifier: Classifier,
    worker: str,
    *,
    clock: Callable[[], float],
    reader: Reader | None = None,
    rejected: Callable[[int, bytes, str, str], None] = lambda *_: None,
) -> tuple[Keeper, Loop]:
    """The parts of one worker on one client of Redis.

    Args:
        settings: all of them but those of a process: metrics, summaries.
        client: of Redis or fakeredis.
        classifier: what classifies; nothing replaces it.
        worker: its id.
        clock: monotonic seconds.
        reader: what reads frames; None is the usual one.
        rejected: see `worker.loop.Loop`.
    """
    broker = Broker(client, settings.partitions, settings.lease_ttl_ms)
    log, wake = open_log(settings, worker=worker), Wake()
    keeper = Keeper(broker, worker, "{}", wake, log)
    loop = Loop(
        settings,
        broker=broker,
        reader=reader or Reader(client),
        committer=Committer(client, sharded=False, dead_letters=settings.dead_letters),
        keeper=keeper,
        pipeline=_pipeline(settings, classifier, worker),
        metrics=Metrics(),
        clock=clock,
        log=log,
        wake=wake,
        rejected=rejected,
    )
    return keeper, loop


def _pipeline(settings: Settings, classifier: Classifier, worker: str) -> Pipeline:
    act = classifier.manifest.thresholds.act
    return Pipeline(
        classifier,
        threshold=act if settings.threshold is None else settings.threshold,
        actions=settings.actions,
        policy=Policy(settings.policy),
        deadline_ms=settings.deadline_ms,
        supersede_ms=settings.supersede_ms,
        worker=worker,
    )
