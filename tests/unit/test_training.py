"""Training: bad CSVs are rejected by name, folds separate users, the shipped model is the trained one."""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from gesture_maze.cli.classify import classify
from gesture_maze.cli.evaluate import evaluate
from gesture_maze.cli.train import train
from gesture_maze.models.bundle import ModelReason, bundled_path, load_bundle
from gesture_maze.models.classifier import Classifier
from gesture_maze.models.dataset import COORDINATES, Dataset, read_dataset, require_trainable
from gesture_maze.models.evaluation import evaluate as judge
from gesture_maze.models.features import features
from gesture_maze.models.hands import Hands
from gesture_maze.models.network import Network
from gesture_maze.models.onnx.export import check_graph
from gesture_maze.models.train.augmentation import Spread
from gesture_maze.models.train.calibration import choose_temperature, cooled
from gesture_maze.models.train.candidates import candidates, fit_candidate
from gesture_maze.models.train.comparison import compare_all
from gesture_maze.models.train.fitting import Settings
from gesture_maze.models.train.folds import cross_validate, folds
from gesture_maze.models.train.search import ship_network
from gesture_maze.models.train.trainer import Recipe, smoothed, train_classifier, train_network
from gesture_maze.wire.errors import ModelError, SettingsError
from gesture_maze.wire.gestures import GESTURES, LABELS
from tests.support.data import landmarks_train

QUICK = Recipe(hidden=16, members=2, epochs=6, batch_rows=32, learning_rate=1e-2)
QUICK_SETTINGS = Settings(recipe=QUICK, folds=3, seed=1)
CLASSES = (LABELS["like"], LABELS["palm"], LABELS["three"])


def hands(rows_per_class: int = 40, seed: int = 0) -> Dataset:
    """Return three well-separated kinds of synthetic hands, of users with four hands each."""
    rng = np.random.default_rng(seed)
    kinds = rng.normal(size=(len(CLASSES), 21, 2))
    labels = np.tile(np.array(CLASSES, np.int64), rows_per_class)
    places = np.tile(np.arange(len(CLASSES)), rows_per_class)
    points = kinds[places] + rng.normal(0.0, 0.1, (len(labels), 21, 2))
    users = np.array([f"u{row // 4}" for row in range(len(labels))])
    return Dataset(points, labels, users, np.full(len(labels), "made"), ("made.csv",), "0" * 64)


def targets(data: Dataset) -> np.ndarray:
    return np.eye(19)[data.labels]


def write_csv(path: Path, data: Dataset, *, z: bool = False, users: bool = True, source: str = "") -> Path:
    """Write the hands as a file; with a `source` it names that and no users."""
    users = users and not source
    header = [
        *COORDINATES,
        "label",
        *(["user_id"] if users else ["source"] if source else []),
        *([f"z{k}" for k in range(1, 22)] if z else []),
    ]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for points, label, user in zip(data.points, data.labels, data.users, strict=True):
            extra = [user] if users else [source] if source else []
            writer.writerow([*points.ravel(), GESTURES[label], *extra, *(["7"] * 21 if z else [])])
    return path


@pytest.fixture(scope="module")
def built():
    data = hands()
    return ship_network(data, QUICK_SETTINGS, Hands(data.landmarks[:6], data.aspect[:6]))


# ---- data


def test_csv_with_or_without_users_and_depth_is_read(tmp_path):
    data = hands(4)
    plain = read_dataset([write_csv(tmp_path / "a.csv", data, users=False)])
    assert plain.points == pytest.approx(data.points)
    assert plain.gestures == ("palm", "three", "like")
    assert [plain.gestures[one] for one in plain.labels] == [GESTURES[one] for one in data.labels]
    assert plain.depth is None
    assert (plain.users == "").all()
    deep = read_dataset([write_csv(tmp_path / "b.csv", data, z=True)])
    assert deep.points == pytest.approx(data.points)
    assert (deep.users == data.users).all()
    assert (deep.landmarks[:, :, 2] == 7.0).all()
    packed = tmp_path / "b.csv.gz"
    packed.write_bytes(gzip.compress((tmp_path / "b.csv").read_bytes()))
    both = read_dataset([tmp_path / "a.csv", packed])
    assert len(both) == 2 * len(data)
    assert both.names == ("a.csv", "b.csv.gz")


