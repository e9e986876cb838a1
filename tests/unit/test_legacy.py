"""Import of the old service's pickles: only when trusted, in a child process, with equal answers."""

from __future__ import annotations

import json
import os
import pickle
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import typer
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import SVC
from typer.testing import CliRunner

from gesture_maze.cli.main import Commands
from gesture_maze.cli.models_import import models_import
from gesture_maze.cli.options import CONTEXT
from gesture_maze.models.bundle import ModelReason, load_bundle
from gesture_maze.models.classifier import Classifier
from gesture_maze.models.dataset import Dataset
from gesture_maze.models.hands import Hands
from gesture_maze.models.judged import judge
from gesture_maze.models.legacy.importer import legacy_bundle, open_pickles, read_labels
from gesture_maze.models.legacy.layout import Layout, column_places
from gesture_maze.models.train.distillation import distil
from gesture_maze.models.train.trainer import Recipe
from gesture_maze.simulator.players import synthesize
from gesture_maze.wire.errors import ModelError, SettingsError
from gesture_maze.wire.gestures import GESTURES
from tests.support.bundles import sealed

FOUR = (16, 2, 3, 14)
"""Class numbers of the old service."""
QUICK = Recipe(hidden=8, members=1, epochs=2, batch_rows=64)


def simulated(per_class: int, seed: int, classes: tuple[int, ...] = FOUR) -> tuple[np.ndarray, np.ndarray]:
    labels = np.repeat(np.array(classes), per_class)
    return synthesize(labels, np.random.default_rng(seed)).landmarks, labels


PROBES, _ = simulated(20, 7)
GOLDEN = Hands(simulated(2, 8)[0], np.ones(8, np.float32))


@dataclass
class Files:
    svc: Path
    scaler: Path
    labels: Path
    fitted: Any
    fitted_scaler: Any

    def flags(self) -> list[str]:
        return ["--svc", str(self.svc), "--scaler", str(self.scaler), "--labels", str(self.labels)]


