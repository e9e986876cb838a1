"""From takes to a bundle: judge on held-out takes, train on all, choose the threshold, write the card."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from gesture_maze.lifecycle.training import golden_hands
from gesture_maze.models.bundle import Bundle
from gesture_maze.models.drawing import Drawing, median_hand
from gesture_maze.models.evaluation import summarise
from gesture_maze.models.features import features
from gesture_maze.models.gates import BASE_AFTER, BASE_BEFORE
from gesture_maze.models.manifest import Baseline, Figures, Thresholds, TrainingData
from gesture_maze.models.network import Network
from gesture_maze.models.onnx.export import Facts, check_graph, pack_network
from gesture_maze.models.train.calibration import choose_threshold
from gesture_maze.teach.card import Summary, taught_card
from gesture_maze.teach.growth import Grower, Recipe
from gesture_maze.teach.judging import (
    Confusion,
    HeldOut,
    Likeness,
    Verdict,
    accuracy_of,
    confusions,
    folds_of,
    hold_out,
    likenesses,
    verdicts,
)
from gesture_maze.teach.kept import Kept
from gesture_maze.teach.lessons import rows_of, settled
from gesture_maze.teach.shapes import shared_shapes
from gesture_maze.teach.takes import Take, teach_error
from gesture_maze.wire.gestures import GESTURES, NO_GESTURE, Action

KIND: Final = "taught"
CHECK_HANDS: Final = 250
"""Drawn hands per published gesture on which base and taught model are compared; not those on which the
outputs are held back."""
CHECK_IDLE: Final = 8
"""Drawn hands of `no_gesture` among them, per hand of another gesture: a third of all."""

Progress = Callable[[float], None]
"""Called with the share of the work that is done, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Taught:
    """A taught model and its evaluation.

    Attributes:
        bundle: ready to be promoted.
        trained: the gestures that have takes.
        accuracy: gesture -> share of right frames in held-out takes; None with one take only.
        acting: gesture -> share of those frames that are right and reach the threshold.
        confusions: gestures that they are mistaken for, worst first.
        close: new gestures that are close to gestures of the base.
        verdicts: take id -> verdict.
        kept: whether the base keeps its accuracy.
    """

    bundle: Bundle
    trained: tuple[str, ...]
    accuracy: dict[str, float | None]
    acting: dict[str, float | None]
    confusions: list[Confusion]
    close: list[Likeness]
    verdicts: dict[str, Verdict]
    kept: Kept

    def as_dict(self) -> dict[str, Any]:
        """Return the result as the page and `--json` show it."""
        return {
            "model": self.bundle.version,
            "gestures": list(self.bundle.manifest.labels),
            "own": [
                {"name": name, "accuracy": self.accuracy[name], "acting": self.acting[name]}
                for name in self.trained
            ],
            "confusions": [one.sentence() for one in self.confusions],
            "close": [one.sentence() for one in self.close],
            "takes": {
                take: {
                    "right": one.right,
                    "doubtful": one.doubtful,
                    "looks_like": one.looks_like,
                    "share": one.looks_share,
                }
                for take, one in self.verdicts.items()
            },
            "kept": self.kept.as_dict(),
            "threshold": self.bundle.manifest.thresholds.act,
            "actions": dict(self.bundle.manifest.mapping),
            "drawings": self.bundle.manifest.drawings,
        }


def teach(
    base: Bundle,
    network: Network,
    takes: Sequence[Take],
    *,
    seed: int = 0,
    recipe: Recipe | None = None,
    progress: Progress = lambda _: None,
) -> Taught:
    """Return the model that grows from `base` by takes.

    Args:
        base: the bundle to build on.
        network: its network, see `teach.base`.
        takes: takes of published gestures and of the user's own.
        seed: the same takes and seed give the same bundle on the same machine.
        recipe: how to train.
        progress: called as the work goes on.

    Raises:
        SettingsError: `teach`: there are no takes.
        ModelError: `labels`, if there are too many gestures; `export_mismatch`.
    """
    if not takes:
        raise teach_error("there are no takes: record some, or `maze teach record FILE --label NAME`")
    known = base.manifest.labels
    rows = rows_of([(take.label, take.points) for take in takes], known)
    rows = rows.of(settled(network, known, rows))
    folds = int(folds_of(rows).max(initial=-1)) + 1
    with threadpool_limits(1, "blas"):
        grower = Grower(network, known, rows, recipe, seed)
        progress(1 / (folds + 2))  # preparing takes about as long as one training
        done = count(2)

        def fit(keep: NDArray[np.bool_] | None = None) -> Network:
            found = grower.grow(keep)
            progress(next(done) / (folds + 2))
            return found

        held = hold_out(rows, fit)
        return _packed(base, network, fit(), held, takes, seed)