def edited(tmp_path: Path, edit) -> Path:
    path = write_csv(tmp_path / "bad.csv", hands(4))
    rows = list(csv.reader(path.read_text().splitlines()))
    edit(rows)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def put(row: int, column: str, value: str):
    def edit(rows):
        rows[row][rows[0].index(column)] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (put(0, "y21", "other"), ("row 1", "'y21'", "missing")),
        (put(0, "user_id", "x3"), ("row 1", "'x3'", "more than once")),
        (put(0, "label", "other"), ("row 2", "no label", "'label'")),
        (put(3, "x7", "nan"), ("row 4", "'x7'", "'nan'")),
        (put(3, "y7", ""), ("row 4", "'y7'", "''")),
        (put(3, "x1", "inf"), ("row 4", "'x1'")),
        (put(3, "x1", "one"), ("row 4", "'x1'", "'one'")),
        (put(5, "label", "2 hands"), ("row 6", "'label'", "'2_hands'")),
        (lambda rows: rows[2].pop(), ("row 3", "columns")),
        (lambda rows: rows.__delitem__(slice(1, None)), ("no rows",)),
        (lambda rows: rows.clear(), ("empty",)),
    ],
)
def test_csv_with_fault_is_rejected_with_row_and_column(tmp_path, edit, words):
    with pytest.raises(SettingsError) as caught:
        read_dataset([edited(tmp_path, edit)])
    assert caught.value.reason == "data"
    for word in ("bad.csv", *words):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("name", "data"), [("a.csv.gz", b"x1,y1"), ("a.csv", b"\xff\xfe"), ("a.csv", b"\x00")]
)
def test_file_that_is_not_csv_is_rejected(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SettingsError, match=r"a\.csv"):
        read_dataset([tmp_path / name])
    with pytest.raises(SettingsError, match="cannot read"):
        read_dataset([tmp_path / "none.csv"])


def test_data_too_small_to_train_on_is_rejected(tmp_path):
    with pytest.raises(SettingsError, match=r"'label' holds palm in 4 rows only"):
        require_trainable(hands(4))
    data = hands(12)
    one = data.labels == CLASSES[0]
    only = Dataset(
        data.points[one], data.labels[one], data.users[one], data.sources[one], ("a.csv",), "0" * 64
    )
    with pytest.raises(SettingsError, match=r"one class only \(like\)"):
        require_trainable(only)


# ---- folds and training


def test_folds_separate_users_and_hold_out_only_rows_with_user():
    data = hands()
    users = data.users.copy()
    users[::5] = ""
    mixed = Dataset(data.points, data.labels, users, data.sources, data.names, data.sha256)
    judged = []
    for inside, outside, _ in folds(mixed, 4, 0):
        assert not set(users[inside]) & set(users[outside])
        assert (users[outside] != "").all()
        assert set(np.flatnonzero(users == "")) <= set(inside)
        judged += list(outside)
    assert sorted(judged) == list(np.flatnonzero(users != ""))


def test_folds_without_users_hold_out_every_row_once():
    data = hands()
    anonymous = Dataset(
        data.points, data.labels, np.full(len(data), ""), data.sources, data.names, data.sha256
    )
    judged = np.concatenate([outside for _, outside, _ in folds(anonymous, 4, 0)])
    assert sorted(judged) == list(range(len(data)))


def test_network_with_same_seed_is_identical():
    data = hands()
    first, again, other = (train_network(data.points, targets(data), QUICK, seed) for seed in (3, 3, 4))
    assert all((a == b).all() for a, b in zip(first.weights, again.weights, strict=True))
    assert (first.weights[0] != other.weights[0]).any()


def test_network_members_merged_average_their_logits():
    data = hands()
    ticks: list[None] = []
    merged = train_network(data.points, targets(data), QUICK, 3, lambda: ticks.append(None))
    assert len(ticks) == QUICK.steps() == 12
    assert merged.weights[0].shape[1] == QUICK.hidden * QUICK.members
    values = features(data.points)
    halves = [
        Network(
            (merged.weights[0][:, part], 2 * merged.weights[1][part]),
            (merged.biases[0][part], merged.biases[1]),
        )
        for part in (slice(0, QUICK.hidden), slice(QUICK.hidden, None))
    ]
    logits = np.mean([np.log(half.probabilities(values)) for half in halves], axis=0)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert merged.probabilities(values) == pytest.approx(expected, abs=1e-9)


def test_network_trained_on_two_gestures_never_predicts_third():
    data = hands()
    two = data.labels != CLASSES[2]
    network = train_network(data.points[two], targets(data)[two], QUICK, 0)
    probabilities = network.probabilities(features(data.points[two]))
    assert np.mean(probabilities.argmax(axis=1) == data.labels[two]) > 0.95
    assert probabilities[:, CLASSES[2]].max() < 1e-6


def test_label_smoothing_spreads_over_present_gestures_only():
    found = smoothed(np.array([*CLASSES, CLASSES[0]]), 0.3, 19)
    assert found.sum(axis=1) == pytest.approx(np.ones(4))
    assert found[0, CLASSES[0]] == pytest.approx(0.8)
    assert found[0, CLASSES[1]] == pytest.approx(0.1)
    assert np.count_nonzero(found.any(axis=0)) == len(CLASSES)


def test_classifier_with_doubt_limits_its_confidence():
    data = hands()
    recipe = replace(QUICK, epochs=20)
    sure, doubting = (
        train_classifier(data.points, data.labels, replace(recipe, doubt=doubt), 0).probabilities(
            features(data.points)
        )
        for doubt in (0.0, 0.3)
    )
    assert sure.max(axis=1).mean() > 0.95
    assert doubting.max(axis=1).mean() == pytest.approx(0.8, abs=0.05)
    assert (doubting.argmax(axis=1) == data.labels).all()