def make(folder: Path, width: int = 63, names: bool = False, clip: bool = False, **parameters: Any) -> Files:
    landmarks, labels = simulated(20, 1)
    rows = landmarks[:, :, : width // 21].reshape(len(landmarks), -1)
    scaler = MinMaxScaler(clip=clip).fit(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # probability=True is deprecated, but the old service used it
        svc = SVC(C=10.0, **parameters).fit(scaler.transform(rows), labels)
    files = Files(folder / "svc.pkl", folder / "scaler.pkl", folder / "table.json", svc, scaler)
    joblib.dump(svc, files.svc)
    files.scaler.write_bytes(pickle.dumps(scaler))
    files.labels.write_text(json.dumps({str(label): GESTURES[label] for label in FOUR}))
    return files


def opened(files: Files, **options: Any) -> Any:
    return open_pickles(files.svc, files.scaler, read_labels(files.labels), PROBES, **options)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The pickles of a service with 63 values, opened once for all tests that only read them."""
    return opened(make(tmp_path_factory.mktemp("pickles")))


@pytest.mark.parametrize(
    ("width", "parameters"),
    [(63, {"clip": True}), (42, {"kernel": "poly"}), (42, {"probability": True, "random_state": 0})],
    ids=["63 values", "42 values", "with probabilities"],
)
def test_imported_bundle_gives_the_answers_of_the_pickles(
    tmp_path: Path, width: int, parameters: dict[str, Any]
) -> None:
    files = make(tmp_path, width, **parameters)
    legacy = opened(files)
    bundle = legacy_bundle(legacy, PROBES, GOLDEN)
    classifier = Classifier.from_bundle(bundle)
    column, _ = classifier.classify(PROBES, np.ones(len(PROBES), np.float32))
    label = np.array(classifier.numbers)[column]
    assert classifier.labels == ("dislike", "four", "three", "like")
    assert classifier.needs_depth == (width == 63)
    rows = files.fitted_scaler.transform(PROBES[:, :, : width // 21].reshape(len(PROBES), -1).astype(float))
    assert np.mean(label == files.fitted.predict(rows)) == legacy.agreement > 0.95
    assert bundle.version.startswith("svc-")
    assert "svc.pkl and scaler.pkl" in bundle.card
    assert not legacy.warnings
    assert legacy.svc.calibrated == parameters.get("probability", False)


def test_model_of_63_values_is_not_judged_without_z(imported: Any) -> None:
    bundle = legacy_bundle(imported, PROBES, GOLDEN)
    assert bundle.manifest.inputs is not None
    assert bundle.manifest.inputs.coordinates == ("x", "y", "z")
    assert not bundle.manifest.inputs.aspect
    labels = np.array([GESTURES.index("like")] * 4, np.int64)
    names = np.full(4, "")
    flat = Dataset(PROBES[:4, :, :2].astype(float), labels, names, names, ("flat.csv",), "0" * 64)
    with pytest.raises(SettingsError, match=r"needs z, but flat\.csv has no columns z1 to z21"):
        judge(bundle, flat)
    deep = replace(flat, depth=PROBES[:4, :, 2].astype(float))
    assert judge(bundle, deep).evaluation()["rows"] == 4


def test_model_that_uses_z_against_its_declaration_is_refused(imported: Any) -> None:
    bundle = legacy_bundle(imported, PROBES, GOLDEN)
    lying = sealed(bundle.files, inputs={"coordinates": ["x", "y"], "aspect": False})
    with pytest.raises(ModelError, match="its answers depend on it") as caught:
        Classifier.from_bundle(lying)
    assert caught.value.reason == ModelReason.BAD_GRAPH
    undeclared = sealed(bundle.files, format_version=1, inputs=None, numbers=[])
    assert Classifier.from_bundle(undeclared).needs_depth


def test_import_with_votes_ignores_probabilities(tmp_path: Path) -> None:
    files = make(tmp_path, probability=True, random_state=0)
    assert not opened(files, votes=True).svc.calibrated


def test_export_that_differs_from_the_trained_model_is_refused(imported: Any) -> None:
    other = replace(imported, offset=imported.offset + 0.01)
    with pytest.raises(Exception, match="differs from the trained one"):
        legacy_bundle(other, PROBES, GOLDEN)


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.path),)


def app() -> typer.Typer:
    found = typer.Typer(cls=Commands)
    found.command("import", context_settings=CONTEXT)(models_import)
    found.callback()(lambda: None)
    return found


def run(*words: str) -> Any:
    return CliRunner(env={"COLUMNS": "300"}).invoke(app(), ["import", *words])


def test_import_without_trust_pickle_opens_no_file(tmp_path: Path) -> None:
    files = make(tmp_path)
    files.svc.write_bytes(pickle.dumps(Bomb(tmp_path / "went off")))
    found = run(*files.flags())
    assert found.exit_code == 2
    assert "pass --trust-pickle if you trust both files" in found.output
    assert not (tmp_path / "went off").exists()


def test_pickle_of_another_object_is_refused_and_writes_no_bundle(tmp_path: Path) -> None:
    files = make(tmp_path)
    files.svc.write_bytes(pickle.dumps(Bomb(tmp_path / "went off")))
    found = run(*files.flags(), "--trust-pickle", "--out", str(tmp_path / "out"))
    assert found.exit_code == 2
    assert "expected a fitted SVC, found a NoneType" in found.output
    assert (tmp_path / "went off").exists(), "which is why the flag is there"
    assert not (tmp_path / "out").exists()


def test_import_command_writes_a_bundle_and_reports_it(tmp_path: Path) -> None:
    files = make(tmp_path)
    out = tmp_path / "out"
    found = run(*files.flags(), "--trust-pickle", "--out", str(out), "--json")
    assert found.exit_code == 0, found.output
    assert "opening a pickle runs whatever code its writer put there" in found.stderr
    facts = json.loads(found.stdout)
    assert facts["model"] == load_bundle(out).version
    assert facts["us_at_256"] > 0
    assert "faster?    --distill" in run(*files.flags(), "--trust-pickle", "--out", str(out)).stdout


def test_legacy_child_is_not_imported_by_this_process() -> None:
    assert "gesture_maze.models.legacy.child" not in sys.modules


def test_distilled_model_agrees_with_its_teacher(imported: Any) -> None:
    bundle = legacy_bundle(imported, PROBES, GOLDEN)
    sets = [simulated(n, seed)[0] for n, seed in ((60, 2), (20, 3), (2, 4))]
    lessons, judged, golden = (Hands(hands, np.full(len(hands), 4 / 3, np.float32)) for hands in sets)
    pupil = distil(
        Classifier.from_bundle(bundle), lessons, judged, golden, replace(QUICK, epochs=20, hidden=32), 0
    )
    assert pupil.bundle.version.startswith("distilled-")
    assert pupil.agreement > 0.8
    assert bundle.version in pupil.bundle.card


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("x", "cannot read the labels"),
        ("3", "expected a table of labels"),
        ('{"16": "hand stand"}', "a gesture matches .* found 'hand stand'"),
        ('{"16": "like", "2": "like"}', "two classes have the same gesture"),
    ],
)
def test_labels_table_with_a_fault_is_refused(tmp_path: Path, table: str, words: str) -> None:
    path = tmp_path / "table.json"
    path.write_text(table)
    with pytest.raises(SettingsError, match=words):
        read_labels(path)


def test_labels_table_in_each_form_is_read(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    for table in ({"0": "like", "1": "fist"}, {"like": 0, "fist": 1}, ["like", "fist"]):
        path.write_text(json.dumps(table))
        assert read_labels(path) == {"0": "like", "1": "fist"}


def test_class_without_a_gesture_is_named_in_the_error(tmp_path: Path) -> None:
    files = make(tmp_path)
    files.labels.write_text('{"16": "like", "2": "dislike", "3": "four"}')
    with pytest.raises(SettingsError, match="the labels do not name 14"):
        opened(files)


def test_column_places_follow_the_names_or_else_the_layout() -> None:
    assert column_places(42, [], Layout.INTERLEAVED)[:4] == [0, 1, 3, 4]
    assert column_places(63, [], Layout.PLANAR)[:3] == [0, 3, 6]
    names = [f"{axis}{point}" for axis in "yx" for point in range(1, 22)]
    assert column_places(42, names, Layout.INTERLEAVED)[:2] == [1, 4]
    from_zero = [f"X_{point}" for point in range(21)] + [f"Y_{point}" for point in range(21)]
    assert column_places(42, from_zero, Layout.INTERLEAVED)[20:22] == [60, 1]
    for width, bad in ((40, []), (42, ["x1"] * 42), (42, ["thumb"] * 42)):
        with pytest.raises(ValueError, match=r"expected 42 or 63|are not x1"):
            column_places(width, bad, Layout.INTERLEAVED)
