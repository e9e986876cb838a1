"""Search over model kinds: folds that separate users, ranking, and export of the winner."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from gesture_maze.cli.options import CONTEXT
from gesture_maze.cli.train import train
from gesture_maze.lifecycle.training import golden_hands
from gesture_maze.models.bundle import load_bundle
from gesture_maze.models.classifier import Classifier
from gesture_maze.models.train.fitting import NETWORK, Settings, fit_kind
from gesture_maze.models.train.folds import folds
from gesture_maze.models.train.packaging import HELD_OUT
from gesture_maze.models.train.search import F1_TIE, GRIDS, Trial, ranked, search, ship, ticks
from gesture_maze.models.train.trainer import Recipe
from gesture_maze.wire.errors import ModelError, SettingsError
from tests.support.hands import hands, write_csv

QUICK = Settings(Recipe(hidden=8, members=1, epochs=2, batch_rows=32), folds=2, seed=1)
KINDS = ("knn", "mlp", NETWORK)
UNUSED: Any = None


@pytest.fixture(scope="module")
def trials() -> list[Trial]:
    done: list[None] = []
    found = search(hands(), QUICK, KINDS, lambda: done.append(None))
    assert len(done) == ticks(KINDS, 2) == 2 * 5
    return found


def made(name: str, macro_f1: float, false_actions: float | None, us: float) -> Trial:
    evaluation: Any = {"macro_f1": macro_f1, "action": {"false_action_rate": false_actions}}
    return Trial(name, {}, UNUSED, evaluation, us)


def order(*trials: Trial) -> list[str]:
    return [trial.kind for trial in ranked(trials)]


def test_ranking_orders_by_f1_then_false_actions_then_speed() -> None:
    slow = made("slow", 0.98, 0.0, 200.0)
    assert order(slow, made("worse", 0.98 - 2 * F1_TIE, 0.0, 1.0)) == ["slow", "worse"]
    assert order(made("acts", 0.98, 0.01, 1.0), slow) == ["slow", "acts"]
    assert order(slow, made("fast", 0.98 - F1_TIE / 2, 0.0005, 1.0)) == ["fast", "slow"]
    assert order(made("none", 0.98, None, 3.0), slow) == ["none", "slow"], "no empty hands, no false actions"


def test_search_judges_every_trial_on_all_hands(trials: list[Trial]) -> None:
    assert len(trials) == sum(len(GRIDS[kind]) for kind in KINDS)
    for trial in trials:
        assert sorted(trial.calibrated.held.rows) == list(range(120))
        assert trial.evaluation["rows"] == 120
        assert trial.us_per_frame > 0
        assert json.dumps(trial.as_dict())
    assert any("n_neighbors 15" in trial.name for trial in trials)


@pytest.mark.parametrize("kind", KINDS)
def test_shipped_bundle_matches_fitted_pipeline(trials: list[Trial], kind: str) -> None:
    data = hands()
    trial = next(one for one in trials if one.kind == kind)
    shipped = ship(trial, data, QUICK, golden_hands(1), lambda: None)
    assert shipped.export_difference <= 1e-4
    classifier = Classifier.from_bundle(shipped.bundle)
    label, _ = classifier.classify(data.landmarks, data.aspect)
    assert np.mean(label == shipped.fitted.pipeline.predict(data.points.reshape(-1, 42))) > 0.99
    assert shipped.bundle.manifest.evaluation[HELD_OUT].rows == 120
    judged = shipped.judged(data)
    assert judged.right.mean() == pytest.approx(shipped.evaluation["accuracy"])
    assert (judged.labels == data.labels[shipped.calibrated.held.rows]).all()


def test_export_that_differs_is_rejected(trials: list[Trial], monkeypatch: pytest.MonkeyPatch) -> None:
    import gesture_maze.models.train.fitting as module

    trial = next(one for one in trials if one.kind == "knn")
    exact = module.pipeline_graph
    monkeypatch.setattr(module, "pipeline_graph", lambda pipeline, _, classes: exact(pipeline, 0.5, classes))
    with pytest.raises(ModelError) as refused:
        ship(
            replace(trial, calibrated=replace(trial.calibrated, temperature=2.0)),
            hands(noise=1.0),
            QUICK,
            golden_hands(1),
            lambda: None,
        )
    assert refused.value.reason in ("export_mismatch", "self_test")


def run(*words: object) -> Any:
    app = typer.Typer()
    app.command(context_settings=CONTEXT)(train)
    return CliRunner(env={"COLUMNS": "250"}).invoke(app, [str(word) for word in words])


def test_train_command_with_search_writes_bundle_and_pipeline(tmp_path: Path) -> None:
    source, out = write_csv(tmp_path / "hands.csv", hands()), tmp_path / "b"
    words = (source, "--out", out, "--folds", 2, "--epochs", 1, "--search", "--kinds", "knn")
    found = run(*words, "--json")
    assert found.exit_code == 0, found.output
    report = json.loads(found.stdout)
    assert [trial["kind"] for trial in report["trials"]] == ["knn", "knn"]
    assert load_bundle(out).version == report["model"]
    assert report["model"].startswith("knn-")
    assert report["tracked"] is None
    pipeline = joblib.load(tmp_path / "b.joblib")
    assert set(pipeline.predict(hands().points.reshape(-1, 42))) == {0, 1, 2}
    assert "the first one won" in run(*words).stdout


def test_train_command_with_unknown_kind_is_rejected(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "hands.csv", hands())
    found = run(source, "--search", "--kinds", "forest,knn")
    assert isinstance(found.exception, SettingsError)
    assert "unknown kind forest" in str(found.exception)


def test_kind_failing_to_train_is_named_in_error() -> None:
    few = hands(6)
    with pytest.raises(
        ModelError, match=r"knn cannot be trained or judged on \d+ rows: ValueError"
    ) as caught:
        fit_kind("knn", {"classifier__n_neighbors": 99}, few.points, few.labels, QUICK, few.gestures).predict(
            few.points
        )
    assert caught.value.reason == "training"


def test_folds_with_too_few_users_are_rejected_with_remedy() -> None:
    data = hands()
    two = replace(data, users=np.where(np.arange(len(data)) % 2, "a", "b"))
    with pytest.raises(SettingsError, match="5 folds need as many users, and the data has 2: take --folds 2"):
        list(folds(two, 5, 0))
    with pytest.raises(SettingsError, match="has 1: leave the column user_id out"):
        list(folds(replace(data, users=np.full(len(data), "a")), 2, 0))
