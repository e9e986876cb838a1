"""Teaching: takes on disk, rows split by take, a grown network, and the judgement in words."""

from __future__ import annotations

import runpy
import zipfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from gesture_maze.capture.reader import CaptureReader
from gesture_maze.cli.models import facts_of
from gesture_maze.models.bundle import Bundle, bundled_path
from gesture_maze.models.classifier import Classifier
from gesture_maze.models.dataset import Dataset, read_dataset
from gesture_maze.models.features import features
from gesture_maze.models.gates import BASE_AFTER, BASE_BEFORE, GateReason, check_base
from gesture_maze.models.network import Network
from gesture_maze.teach.base import load_base
from gesture_maze.teach.course import Taught, teach
from gesture_maze.teach.growth import Grower, Recipe
from gesture_maze.teach.judging import folds_of, likenesses
from gesture_maze.teach.kept import Kept
from gesture_maze.teach.lessons import everything_else, rows_of, settled
from gesture_maze.teach.shapes import shared_shapes
from gesture_maze.teach.takes import CONSENT, Takes
from gesture_maze.teach.variety import GOOD, PROMPTS, variety
from gesture_maze.wire.errors import ModelError, SettingsError
from gesture_maze.wire.gestures import GESTURES
from tests.support.data import landmarks_train
from tests.support.takes import frames, record

if TYPE_CHECKING:
    from gesture_maze.worker.redis.registry import ModelRegistry

ROOT = Path(__file__).parents[2]
QUICK = Recipe(copies=2, per_gesture=40, idle=5, guard_hands=60)


@pytest.fixture(scope="module")
def base() -> tuple[Bundle, Network]:
    return load_base(bundled_path())


@pytest.fixture(scope="module")
def takes(tmp_path_factory: pytest.TempPathFactory) -> Takes:
    """Three takes of two made-up gestures, and a take of palm under the name of one of them."""
    found = record(tmp_path_factory.mktemp("takes"), ["pinky", "middle_ring"])
    found.add("pinky", frames("palm", 7), "simulated")
    return found


@pytest.fixture(scope="module")
def taught(base: tuple[Bundle, Network], takes: Takes) -> Taught:
    steps: list[float] = []
    found = teach(*base, takes.all(), recipe=QUICK, progress=steps.append)
    assert steps == sorted(steps)
    assert steps[-1] == 1.0
    return found


def test_take_on_disk_is_a_capture_with_consent_that_other_commands_read(tmp_path: Path) -> None:
    take = record(tmp_path, ["pinky"], takes=1).all()[0]
    with CaptureReader(take.path) as reader:
        assert reader.header["consent"] == CONSENT
        assert len(list(reader.frames())) == 30
    data = read_dataset([take.path])
    assert data.gestures == ("pinky",)
    assert len(data) == 30


