"""The model watch, step by step, with the time and Redis given by the test."""

from __future__ import annotations

from typing import Any

import pytest

from gesture_maze.models.bundle import ModelReason
from gesture_maze.wire.errors import ConnectionLost, ModelError
from gesture_maze.worker.metrics import Metrics
from gesture_maze.worker.redis.registry import Roles
from gesture_maze.worker.serving.champion import MISSING_RETRY_S, ModelWatch, load
from gesture_maze.worker.serving.serving import Recipe, Serving
from gesture_maze.worker.serving.shadow import Challenger
from tests.support.bundles import bundled, damaged, disturbed, with_threshold, wrong

OLD = bundled()
NEW = disturbed(0.9)


class Registry:
    """Stands for Redis."""

    def __init__(self) -> None:
        self.now = Roles()
        self.bundles: dict[str, bytes] = {}
        self.away = False
        self.reads = 0

    def roles(self) -> Roles:
        if self.away:
            raise ConnectionLost("connection", "away")
        return self.now

    def bundle(self, version: str) -> bytes | None:
        self.reads += 1
        return self.bundles.get(version)


class Lines:
    """A log that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, level: str) -> Any:
        return lambda event, **values: self.events.append((event, values))


class Watched:
    def __init__(self, threshold: float | None = None) -> None:
        self.registry, self.log, self.metrics = Registry(), Lines(), Metrics()
        self.offered: list[Serving] = []
        self.trials: list[Challenger | None] = []
        anything: Any = self
        self.watch = ModelWatch(
            anything.registry,
            Recipe(threshold, {}, lambda _seconds: None),
            in_use=OLD.version,
            offer=self.offered.append,
            challenge=self.trials.append,
            metrics=self.metrics,
            log=anything.log,
        )

    def refused(self, reason: ModelReason) -> float | None:
        return self.metrics.registry.get_sample_value("maze_models_refused_total", {"reason": reason.value})


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_where_redis_names_no_champion_nothing_changes(watched: Watched) -> None:
    for second in range(3):
        watched.watch.step(second)
    assert (watched.offered, watched.trials, watched.registry.reads) == ([], [], 0)


def test_a_new_champion_is_loaded_once_and_offered(watched: Watched) -> None:
    watched.registry.bundles[NEW.version] = NEW.to_zip()
    watched.registry.now = Roles(champion=NEW.version, promoted_ms=1)
    for second in range(3):
        watched.watch.step(second)
    (serving,) = watched.offered
    assert serving.version == NEW.version
    assert serving.threshold == round(NEW.manifest.thresholds.act * 1000)
    assert serving.baseline == NEW.manifest.baseline
    assert serving.load_ms > 0
    assert watched.registry.reads == 1


def test_the_one_in_use_is_not_loaded_again_and_a_flush_changes_nothing(watched: Watched) -> None:
    watched.registry.now = Roles(champion=OLD.version, promoted_ms=1)
    watched.watch.step(0.0)
    watched.registry.bundles[NEW.version] = NEW.to_zip()
    watched.registry.now = Roles(champion=NEW.version, promoted_ms=2)
    watched.watch.step(1.0)
    watched.registry.now = Roles()
    watched.watch.step(2.0)
    assert [serving.version for serving in watched.offered] == [NEW.version]


def test_the_threshold_is_the_models_unless_it_is_set() -> None:
    other = with_threshold(0.6)
    for setting, expected in ((None, 600), (0.9, 900)):
        watched = Watched(setting)
        watched.registry.bundles[other.version] = other.to_zip()
        watched.registry.now = Roles(champion=other.version)
        watched.watch.step(0.0)
        assert watched.offered[0].threshold == expected


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no zip at all", ModelReason.NOT_A_BUNDLE),
        (damaged(NEW), ModelReason.NOT_A_BUNDLE),
        (OLD.to_zip(), ModelReason.VERSION_MISMATCH),
    ],
    ids=("rubbish", "damaged", "another"),
)
def test_a_broken_bundle_is_refused_once(watched: Watched, data: bytes, reason: ModelReason) -> None:
    watched.registry.bundles[NEW.version] = data
    watched.registry.now = Roles(champion=NEW.version, promoted_ms=1)
    for second in range(100):
        watched.watch.step(second)
    assert watched.offered == []
    assert watched.refused(reason) == 1
    assert [event for event, _ in watched.log.events] == ["model_refused"]
    assert watched.registry.reads == 1, "no hot loop"


def test_a_model_that_fails_its_self_test_is_refused_and_a_rollback_needs_no_load(watched: Watched) -> None:
    bad = wrong()
    watched.registry.bundles[bad.version] = bad.to_zip()
    watched.registry.now = Roles(champion=bad.version, previous=OLD.version, promoted_ms=1)
    watched.watch.step(0.0)
    assert watched.refused(ModelReason.SELF_TEST) == 1
    assert watched.log.events[0][1]["kept"] == OLD.version
    watched.registry.now = Roles(champion=OLD.version, previous=bad.version, promoted_ms=2)
    watched.watch.step(1.0)
    assert (watched.offered, watched.registry.reads) == ([], 1)


def test_what_was_mended_and_promoted_anew_is_taken(watched: Watched) -> None:
    watched.registry.bundles[NEW.version] = damaged(NEW)
    watched.registry.now = Roles(champion=NEW.version, promoted_ms=1)
    watched.watch.step(0.0)
    watched.registry.bundles[NEW.version] = NEW.to_zip()
    watched.watch.step(1.0)
    assert watched.offered == []
    watched.registry.now = Roles(champion=NEW.version, promoted_ms=2)
    watched.watch.step(2.0)
    assert [serving.version for serving in watched.offered] == [NEW.version]


def test_a_bundle_that_is_not_there_yet_is_looked_for_again(watched: Watched) -> None:
    watched.registry.now = Roles(champion=NEW.version, promoted_ms=1)
    for second in range(25):
        watched.watch.step(second)
    assert watched.registry.reads == 1 + 24 // MISSING_RETRY_S
    assert watched.refused(ModelReason.NOT_FOUND) == 1
    watched.registry.bundles[NEW.version] = NEW.to_zip()
    watched.watch.step(100.0)
    assert len(watched.offered) == 1


def test_a_challenger_is_loaded_changed_and_dismissed(watched: Watched) -> None:
    watched.registry.bundles[NEW.version] = NEW.to_zip()
    watched.registry.now = Roles(challenger=NEW.version, share=0.1, challenged_ms=1)
    watched.watch.step(0.0)
    watched.watch.step(1.0)
    watched.registry.now = Roles(challenger=NEW.version, share=0.5, challenged_ms=2)
    watched.watch.step(2.0)
    watched.registry.now = Roles()
    watched.watch.step(3.0)
    watched.watch.step(4.0)
    assert [trial and (trial.model.version, trial.share) for trial in watched.trials] == [
        (NEW.version, 0.1), (NEW.version, 0.5), None,
    ]  # fmt: skip
    assert watched.offered == []


def test_a_broken_challenger_is_refused_and_the_champion_stays(watched: Watched) -> None:
    watched.registry.bundles[NEW.version] = b"rubbish"
    watched.registry.now = Roles(challenger=NEW.version, share=0.1, challenged_ms=1)
    for second in range(20):
        watched.watch.step(second)
    assert set(watched.trials) == {None}
    assert watched.refused(ModelReason.NOT_A_BUNDLE) == 1
    assert watched.registry.reads == 1


def test_who_is_champion_does_not_challenge(watched: Watched) -> None:
    watched.registry.now = Roles(champion=OLD.version, challenger=OLD.version, share=1.0)
    watched.watch.step(0.0)
    assert watched.trials == []


def test_a_lost_connection_changes_nothing_and_is_said_once(watched: Watched) -> None:
    watched.registry.away = True
    for second in range(3):
        with pytest.raises(ConnectionLost) as caught:
            watched.watch.step(second)
        watched.watch.offline(caught.value)
    assert [event for event, _ in watched.log.events] == ["model_watch_offline"]
    assert watched.offered == []


def test_whatever_breaks_in_loading_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(_data: bytes) -> Any:
        raise MemoryError

    monkeypatch.setattr("gesture_maze.worker.serving.champion.load_zip", explode)
    with pytest.raises(ModelError) as caught:
        load(NEW.version, b"x")
    assert caught.value.reason == ModelReason.NOT_A_BUNDLE
