"""The label set of a bundle: labels match by name, and own gestures are trained like published ones."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from pydantic import ValidationError
from typer.testing import CliRunner

from gesture_maze.capture.reader import Block
from gesture_maze.cli.classify import classify
from gesture_maze.cli.evaluate import evaluate
from gesture_maze.cli.train import train
from gesture_maze.gateway.predict import Prediction
from gesture_maze.lifecycle.training import data_warnings
from gesture_maze.models.bundle import bundled_path, load_bundle
from gesture_maze.models.classifier import Classifier
from gesture_maze.models.dataset import Dataset, read_dataset
from gesture_maze.models.judged import judge
from gesture_maze.models.labels import columns, default_numbers, label_faults, label_set
from gesture_maze.models.manifest import Manifest
from gesture_maze.models.steering import with_actions
from gesture_maze.replay.engine import Replay, replay_settings
from gesture_maze.wire.errors import ModelError
from gesture_maze.wire.frames import HAND, LEFT, META
from gesture_maze.wire.gestures import GESTURES, LabelSet
from gesture_maze.wire.replies import MOVES, Reply
from gesture_maze.worker.serving.serving import Recipe
from tests.support.hands import hands, write_csv

app = typer.Typer()
for command in (train, evaluate, classify):
    app.command()(command)


def run(*words: object, **options: Any) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, list(map(str, words)), **options)


def own_csv(folder: Path, **names: str) -> Path:
    """Write labelled hands with some gestures renamed."""
    path = write_csv(folder / "own.csv", hands())
    text = path.read_text()
    for old, new in names.items():
        text = text.replace(f",{old},", f",{new},")
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a bundle with the labels like, no_gesture and the own gesture swipe."""
    folder = tmp_path_factory.mktemp("own")
    source = own_csv(folder, palm="swipe")
    words = (source, "--out", folder / "b", "--folds", 2, "--epochs", 20, "--tracking-uri", "none", "--json")
    found = run("train", *words)
    assert found.exit_code == 0, found.output
    return folder / "b"


def test_label_set_is_published_by_number_then_own_by_name() -> None:
    assert label_set(["wave", "like", "call", "clap", "like"]) == ("call", "like", "clap", "wave")
    assert label_set(GESTURES) == GESTURES
    assert default_numbers(("call", "like", "clap", "wave")) == (0, 16, 19, 20)


def test_columns_are_mapped_by_name() -> None:
    found = columns(np.array([[0.9, 0.1]]), ("like", "wave"), ("call", "like", "wave"))
    assert found.tolist() == [[0.0, 0.9, 0.1]]


@pytest.mark.parametrize(
    ("labels", "numbers", "fault"),
    [
        (("like",), (16,), "2 to 64 labels, found 1"),
        (tuple(f"g{k}" for k in range(65)), tuple(range(65)), "found 65"),
        (("like", "a b"), (16, 19), "found 'a b'"),
        (("like", "like"), (16, 17), "twice"),
        (("like", "wave"), (16, 16), "number of its own"),
        (("like", "wave"), (16,), "number of its own"),
        (("like", "wave"), (15, 19), "published number 16"),
        (("like", "wave"), (16, 3), "numbered from 19 to 82"),
        (("like", "wave"), (16, 20), ""),
    ],
)
def test_label_faults_name_the_fault_of_an_invalid_label_set(
    labels: tuple[str, ...], numbers: tuple[int, ...], fault: str
) -> None:
    found = label_faults(labels, numbers)
    assert fault in found if fault else not found


def test_train_with_own_gesture_ships_it_by_name_and_number(own: Path) -> None:
    classifier = Classifier.from_bundle(load_bundle(own))
    assert classifier.labels == ("like", "no_gesture", "swipe")
    assert classifier.numbers == (16, 18, 19)
    assert not classifier.needs_depth
    data = hands()
    names = [classifier.labels[column] for column in classifier.classify(data.landmarks, data.aspect)[0]]
    truth = [GESTURES[label].replace("palm", "swipe") for label in data.labels]
    assert np.mean([one == other for one, other in zip(names, truth, strict=True)]) > 0.95
    assert set(classifier.manifest.baseline.gesture_mix) == set(classifier.labels)  # type: ignore[union-attr]


