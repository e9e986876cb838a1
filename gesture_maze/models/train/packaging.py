"""From held-out predictions and a fitted model to a finished bundle.

One sequence for every kind of model: temperature, threshold, facts, card, pack, check. Nothing is written if
the exported graph and the fitted model differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gesture_maze.models.bundle import Bundle
from gesture_maze.models.dataset import Dataset
from gesture_maze.models.drawing import Drawing, median_hand
from gesture_maze.models.evaluation import Evaluation, calibration_error, evaluate, summarise
from gesture_maze.models.hands import Hands
from gesture_maze.models.judged import Judged
from gesture_maze.models.manifest import Baseline, Figures, Thresholds, TrainingData
from gesture_maze.models.onnx.export import Facts, check_graph, pack_graph
from gesture_maze.models.train.calibration import Threshold, choose_temperature, choose_threshold, cooled
from gesture_maze.models.train.card import ADJUDICATED, HELD_OUT, OTHER_CAMERAS, model_card
from gesture_maze.models.train.fitting import Fitted, Settings
from gesture_maze.models.train.folds import HeldOut
from gesture_maze.wire.gestures import DEFAULT_ACTIONS, GESTURES, Action

CONFIDENCE_BINS: Final = 20
"""Bins of the baseline's confidence histogram."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Held-out predictions with the temperature and the threshold that follow from them."""

    held: HeldOut
    gestures: tuple[str, ...]
    """Names of the columns of the probabilities."""
    temperature: float
    threshold: Threshold
    counted: NDArray[np.bool_]
    """(n,) the held-out rows that count in the adjudicated figures; all if there are no verdicts."""
    labels: NDArray[np.int64]
    """(n,) the adjudicated labels; the given ones if there are no verdicts."""
    adjudicated: bool
    """Whether there are verdicts."""
    actions: dict[str, Action] | None = None
    """Mapping of the bundle, gesture name -> action; None for the published one."""

    @classmethod
    def of(cls, held: HeldOut, data: Dataset, settings: Settings) -> Calibrated:
        """Choose temperature and threshold for the held-out predictions of `data`."""
        verdicts = settings.verdicts
        recorders = held.other_cameras.by_recorder() if held.other_cameras else []
        temperature = choose_temperature(held.labels, held.probabilities, recorders)
        counted, labels = np.ones(len(held.labels), np.bool_), held.labels
        if verdicts is not None:
            counted, labels = verdicts.apply(held.rows, held.labels)
        probabilities = cooled(held.probabilities, temperature)
        mapping = DEFAULT_ACTIONS if settings.actions is None else settings.actions
        threshold = choose_threshold(
            labels[counted], probabilities[counted], gestures=data.gestures, actions=mapping
        )
        adjudicated = verdicts is not None
        own = settings.actions
        return cls(held, data.gestures, temperature, threshold, counted, labels, adjudicated, own)

    @property
    def mapping(self) -> Mapping[str, Action]:
        """Which gesture gives which action."""
        return DEFAULT_ACTIONS if self.actions is None else self.actions

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """(n, k) the held-out predictions, cooled."""
        return cooled(self.held.probabilities, self.temperature)

    @property
    def ece(self) -> float:
        """The calibration error on given labels."""
        return calibration_error(self.held.labels, self.probabilities)

    def evaluation(self, model: str) -> Evaluation:
        """Return the figures on given labels at the chosen threshold."""
        return evaluate(
            self.held.labels, self.probabilities,
            threshold=self.threshold.act, model=model, gestures=self.gestures, actions=self.mapping,
        )  # fmt: skip

    def adjudicated_evaluation(self, model: str) -> Evaluation | None:
        """Return the figures on adjudicated labels, or None without verdicts."""
        if not self.adjudicated:
            return None
        return evaluate(
            self.labels[self.counted], self.probabilities[self.counted],
            threshold=self.threshold.act, model=model, gestures=self.gestures, actions=self.mapping,
        )  # fmt: skip

    def confusions(self, limit: int = 6) -> list[tuple[str, str, int]]:
        """Return the most frequent mistakes on given labels: true gesture, predicted gesture, hands."""
        predicted = self.probabilities.argmax(axis=1)
        wrong = predicted != self.held.labels
        pairs = Counter(zip(self.held.labels[wrong].tolist(), predicted[wrong].tolist(), strict=True))
        ordered = sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))[:limit]
        return [(self.gestures[truth], self.gestures[answer], n) for (truth, answer), n in ordered]

    def figures(self) -> dict[str, Figures]:
        """Return the figures of each split, as the manifest keeps them."""
        splits = {HELD_OUT: (self.held.labels, self.probabilities)}
        if self.adjudicated:
            splits[ADJUDICATED] = self.labels[self.counted], self.probabilities[self.counted]
        if others := self.held.other_cameras:
            splits[OTHER_CAMERAS] = others.labels, cooled(others.probabilities, self.temperature)
        for name, probabilities in self.held.views.items():
            splits[name] = self.held.labels, cooled(probabilities, self.temperature)
        return {
            name: summarise(
                labels, found, threshold=self.threshold.act, gestures=self.gestures, actions=self.mapping
            )
            for name, (labels, found) in splits.items()
        }