def test_take_relabelled_changes_its_name_on_disk_and_deleted_is_gone(tmp_path: Path) -> None:
    takes = record(tmp_path, ["pinky"], takes=1)
    take = takes.all()[0]
    renamed = takes.relabel(take.id, "swipe")
    assert [path.name for path in tmp_path.iterdir()] == [f"swipe-{take.id}.jsonl.gz"]
    assert (renamed.label, len(renamed.points)) == ("swipe", 30)
    assert read_dataset([renamed.path]).gestures == ("swipe",)
    with zipfile.ZipFile(BytesIO(takes.zipped())) as archive:
        assert archive.namelist() == [renamed.path.name]
    takes.delete(take.id)
    assert takes.all() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("label", "count", "message"),
    [
        ("../x", 30, "the name of a gesture"),
        ("pinky", 3, "5 frames with a hand"),
        ("pinky", 3601, "at most 3600"),
    ],
)
def test_take_that_breaks_the_rules_is_refused_and_writes_nothing(
    tmp_path: Path, label: str, count: int, message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        Takes(tmp_path).add(label, (frames("pinky", 1, 30) * 121)[:count], "simulated")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("take", ["../../etc", "00000000", "*", ""])
def test_unknown_take_is_refused(tmp_path: Path, take: str) -> None:
    with pytest.raises(SettingsError, match="no take"):
        record(tmp_path, ["pinky"], takes=1).delete(take)


def test_frame_that_breaks_the_contract_is_refused_by_its_number(tmp_path: Path) -> None:
    broken = frames("pinky", 1)
    broken[4]["landmarks"] = [[0.0, 0.0]]
    with pytest.raises(SettingsError, match="frame 4"):
        Takes(tmp_path).add("pinky", broken, "simulated")


def test_folds_keep_the_frames_of_a_take_together() -> None:
    hands = np.random.default_rng(0).normal(size=(12, 21, 2))
    rows = rows_of([("a", hands[:4]), ("a", hands[4:8]), ("b", hands[8:])], ["like", "no_gesture"])
    assert rows.gestures == ("like", "no_gesture", "a", "b")
    assert folds_of(rows).tolist() == [0] * 4 + [1] * 4 + [-1] * 4, "one take only cannot be held out"


def test_idle_frames_at_the_ends_of_a_take_are_left_out(base: tuple[Bundle, Network]) -> None:
    idle, shown = everything_else(["no_gesture"], 4, 0), everything_else(["like"], 40, 0)
    rows = rows_of([("mine", np.concatenate([idle, shown]))], GESTURES)
    kept = settled(base[1], GESTURES, rows)
    assert kept[len(idle) :].mean() > 0.95
    assert kept[: len(idle)].mean() < 0.5


def test_taught_gestures_of_other_takes_are_recognised(taught: Taught, tmp_path: Path) -> None:
    others = record(tmp_path, ["pinky", "middle_ring"], takes=4, first=5000).all()
    classifier = Classifier.from_bundle(taught.bundle)
    assert classifier.labels == (*GESTURES, "middle_ring", "pinky")
    assert classifier.numbers[-2:] == (19, 20)
    right = [
        classifier.labels[label] == take.label
        for take in others
        for label in classifier.classify(take.landmarks, take.aspect.astype(np.float32))[0]
    ]
    assert np.mean(right) >= 0.97


def test_take_under_a_wrong_name_is_doubtful_and_its_confusion_is_put_in_words(
    taught: Taught, takes: Takes
) -> None:
    wrong = takes.all()[-1].id
    assert [take for take, one in taught.verdicts.items() if one.doubtful] == [wrong]
    assert taught.verdicts[wrong].looks_like == "palm"
    assert any(one.sentence().startswith("Your pinky looks like palm: ") for one in taught.confusions)
    assert "Your pinky looks like palm" in taught.bundle.card
    [close] = [one for one in taught.close if one.gesture == "pinky"]
    assert "palm" in close.close_to
    assert close.sentence() in " ".join(taught.bundle.card.split())


def test_new_gesture_close_to_one_of_the_base_is_reported_with_both_names(
    base: tuple[Bundle, Network],
) -> None:
    """All takes may be right and other hands of the person not: takes of one day are alike."""
    rows = rows_of([("halt", everything_else(["stop"], 40, 6))], GESTURES)
    grown = Grower(base[1], GESTURES, rows, QUICK).grow()
    hands, names = shared_shapes().draw(GESTURES, 60, 2, 3)
    [found] = likenesses(names, grown.probabilities(features(hands)), GESTURES, rows.gestures)
    assert next(iter(found.close_to)) == "stop"
    assert found.sentence().startswith("Your halt is close to stop")
    assert likenesses(names, base[1].probabilities(features(hands)), GESTURES, GESTURES) == []


def test_base_outputs_without_takes_keep_their_logits_exactly(base: tuple[Bundle, Network]) -> None:
    hands = everything_else(GESTURES, 2, 3)
    rows = rows_of([("mine", hands)], GESTURES)
    grown = Grower(base[1], GESTURES, rows, QUICK).grow()
    before = base[1].probabilities(features(hands))
    after = grown.probabilities(features(hands))[:, :-1]
    np.testing.assert_allclose(after / after.sum(axis=1, keepdims=True), before, atol=1e-9)


def test_base_keeps_its_accuracy_on_the_shared_rows(taught: Taught, base: tuple[Bundle, Network]) -> None:
    data = read_dataset([landmarks_train()])
    shares = [
        np.mean(Classifier.from_bundle(one).classify(data.landmarks, data.aspect)[0] == data.labels)
        for one in (base[0], taught.bundle)
    ]
    assert shares[0] - shares[1] <= 0.003


def test_model_listed_shows_the_figures_of_own_takes_of_a_taught_model(
    taught: Taught, base: tuple[Bundle, Network]
) -> None:
    class Registry:
        def bundle(self, version: str) -> bytes:
            return {one.version: one for one in (base[0], taught.bundle)}[version].to_zip()

    registry = cast("ModelRegistry", Registry())
    for bundle, split in (base[0], "held_out"), (taught.bundle, "own_takes"):
        facts = facts_of(registry, bundle.version)
        assert (facts["judged_on"], facts["fault"]) == (split, None)
        assert facts["figures"]["accuracy"] == bundle.manifest.evaluation[split].accuracy > 0.5


def test_gesture_taught_by_hands_of_no_gesture_takes_few_of_them(base: tuple[Bundle, Network]) -> None:
    """Half of a take that shows something else must not cost the base that gesture."""
    drawn, _ = shared_shapes().draw(["no_gesture"], 80, 1, 5)
    mine = everything_else(["rock"], 40, 6)
    rows = rows_of([("mine", np.concatenate([mine, drawn]))], GESTURES)
    grown = Grower(base[1], GESTURES, rows, QUICK).grow()
    others, _ = shared_shapes().draw(["no_gesture"], 4000, 1, 7)
    before, after = (
        np.mean(one.probabilities(features(others)).argmax(axis=1) == GESTURES.index("no_gesture"))
        for one in (base[1], grown)
    )
    assert before - after <= 0.005


def test_known_gesture_taught_by_hands_of_another_keeps_the_accuracy_of_the_base(
    base: tuple[Bundle, Network],
) -> None:
    """A gesture whose takes all show another one is held back, in the end to the base's answers."""
    rows = rows_of([("like", everything_else(["four"], 60, 6))], GESTURES)
    grown = Grower(base[1], GESTURES, rows, QUICK).grow()
    hands, names = shared_shapes().draw(GESTURES, 100, 3, 7)
    truth = np.array([GESTURES.index(name) for name in names])
    before, after = (
        np.mean(one.probabilities(features(hands)).argmax(axis=1) == truth) for one in (base[1], grown)
    )
    assert before - after <= 0.003


def test_hands_drawn_from_the_shared_shapes_are_what_the_base_reads_them_as(
    base: tuple[Bundle, Network],
) -> None:
    hands, names = shared_shapes().draw(GESTURES, 20, 2, 0)
    assert len(hands) == 20 * (len(GESTURES) + 1)
    assert set(names) == set(GESTURES)
    answers = base[1].probabilities(features(hands)).argmax(axis=1)
    assert np.mean(np.array(GESTURES)[answers] == names) > 0.9
    assert [len(part) for part in shared_shapes().draw(["swipe"], 20, 2, 0)] == [0, 0]


def test_shapes_leave_out_gestures_of_few_hands() -> None:
    make = runpy.run_path(str(ROOT / "bench/shapes.py"))
    hands = np.concatenate([everything_else([name], 200, 1) for name in ("like", "four")])[:250]
    labels = np.array([GESTURES.index("like")] * 200 + [GESTURES.index("four")] * 50)
    unnamed = np.full(250, "")
    found = make["shapes_of"](Dataset(hands, labels, unnamed, unnamed, ("hands.csv",), ""))
    assert set(found.gestures) == {"like"}


def test_taught_model_tells_how_its_base_keeps_its_accuracy(taught: Taught) -> None:
    kept = taught.kept
    assert kept.enough
    assert kept.hands > 5000
    assert kept.sentence() in " ".join(taught.bundle.card.split())
    before, after = (taught.bundle.manifest.evaluation[name] for name in (BASE_BEFORE, BASE_AFTER))
    assert before.accuracy - after.accuracy == pytest.approx(kept.fall, abs=1e-4)
    check_base(taught.bundle.manifest)


def test_taught_model_that_cost_its_base_accuracy_is_refused_unless_accepted(taught: Taught) -> None:
    evaluation = dict(taught.bundle.manifest.evaluation)
    worse = {"accuracy": evaluation[BASE_BEFORE].accuracy - 0.0041}
    evaluation[BASE_AFTER] = evaluation[BASE_AFTER].model_copy(update=worse)
    manifest = taught.bundle.manifest.model_copy(update={"evaluation": evaluation})
    with pytest.raises(ModelError, match=r"0\.41 points .* \(--max-fall\)") as raised:
        check_base(manifest)
    assert raised.value.reason == GateReason.LESS_ACCURATE
    check_base(manifest, 1.0)
    assert "accept it when you ship" in Kept(5000, 0.0041, 0.01).sentence()
    assert "not known" in Kept(0, 0.0, 0.0).sentence()
    assert "stays the same" in Kept(5000, 0.0, 0.01).sentence()


def test_teaching_without_takes_is_refused(base: tuple[Bundle, Network]) -> None:
    with pytest.raises(SettingsError, match="there are no takes"):
        teach(*base, [])


def test_taught_model_can_be_taught_again(taught: Taught, takes: Takes, tmp_path: Path) -> None:
    taught.bundle.write(tmp_path / "bundle")
    again = teach(*load_base(tmp_path / "bundle"), takes.all()[:2], recipe=QUICK)
    assert again.bundle.manifest.labels == taught.bundle.manifest.labels


def test_variety_of_a_still_hand_asks_for_more_and_of_a_moving_one_does_not() -> None:
    still = np.repeat(everything_else(["like"], 1, 0), 20, axis=0)
    assert variety(still, [False] * 20).prompt in PROMPTS.values()
    assert variety(still, [False] * 20).turn == 0.0
    angle = np.radians(np.linspace(-30, 30, 20))
    turned = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], 1).reshape(20, 2, 2)
    moving = np.einsum("nij,npj->npi", turned, still) * np.linspace(1, 3, 20)[:, None, None]
    moving[:, :, 0] *= np.tile([1.0, 0.5], 10)[:, None]
    found = variety(moving, [False, True] * 10)
    assert found.prompt == GOOD
    assert found.total > 0.9