def test_card_of_three_gestures_lists_only_those(own: Path) -> None:
    card = load_bundle(own).card
    assert "one of 3 gestures" in card
    assert "like, no_gesture, swipe" in card
    assert "like -> up" in card
    assert "four" not in card


def test_train_warns_of_own_gestures_missing_users_and_missing_negatives(tmp_path: Path) -> None:
    source = own_csv(tmp_path, palm="plam", no_gesture="fist")
    text = "\n".join(line.rpartition(",")[0] for line in source.read_text().splitlines())
    source.write_text(text)
    found = data_warnings(read_dataset([source]))
    for words in ("no user ids", "did you mean palm?", "no_gesture"):
        assert any(words in one for one in found)
    out = run("train", source, "--out", tmp_path / "b", "--folds", 2, "--epochs", 1, "--tracking-uri", "none")
    assert "maze: warning: the data has no user ids" in out.stderr
    card = load_bundle(tmp_path / "b").card
    assert "The data names no users" in card
    assert "false actions were not measured" in card


def test_evaluate_counts_gestures_unknown_to_the_model_as_missed(own: Path, tmp_path: Path) -> None:
    found = run("evaluate", own_csv(tmp_path), "--model", own, "--json")
    report = json.loads(found.stdout)
    assert report["per_class"]["palm"]["recall"] == 0.0
    assert report["per_class"]["palm"]["n"] == 40
    assert "does not know palm (40 rows)" in found.stderr
    against = run("evaluate", own_csv(tmp_path), "--model", own, "--against", bundled_path(), "--json")
    assert set(json.loads(against.stdout)["per_class"]) == {*GESTURES, "swipe"}


def test_classify_answers_with_name_and_number(own: Path) -> None:
    data = hands()
    points = data.points[[GESTURES[label] for label in data.labels].index("palm")].tolist()
    found = json.loads(
        run("classify", "--model", own, "--aspect", 1, "--json", input=json.dumps(points)).stdout
    )
    assert (found["gesture"], found["label"]) == ("swipe", 19)


def test_commands_take_the_actions_of_own_gestures(own: Path, tmp_path: Path) -> None:
    source = own_csv(tmp_path, palm="swipe")
    mapping = ("--model", own, "--actions", "swipe=left,like=up")
    report = json.loads(run("evaluate", source, *mapping, "--json").stdout)
    assert report["action"]["recall"] > 0.9
    default = json.loads(run("evaluate", source, "--model", own, "--json").stdout)
    assert default["action"]["recall"] > 0.9
    assert report["per_class"] == default["per_class"]
    data = hands()
    points = data.points[[GESTURES[label] for label in data.labels].index("palm")].tolist()
    for text, action in (("swipe=left", "left"), ("left:swipe=left", None), ("like=up", None)):
        words = ("classify", "--model", own, "--aspect", 1, "--actions", text, "--json")
        assert json.loads(run(*words, input=json.dumps(points)).stdout)["action"] == action
    for wrong in ("swipe=jump", "both:swipe=up", "swipe"):
        assert run("classify", "--model", own, "--actions", wrong, input="[]").exit_code == 2
    assert run("evaluate", source, "--model", own, "--actions", "left:like=up").exit_code != 0


def test_serving_of_own_gestures_has_their_numbers_and_actions(own: Path) -> None:
    actions: Any = {"like": "up", "left:swipe": "left", "four": "right"}
    serving = Recipe(None, actions, lambda _: None).serving(Classifier.from_bundle(load_bundle(own)))
    assert serving.labels == LabelSet(("like", "no_gesture", "swipe"), (16, 18, 19))
    codes = [MOVES[code] for code in serving.action_codes]
    assert codes == ["up", None, None, None, "up", None, "left", None]