@dataclass(frozen=True, slots=True)
class Shipped:
    """A bundle and its evaluation."""

    bundle: Bundle
    calibrated: Calibrated
    export_difference: float
    """Largest difference of a probability between the graph and the trained model, over all rows."""
    fitted: Fitted

    @property
    def evaluation(self) -> Evaluation:
        """The figures of the held-out hands, at the shipped threshold."""
        return self.calibrated.evaluation(self.bundle.version)

    @property
    def adjudicated(self) -> Evaluation | None:
        """The same on adjudicated labels, or None without verdicts."""
        return self.calibrated.adjudicated_evaluation(self.bundle.version)

    def judged(self, data: Dataset) -> Judged:
        """Return the held-out answers, cooled, for reports and tracking."""
        held = self.calibrated.held
        return Judged(
            model=self.bundle.version,
            threshold=self.bundle.manifest.thresholds.act,
            points=data.points[held.rows],
            labels=held.labels,
            users=data.users[held.rows],
            probabilities=self.calibrated.probabilities,
            gestures=data.gestures,
            actions=self.calibrated.mapping,
            folds=held.folds,
        )


def package(fitted: Fitted, calibrated: Calibrated, data: Dataset, golden: Hands, seed: int) -> Shipped:
    """Return the bundle of a model.

    Args:
        fitted: the model, trained on all rows of `data`.
        calibrated: held-out predictions of models of the same kind.
        data: the data that it was trained on.
        golden: synthetic hands for the self-test.
        seed: the seed of the training.

    Raises:
        ModelError: `export_mismatch`: graph and model differ by more than 1e-4 on some row.
    """
    facts = Facts(
        kind=fitted.kind,
        labels=data.gestures,
        thresholds=Thresholds(act=calibrated.threshold.act),
        actions=calibrated.actions,
        drawings=drawings(data),
        evaluation=calibrated.figures(),
        training_data=TrainingData(
            sha256=data.sha256, rows=len(data), files=data.names, file_sha256=data.file_sha256
        ),
        baseline=baseline(calibrated.probabilities, data.gestures),
        seed=seed,
    )
    card = model_card(
        facts, calibrated.evaluation(""), calibrated.threshold.sentence(), data, calibrated.confusions()
    )
    exact = fitted.exact(calibrated.temperature)
    bundle = pack_graph(fitted.graph(calibrated.temperature), exact, facts, golden, card)
    flat = replace(data, depth=None)
    wanted = exact(flat.landmarks, flat.aspect)
    difference = check_graph(bundle, flat.landmarks, flat.aspect, wanted)
    return Shipped(bundle, calibrated, difference, fitted)


def drawings(data: Dataset) -> dict[str, Drawing]:
    """Return the drawings of gestures that are not published ones."""
    own = {name: data.labels == label for label, name in enumerate(data.gestures) if name not in GESTURES}
    found = {name: median_hand(data.points[mine]) for name, mine in own.items()}
    return {name: drawn for name, drawn in found.items() if drawn is not None}


def baseline(probabilities: NDArray[np.float64], gestures: tuple[str, ...]) -> Baseline:
    """Return the baseline of held-out predictions (n, k), against which drift is measured."""
    mix = np.bincount(probabilities.argmax(axis=1), minlength=len(gestures)) / len(probabilities)
    counts, _ = np.histogram(probabilities.max(axis=1), bins=CONFIDENCE_BINS, range=(0.0, 1.0))
    return Baseline(
        gesture_mix={name: round(float(share), 5) for name, share in zip(gestures, mix, strict=True)},
        confidence_histogram=tuple(round(float(count) / len(probabilities), 5) for count in counts),
    )