def _packed(
    base: Bundle, network: Network, grown: Network, held: HeldOut, takes: Sequence[Take], seed: int
) -> Taught:
    rows, known = held.rows, base.manifest.labels
    trained = tuple(rows.gestures[label] for label in np.unique(rows.labels))
    act = _threshold(base, held)
    found = confusions(held, trained)
    accuracy = {name: accuracy_of(held, name) for name in trained}
    acting = {name: _acting(held, name, act) for name in trained}
    kept, close, figures = _kept(network, grown, known, rows.gestures, act, seed + 2)
    if held.judged.any():
        judged, probabilities = rows.labels[held.judged], held.probabilities[held.judged]
        figures["own_takes"] = summarise(judged, probabilities, threshold=act, gestures=rows.gestures)
    facts = Facts(
        kind=KIND,
        labels=rows.gestures,
        thresholds=Thresholds(act=act),
        evaluation={**figures, **{f"base_{key}": one for key, one in base.manifest.evaluation.items()}},
        training_data=TrainingData(sha256=_fingerprint(takes), rows=len(rows), files=(base.version,)),
        baseline=_baseline(base, rows.gestures),
        actions=base.manifest.actions,
        drawings={**base.manifest.drawings, **_drawings(takes)},
        seed=seed,
    )
    summary = Summary(base.version, takes, trained, accuracy, acting, found, close, kept, act)
    bundle = pack_network(grown, facts, golden_hands(seed), taught_card(summary, base.card))
    landmarks = np.zeros((len(rows), 21, 3), np.float32)
    landmarks[:, :, :2] = rows.points
    aspect = np.ones(len(rows), np.float32)
    check_graph(bundle, landmarks, aspect, grown.probabilities(features(landmarks, aspect)))
    by_take = {takes[one.take].id: one for one in verdicts(held)}
    return Taught(bundle, trained, accuracy, acting, found, close, by_take, kept)


def _threshold(base: Bundle, held: HeldOut) -> float:
    """Return the base's threshold, or the higher one at which the user's takes would rarely give a wrong
    action."""
    own = [name for name in held.rows.gestures if name != NO_GESTURE]
    act = base.manifest.thresholds.act
    if not held.judged.any():
        return act
    # each gesture counts as an action of its own, because the mapping is chosen later
    actions = cast("dict[str, Action]", {name: name for name in own})
    chosen = choose_threshold(
        held.rows.labels[held.judged],
        held.probabilities[held.judged],
        gestures=held.rows.gestures,
        actions=actions,
    )
    return max(act, chosen.act if chosen.reached else act)


def _acting(held: HeldOut, gesture: str, act: float) -> float | None:
    mine = held.judged & (held.rows.labels == held.rows.gestures.index(gesture))
    if not mine.any():
        return None
    sure = held.probabilities[mine].max(axis=1) >= act
    return float(np.mean(sure & (held.answers[mine] == held.rows.labels[mine])))


def _kept(
    network: Network, grown: Network, known: Sequence[str], gestures: Sequence[str], act: float, seed: int
) -> tuple[Kept, list[Likeness], dict[str, Figures]]:
    """Compare both networks on drawn hands of the base's gestures. Return the result, what is close, and the
    figures for the manifest."""
    hands, names = shared_shapes().draw(known, CHECK_HANDS, CHECK_IDLE, seed)
    if not len(hands):
        return Kept(0, 0.0, 0.0), [], {}
    found, place = features(hands), np.array([gestures.index(name) for name in known])
    labels = np.array([gestures.index(name) for name in names], np.int64)
    before = np.zeros((len(hands), len(gestures)))
    before[:, place] = network.probabilities(found)
    after = grown.probabilities(found)
    answers = before.argmax(axis=1), after.argmax(axis=1)
    shares = [float(np.mean(one == labels)) for one in answers]
    kept = Kept(len(hands), shares[0] - shares[1], float(np.mean(answers[0] != answers[1])))
    return (
        kept,
        likenesses(names, after, known, gestures),
        {
            name: summarise(labels, one, threshold=act, gestures=gestures)
            for name, one in zip((BASE_BEFORE, BASE_AFTER), (before, after), strict=True)
        },
    )


def _baseline(base: Bundle, gestures: Sequence[str]) -> Baseline | None:
    """Return the base's baseline with 0 for new gestures, because their frequency is unknown."""
    given = base.manifest.baseline
    if given is None:
        return None
    return given.model_copy(
        update={"gesture_mix": {name: given.gesture_mix.get(name, 0.0) for name in gestures}}
    )


def _drawings(takes: Sequence[Take]) -> dict[str, Drawing]:
    """Return the median hand of each gesture that is not a published one."""
    found = {}
    for name in sorted({take.label for take in takes} - set(GESTURES)):
        mine = [take for take in takes if take.label == name]
        depth = np.concatenate([take.landmarks[:, :, 2] * take.aspect[:, None] for take in mine])
        points = np.concatenate([take.points for take in mine])
        drawn = median_hand(points, depth, np.concatenate([take.left for take in mine]))
        if drawn is not None:
            found[name] = drawn
    return found


def _fingerprint(takes: Sequence[Take]) -> str:
    parts: list[NDArray[np.float32]] = [take.landmarks for take in takes]
    digest = hashlib.sha256()
    for take, part in zip(takes, parts, strict=True):
        digest.update(f"{take.label} {len(part)}\n".encode())
        digest.update(part.tobytes())
    return digest.hexdigest()
