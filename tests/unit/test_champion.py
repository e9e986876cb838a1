"""The model watch, step by step, with the clock and the registry supplied by the test."""

from __future__ import annotations

from typing import Any

import pytest

from gesture_maze.models.bundle import Bundle, ModelReason
from gesture_maze.wire.errors import ConnectionLost, ModelError
from gesture_maze.worker.metrics import Metrics
from gesture_maze.worker.redis.registry import Roles
from gesture_maze.worker.serving.champion import MISSING_RETRY_S, NOTICE_S, ModelWatch, load
from gesture_maze.worker.serving.serving import Recipe, Serving
from gesture_maze.worker.serving.shadow import Challenger
from tests.support.bundles import bundled, damaged, disturbed, sealed, with_threshold, wrong

OLD = bundled()
NEW = disturbed(0.9)
DEEP = sealed(NEW.files, inputs={"coordinates": ["x", "y", "z"], "aspect": True})
"""A bundle that declares z as an input."""


class Registry:
    """Stand-in for the registry in Redis."""

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
    """Log that records its events."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, level: str) -> Any:
        return lambda event, **values: self.events.append((event, values))


class Watched:
    def __init__(self, threshold: float | None = None) -> None:
        self.registry, self.log, self.metrics = Registry(), Lines(), Metrics()
        self.offered: list[Serving] = []
        self.trials: list[Challenger | None] = []
        self.announced: list[bool] = []
        anything: Any = self
        self.watch = ModelWatch(
            anything.registry,
            Recipe(threshold, {}, lambda _seconds: None),
            in_use=OLD.version,
            offer=self.offered.append,
            challenge=self.trials.append,
            announce=self.announced.append,
            metrics=self.metrics,
            log=anything.log,
        )

    def refused(self, reason: ModelReason) -> float | None:
        return self.metrics.registry.get_sample_value("maze_models_refused_total", {"reason": reason.value})


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_model_watch_without_a_champion_changes_nothing(watched: Watched) -> None:
    for second in range(3):
        watched.watch.step(second)
    assert (watched.offered, watched.trials, watched.registry.reads) == ([], [], 0)


def test_new_champion_is_loaded_and_offered_once(watched: Watched) -> None:
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


def test_champion_that_uses_z_is_announced_before_it_is_offered(watched: Watched) -> None:
    watched.watch.step(0.0)
    promote(watched, DEEP)
    watched.watch.step(1.0)
    watched.watch.step(1.0 + NOTICE_S / 2)
    assert (watched.announced, watched.offered) == ([True], [])
    watched.watch.step(1.0 + NOTICE_S)
    assert [serving.needs_z for serving in watched.offered] == [True]
    promote(watched, NEW)
    watched.watch.step(9.0)
    assert [serving.needs_z for serving in watched.offered] == [True, False]
    assert watched.announced == [True, False]


def test_champion_that_uses_z_withdrawn_before_its_use_is_not_offered(watched: Watched) -> None:
    watched.watch.step(0.0)
    promote(watched, DEEP)
    watched.watch.step(1.0)
    watched.registry.now = Roles(champion=OLD.version)
    watched.watch.step(1.0 + NOTICE_S)
    assert (watched.announced, watched.offered) == ([True, False], [])


def test_first_champion_that_uses_z_is_offered_at_once(watched: Watched) -> None:
    promote(watched, DEEP)
    watched.watch.step(0.0)
    assert [serving.needs_z for serving in watched.offered] == [True]
    assert watched.announced == [True]


def test_challenger_that_uses_z_is_announced_while_it_is_on_trial(watched: Watched) -> None:
    promote(watched, OLD)
    watched.registry.bundles[DEEP.version] = DEEP.to_zip()
    watched.registry.now = Roles(champion=OLD.version, challenger=DEEP.version, share=1.0)
    watched.watch.step(0.0)
    assert [one is not None and one.needs_z for one in watched.trials] == [True]
    watched.registry.now = Roles(champion=OLD.version)
    watched.watch.step(1.0)
    assert watched.announced == [True, False]


def promote(watched: Watched, bundle: Bundle) -> None:
    watched.registry.bundles[bundle.version] = bundle.to_zip()
    watched.registry.now = Roles(champion=bundle.version, promoted_ms=1)


def test_champion_in_use_is_not_reloaded_and_a_flush_changes_nothing(watched: Watched) -> None:
    watched.registry.now = Roles(champion=OLD.version, promoted_ms=1)
    watched.watch.step(0.0)
    watched.registry.bundles[NEW.version] = NEW.to_zip()
    watched.registry.now = Roles(champion=NEW.version, promoted_ms=2)
    watched.watch.step(1.0)
    watched.registry.now = Roles()
    watched.watch.step(2.0)
    assert [serving.version for serving in watched.offered] == [NEW.version]


def test_threshold_is_the_setting_or_else_that_of_the_model() -> None:
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
def test_broken_bundle_is_refused_once(watched: Watched, data: bytes, reason: ModelReason) -> None:
    watched.registry.bundles[NEW.version] = data
    watched.registry.now = Roles(champion=NEW.version, promoted_ms=1)
    for second in range(100):
        watched.watch.step(second)
    assert watched.offered == []
    assert watched.refused(reason) == 1
    assert [event for event, _ in watched.log.events] == ["model_refused"]
    assert watched.registry.reads == 1, "no hot loop"


def test_model_that_fails_its_self_test_is_refused_and_rollback_loads_nothing(watched: Watched) -> None:
    bad = wrong()
    watched.registry.bundles[bad.version] = bad.to_zip()
    watched.registry.now = Roles(champion=bad.version, previous=OLD.version, promoted_ms=1)
    watched.watch.step(0.0)
    assert watched.refused(ModelReason.SELF_TEST) == 1
    assert watched.log.events[0][1]["kept"] == OLD.version
    watched.registry.now = Roles(champion=OLD.version, previous=bad.version, promoted_ms=2)
    watched.watch.step(1.0)
    assert (watched.offered, watched.registry.reads) == ([], 1)


def test_repaired_bundle_is_offered_after_its_next_promotion(watched: Watched) -> None:
    watched.registry.bundles[NEW.version] = damaged(NEW)
    watched.registry.now = Roles(champion=NEW.version, promoted_ms=1)
    watched.watch.step(0.0)
    watched.registry.bundles[NEW.version] = NEW.to_zip()
    watched.watch.step(1.0)
    assert watched.offered == []
    watched.registry.now = Roles(champion=NEW.version, promoted_ms=2)
    watched.watch.step(2.0)
    assert [serving.version for serving in watched.offered] == [NEW.version]


def test_missing_bundle_is_looked_up_again_until_it_exists(watched: Watched) -> None:
    watched.registry.now = Roles(champion=NEW.version, promoted_ms=1)
    for second in range(25):
        watched.watch.step(second)
    assert watched.registry.reads == 1 + 24 // MISSING_RETRY_S
    assert watched.refused(ModelReason.NOT_FOUND) == 1
    watched.registry.bundles[NEW.version] = NEW.to_zip()
    watched.watch.step(100.0)
    assert len(watched.offered) == 1


def test_challenger_is_loaded_updated_and_cleared(watched: Watched) -> None:
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


def test_broken_challenger_is_refused_once(watched: Watched) -> None:
    watched.registry.bundles[NEW.version] = b"rubbish"
    watched.registry.now = Roles(challenger=NEW.version, share=0.1, challenged_ms=1)
    for second in range(20):
        watched.watch.step(second)
    assert set(watched.trials) == {None}
    assert watched.refused(ModelReason.NOT_A_BUNDLE) == 1
    assert watched.registry.reads == 1


def test_challenger_equal_to_the_champion_is_ignored(watched: Watched) -> None:
    watched.registry.now = Roles(champion=OLD.version, challenger=OLD.version, share=1.0)
    watched.watch.step(0.0)
    assert watched.trials == []


def test_lost_connection_changes_nothing_and_is_logged_once(watched: Watched) -> None:
    watched.registry.away = True
    for second in range(3):
        with pytest.raises(ConnectionLost) as caught:
            watched.watch.step(second)
        watched.watch.offline(caught.value)
    assert [event for event, _ in watched.log.events] == ["model_watch_disconnected"]
    assert watched.offered == []


def test_load_with_an_unexpected_error_raises_model_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(_data: bytes) -> Any:
        raise MemoryError

    monkeypatch.setattr("gesture_maze.worker.serving.champion.load_zip", explode)
    with pytest.raises(ModelError) as caught:
        load(NEW.version, b"x")
    assert caught.value.reason == ModelReason.NOT_A_BUNDLE