def test_mapping_of_bundle_is_used_unless_another_is_given(own: Path, tmp_path: Path) -> None:
    steered = with_actions(load_bundle(own), {"swipe": "left", "left:like": "down"})
    assert steered.version != load_bundle(own).version
    assert "- **Actions**: swipe -> left, left:like -> down.\n- **Input**" in steered.card
    steered.write(tmp_path / "b")
    classifier = Classifier.from_bundle(load_bundle(tmp_path / "b"))
    serving = Recipe(None, None, lambda _: None).serving(classifier)
    codes = [MOVES[code] for code in serving.action_codes]
    assert codes == [None, None, "left", None, "down", None, "left", None]
    other = Recipe(None, {"like": "up"}, lambda _: None).serving(classifier)
    assert [MOVES[code] for code in other.action_codes] == ["up", None, None, None] * 2
    source = own_csv(tmp_path, palm="swipe")
    found = json.loads(run("evaluate", source, "--model", tmp_path / "b", "--json").stdout)
    assert found == json.loads(
        run("evaluate", source, "--model", tmp_path / "b", "--actions", "swipe=left", "--json").stdout
    )


@pytest.mark.parametrize("key", ["wave", "both:swipe", "no_gesture"])
def test_mapping_of_gesture_that_the_model_does_not_know_is_refused(own: Path, key: str) -> None:
    with pytest.raises(ModelError, match="actions: "):
        with_actions(load_bundle(own), {key: "up"})
    raw = json.loads((own / "manifest.json").read_text())
    assert "actions" not in raw
    with pytest.raises(ValidationError, match="actions: "):
        Manifest.model_validate({**raw, "actions": {key: "up"}})


def test_train_with_actions_judges_by_them_and_ships_them(tmp_path: Path) -> None:
    source = own_csv(tmp_path, palm="swipe")
    words = (source, "--out", tmp_path / "b", "--folds", 2, "--epochs", 2, "--tracking-uri", "none")
    refused = run("train", *words, "--actions", "wave=up")
    assert refused.exit_code != 0
    assert "actions: wave is not a gesture of the data" in str(refused.exception)
    assert run("train", *words, "--actions", "swipe=right").exit_code == 0
    bundle = load_bundle(tmp_path / "b")
    assert dict(bundle.manifest.mapping) == {"swipe": "right"}
    assert "- **Actions**: swipe -> right." in bundle.card
    assert judge(bundle, read_dataset([source])).actions == {"swipe": "right"}
    assert list(bundle.manifest.drawings) == ["swipe"]


def test_own_gesture_runs_from_training_to_reply_and_prediction(own: Path) -> None:
    classifier = Classifier.from_bundle(load_bundle(own))
    data = hands()
    palms = data.landmarks[data.labels == GESTURES.index("palm")][:20]
    meta = np.zeros(40, META)
    meta["seq"], meta["captured_ms"], meta["aspect"] = np.arange(40), np.arange(40) * 33, 1.0
    meta["flags"] = np.repeat([HAND, HAND | LEFT], 20)
    sessions = ["right"] * 20 + ["left"] * 20
    block = Block(range(40), np.arange(40.0).tolist(), sessions, meta, np.concatenate([palms, palms]))
    settings = replay_settings(actions={"swipe": "up", "left:swipe": "left"})
    with Replay(settings, classifier) as replay:
        texts = [text for text in replay.run(block) if text is not None]
    replies = [Reply.model_validate_json(text) for text in texts]
    assert Counter((one.gesture, one.label) for one in replies).most_common(1)[0][0] == ("swipe", 19)
    moves = {(one.hand, one.move) for one in replies if one.move not in (None, "stop")}
    assert moves == {("right", "up"), ("left", "left")}
    found = next(reply for reply in replies if reply.gesture == "swipe").model_dump()
    prediction = Prediction.model_validate(found | {"predicted_class_index": found["label"]})
    assert (prediction.gesture, prediction.predicted_class_index) == ("swipe", 19)


def test_dataset_by_default_has_the_published_gestures() -> None:
    data = hands()
    assert isinstance(data, Dataset)
    assert data.gestures == GESTURES
