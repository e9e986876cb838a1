"""From labelled hands to a finished bundle: judge by folds, calibrate, choose a threshold, fit, export."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gesture_maze.models.train.augment import rotated
from gesture_maze.models.bundle import Bundle
from gesture_maze.models.train.card import model_card
from gesture_maze.models.dataset import Dataset, require_trainable
from gesture_maze.models.evaluation import Evaluation, choose_threshold, evaluate, summarise
from gesture_maze.models.onnx.export import Facts, check_export, pack_bundle
from gesture_maze.models.features import features
from gesture_maze.models.manifest import Baseline, Figures, Thresholds, TrainingData
from gesture_maze.models.train.network import Network
from gesture_maze.models.train.training import (
    HeldOut,
    Points,
    Predict,
    Recipe,
    Tick,
    choose_temperature,
    cooled,
    cross_validate,
    folds,
    train_classifier,
)
from gesture_maze.wire.gestures import GESTURES

KIND: Final = "mlp"
CONFIDENCE_BINS: Final = 20
"""Bins of the baseline's confidence histogram."""

HELD_OUT: Final = "held_out"
"""The split that a bundle is judged by: out-of-fold predictions, no user on both sides."""

VIEWS: Final[dict[str, Callable[[Points], Points]]] = {
    "mirrored": lambda points: points * np.array([-1.0, 1.0]),
    "rotated_15": lambda points: rotated(points, 15.0),
    "rotated_minus_15": lambda points: rotated(points, -15.0),
    "stretched_8_percent": lambda points: points * np.array([1.08, 1.0]),
}
"""Alterations under which the held-out hands are judged again."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What `build_bundle` is asked to do."""

    recipe: Recipe
    folds: int
    seed: int
    precision: float = 0.99
    """Action precision that the threshold is to reach on held-out rows,"""
    recall: float = 0.95
    """with at least this action recall."""

    def steps(self) -> int:
        """Return how often `build_bundle` calls its `tick`."""
        return (self.folds + 1) * self.recipe.steps()


@dataclass(frozen=True, slots=True)
class Built:
    """A bundle and how it was judged."""

    bundle: Bundle
    evaluation: Evaluation
    """Of the held-out rows, at the shipped threshold."""
    temperature: float
    export_difference: float
    """Largest difference of a probability between the graph and the trained network, over all rows."""
    held: HeldOut
    """What `evaluation` was made from, before the cooling."""
    network: Network
    """As shipped: trained on all rows, cooled."""


def build_bundle(
    data: Dataset,
    settings: Settings,
    golden_landmarks: NDArray[np.float32],
    golden_aspect: NDArray[np.float32],
    tick: Tick = lambda: None,
) -> Built:
    """Train the default classifier on `data` and return its bundle; the same seed gives the same bundle on
    the same machine and libraries (another CPU sums in another order).

    Temperature and threshold are fitted to the held-out predictions of the folds; they are two numbers over
    all rows, so the figures given for those rows are hardly the better for it.

    Args:
        data: labelled hands, with user ids where they are known.
        settings: recipe, folds, seed.
        golden_landmarks: (n, 21, 3) synthetic hands.
        golden_aspect: (n,) their width / height.
        tick: called after each epoch of each member.

    Raises:
        SettingsError: `data`: too few rows or classes.
        ModelError: `export_mismatch`.
    """
    require_trainable(data)
    held = _held_out(data, settings, tick)
    temperature = choose_temperature(held.labels, held.probabilities)
    probabilities = cooled(held.probabilities, temperature)
    threshold = choose_threshold(
        held.labels, probabilities, precision=settings.precision, recall=settings.recall
    )
    network = train_classifier(data.points, data.labels, settings.recipe, settings.seed, tick)
    network = network.cooled(temperature)
    facts = Facts(
        kind=KIND,
        thresholds=Thresholds(act=threshold),
        evaluation=_figures(held, temperature, threshold),
        training_data=TrainingData(sha256=data.sha256, rows=len(data), files=data.names),
        baseline=baseline(probabilities),
        seed=settings.seed,
    )
    evaluation = evaluate(held.labels, probabilities, threshold=threshold, model="")
    card = model_card(facts, evaluation)
    bundle = pack_bundle(network, facts, golden_landmarks, golden_aspect, card)
    difference = check_export(bundle, network, data.points)
    evaluation["model"] = bundle.version
    return Built(bundle, evaluation, temperature, difference, held, network)


def _held_out(data: Dataset, settings: Settings, tick: Tick) -> HeldOut:
    """What networks of the recipe say of people whom they were not trained on."""

    def fit(points: Points, labels: NDArray[np.int64]) -> Predict:
        network = train_classifier(points, labels, settings.recipe, settings.seed, tick)
        return lambda hands: network.probabilities(features(hands))

    return cross_validate(data, fit, list(folds(data, settings.folds, settings.seed)), VIEWS)


def _figures(held: HeldOut, temperature: float, threshold: float) -> dict[str, Figures]:
    splits = {HELD_OUT: held.probabilities, **held.views}
    return {
        name: summarise(held.labels, cooled(probabilities, temperature), threshold=threshold)
        for name, probabilities in splits.items()
    }


def baseline(probabilities: NDArray[np.float64]) -> Baseline:
    """Return what a manifest keeps of the held-out predictions (n, 19), to notice drift by."""
    mix = np.bincount(probabilities.argmax(axis=1), minlength=len(GESTURES)) / len(probabilities)
    counts, _ = np.histogram(probabilities.max(axis=1), bins=CONFIDENCE_BINS, range=(0.0, 1.0))
    return Baseline(
        gesture_mix={name: round(float(share), 5) for name, share in zip(GESTURES, mix, strict=True)},
        confidence_histogram=tuple(round(float(count) / len(probabilities), 5) for count in counts),
    )