def test_classifier_with_empty_turns_favours_no_gesture():
    data = hands()
    empty = np.where(data.labels == CLASSES[0], LABELS["no_gesture"], data.labels)
    often = replace(QUICK, empty_turns=9, epochs=1)
    found, usual = (
        train_classifier(data.points, empty, recipe, 0).probabilities(features(data.points))
        for recipe in (often, replace(often, empty_turns=1))
    )
    assert found[:, LABELS["no_gesture"]].mean() > usual[:, LABELS["no_gesture"]].mean() + 0.02


def test_temperature_of_overconfident_model_is_recovered():
    rng = np.random.default_rng(0)
    logits = rng.normal(0.0, 1.5, (8000, 19))
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(19, p=row) for row in honest])
    assert choose_temperature(labels, cooled(honest, 0.5)) == pytest.approx(2.0, rel=0.08)
    network = Network((np.eye(19),), (np.zeros(19),))
    assert network.cooled(2.0).probabilities(logits) == pytest.approx(cooled(honest, 2.0))


@pytest.mark.parametrize("name", ["svc", "mlp", "knn"])
def test_candidate_on_separable_data_learns(name):
    data = hands()
    fit = fit_candidate(lambda: candidates(0)[name], Spread(), 0, 19)
    held = cross_validate(data, fit, list(folds(data, 2, 0)))
    assert held.probabilities.shape == (len(data), 19)
    assert np.mean(held.probabilities.argmax(axis=1) == held.labels) > 0.9


def test_comparison_of_candidates_ends_with_shipped(built):
    ticks: list[None] = []
    knn, shipped = compare_all(hands(), built, QUICK_SETTINGS, lambda: ticks.append(None), ["knn"])
    assert (knn.name, shipped.name) == ("knn", "shipped")
    assert knn.us_at_256 > 0 < shipped.us_at_1
    assert len(ticks) == 3


# ---- export


def test_built_bundle_is_evaluated_and_verified(built):
    manifest = built.bundle.manifest
    assert built.evaluation["model"] == built.bundle.version
    assert built.evaluation["accuracy"] > 0.95
    assert built.export_difference < 1e-4
    assert manifest.evaluation["held_out"].rows == len(hands())
    assert sum(manifest.baseline.gesture_mix.values()) == pytest.approx(1.0, abs=1e-3)
    assert sum(manifest.baseline.confidence_histogram) == pytest.approx(1.0, abs=1e-3)


def test_build_repeated_gives_identical_bytes(built):
    data = hands()
    again = ship_network(data, QUICK_SETTINGS, Hands(data.landmarks[:6], data.aspect[:6]))
    assert again.bundle.files == built.bundle.files


def test_export_that_differs_is_rejected(built):
    data = hands()
    other = train_network(data.points, targets(data), QUICK, 99)
    with pytest.raises(ModelError) as caught:
        check_graph(built.bundle, data.landmarks, data.aspect, other.probabilities(features(data.points)))
    assert caught.value.reason == ModelReason.EXPORT_MISMATCH


# ---- commands

app = typer.Typer()
for command in (train, evaluate, classify):
    app.command(context_settings={"auto_envvar_prefix": "MAZE"})(command)


def run(*words: object, **options):
    return CliRunner().invoke(app, list(map(str, words)), **options)


@pytest.mark.parametrize("command", ["train", "evaluate", "classify"])
def test_help_of_command_shows_example(command):
    found = run(command, "--help", color=False)
    assert found.exit_code == 0
    assert f"Example: maze {command}" in found.stdout


def test_train_command_writes_bundle_that_evaluate_reads(tmp_path):
    source = write_csv(tmp_path / "hands.csv", hands())
    found = run("train", source, "--out", tmp_path / "b", "--folds", 2, "--epochs", 2, "--json")
    assert found.exit_code == 0, found.output
    report = json.loads(found.stdout)
    assert load_bundle(tmp_path / "b").version == report["model"]
    judged = run("evaluate", source, "--model", tmp_path / "b", "--json")
    assert json.loads(judged.stdout)["model"] == report["model"]
    tables = run("evaluate", source, env={"MAZE_MODEL": str(tmp_path / "b")})
    assert report["model"] in tables.stdout
    assert "palm" in tables.stdout


def test_evaluate_with_json_flag_prints_documented_keys(tmp_path):
    found = run("evaluate", write_csv(tmp_path / "hands.csv", hands()), "--json")
    report = json.loads(found.stdout)
    assert set(report) == {"rows", "accuracy", "macro_f1", "per_class", "action", "model"}
    assert set(report["action"]) == {"precision", "recall", "false_action_rate"}
    assert set(report["per_class"]["like"]) == {"precision", "recall", "f1", "n"}


# ---- real data, when available


def test_bundled_model_on_its_training_data_reaches_accuracy():
    data = read_dataset([landmarks_train()])
    classifier = Classifier.from_bundle(load_bundle(bundled_path()))
    found = judge(
        data.labels,
        classifier.probabilities(data.landmarks, data.aspect),
        threshold=classifier.manifest.thresholds.act,
        model=classifier.version,
    )
    assert found["accuracy"] > 0.97
    assert found["action"]["false_action_rate"] < 0.005
    assert set(data.file_sha256) <= set(classifier.manifest.training_data.file_sha256)
