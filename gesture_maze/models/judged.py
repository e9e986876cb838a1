"""A model's answers on labelled hands, for reports and tracking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import exp, fsum, lgamma, log
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gesture_maze.models.bundle import Bundle
from gesture_maze.models.classifier import Classifier
from gesture_maze.models.dataset import Dataset
from gesture_maze.models.evaluation import CALIBRATION_BINS, Evaluation, calibration_error, evaluate
from gesture_maze.models.labels import columns, label_set
from gesture_maze.models.verdicts import Verdicts
from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.gestures import DEFAULT_ACTIONS, GESTURES, Action

BOOTSTRAP_ROUNDS: Final = 2000
"""Resamples for an interval: its ends are then accurate to about a tenth of its width."""


@dataclass(frozen=True, slots=True)
class Judged:
    """n labelled hands and a model's answers for them."""

    model: str
    """Its version."""
    threshold: float
    """Confidence from which it acts."""
    points: NDArray[np.float64]
    """(n, 21, 2), isotropic."""
    labels: NDArray[np.int64]
    """(n,), the truth, as places in `gestures`."""
    users: NDArray[np.str_]
    """(n,) user ids; empty for hands without one."""
    probabilities: NDArray[np.floating[Any]]
    """(n, k)."""
    gestures: tuple[str, ...] = GESTURES
    """Names of the k columns: gestures that the model knows or the data shows."""
    actions: Mapping[str, Action] = field(default_factory=lambda: DEFAULT_ACTIONS)
    """The model's mapping: gesture name -> action."""
    folds: NDArray[np.int64] | None = None
    """(n,) fold in which each hand was held out; None if one model answered for all."""

    @property
    def predicted(self) -> NDArray[np.int64]:
        """(n,) the likeliest label."""
        result: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return result

    @property
    def confidence(self) -> NDArray[np.floating[Any]]:
        """(n,) the probability of that label."""
        result: NDArray[np.floating[Any]] = self.probabilities.max(axis=1)
        return result

    @property
    def right(self) -> NDArray[np.bool_]:
        """(n,) whether that label is the true one."""
        result: NDArray[np.bool_] = self.predicted == self.labels
        return result

    def evaluation(self, actions: Mapping[str, Action] | None = None) -> Evaluation:
        """Return the figures of all hands; `actions` is gesture name -> action, None for the model's own."""
        return evaluate(
            self.labels, self.probabilities,
            threshold=self.threshold, model=self.model, gestures=self.gestures,
            actions=self.actions if actions is None else actions,
        )  # fmt: skip

    def adjudicated(self, verdicts: Verdicts) -> Judged:
        """Return the same answers, with rows and labels changed by the verdicts on the data set."""
        counted, labels = verdicts.apply(np.arange(len(self.labels)), self.labels)
        return replace(
            self, points=self.points[counted], labels=labels[counted], users=self.users[counted],
            probabilities=self.probabilities[counted],
            folds=None if self.folds is None else self.folds[counted],
        )  # fmt: skip

    def ece(self) -> float:
        """Return the calibration error, see `models.evaluation`."""
        return calibration_error(self.labels, self.probabilities)

    def confusion(self) -> NDArray[np.int64]:
        """Return the number of hands (k, k) by truth (rows) and answer (columns)."""
        k = len(self.gestures)
        return np.bincount(self.labels * k + self.predicted, minlength=k**2).reshape(k, k)

    def worst(self, label: int, limit: int) -> NDArray[np.int64]:
        """Return rows of this gesture that the model took for another, most confident first, at most
        `limit`."""
        (rows,) = np.nonzero((self.labels == label) & ~self.right)
        return rows[np.argsort(-self.confidence[rows], kind="stable")][:limit]

    def typical(self, label: int, limit: int) -> NDArray[np.int64]:
        """Return rows of this gesture that the model got right, median confidence first, at most `limit`."""
        (rows,) = np.nonzero((self.labels == label) & self.right)
        middling = np.abs(self.confidence[rows] - np.median(self.confidence[rows])) if len(rows) else rows
        return rows[np.argsort(middling, kind="stable")][:limit]


def judge(bundle: Bundle, data: Dataset, also: Iterable[str] = ()) -> Judged:
    """Return the answers of the model in `bundle` for `data`; see `judge_with`."""
    return judge_with(Classifier.from_bundle(bundle), data, also)


def judge_with(classifier: Classifier, data: Dataset, also: Iterable[str] = ()) -> Judged:
    """Return a model's answers for `data`, mapped by the names of the gestures.

    A gesture of the data that the model does not know counts as missed, and an action on it as a wrong one.

    Args:
        classifier: the model.
        data: labelled hands.
        also: further gestures that get columns, such as those of a model to compare with.

    Raises:
        SettingsError: `data`: the model uses z and the data has none.
        ModelError: the graph does not run.
    """
    if classifier.needs_depth and data.depth is None:
        raise SettingsError(
            "data",
            f"model {classifier.version} needs z, but {', '.join(data.names)} has no columns z1 to z21: "
            "without them its figures would be wrong",
        )
    gestures = label_set({*classifier.labels, *data.gestures, *also})
    place = np.array([gestures.index(name) for name in data.gestures])
    probabilities = classifier.probabilities(data.landmarks, data.aspect)
    return Judged(
        model=classifier.version,
        threshold=classifier.manifest.thresholds.act,
        points=data.points,
        labels=place[data.labels],
        users=data.users,
        probabilities=columns(probabilities, classifier.labels, gestures),
        gestures=gestures,
        actions=classifier.manifest.mapping,
    )


def unknown_gestures(classifier_labels: tuple[str, ...], data: Dataset) -> dict[str, int]:
    """Return the gestures of `data` that a model does not know, with the number of their rows."""
    counts = np.bincount(data.labels, minlength=len(data.gestures))
    return {
        name: int(n)
        for name, n in zip(data.gestures, counts, strict=True)
        if n and name not in classifier_labels
    }


@dataclass(frozen=True, slots=True)
class Bin:
    """Predictions of similar confidence."""

    low: float
    high: float
    n: int
    confidence: float
    """Their mean confidence; 0 if there are no predictions."""
    accuracy: float
    """The share of right ones; 0 if there are no predictions."""


def reliability(judged: Judged) -> list[Bin]:
    """Return the bins behind the calibration error, from confidence 0 to 1."""
    place = np.minimum((judged.confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    counts = np.bincount(place, minlength=CALIBRATION_BINS)
    sums = [
        np.bincount(place, weights=values, minlength=CALIBRATION_BINS)
        for values in (judged.confidence, judged.right)
    ]
    means = [values / np.maximum(counts, 1) for values in sums]
    edges = np.linspace(0.0, 1.0, CALIBRATION_BINS + 1).tolist()
    rows = zip(edges, edges[1:], counts.tolist(), *(mean.tolist() for mean in means), strict=False)
    return [Bin(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class Paired:
    """Two models on the same hands."""

    only_first: int
    """Hands that the first got right and the second wrong."""
    only_second: int
    both: int
    neither: int
    p_value: float
    """From McNemar's exact test, two-sided: the probability of such an uneven split if both were equally
    good."""
    difference: float
    """Accuracy of the first minus that of the second."""
    interval: tuple[float, float]
    """95 % interval of the difference."""
    by_user: bool
    """Some hands have user ids, and the interval was made from whole users."""

    def p_text(self) -> str:
        """Return the p-value as text. Tiny values are shown as a bound, because they would round to 0."""
        return f"p = {self.p_value:.3g}" if self.p_value >= 1e-6 else "p < 0.000001"


def compare(first: Judged, second: Judged, seed: int = 0) -> Paired:
    """Compare two models hand by hand.

    The test is McNemar's (Psychometrika 12, 1947) in its exact form: of the hands that one model alone gets
    right, each falls to either side with probability one half. (Recommended for classifiers by Dietterich,
    Neural Computation 10, 1998; formulas in Fagerland, Lydersen and Laake, BMC Medical Research Methodology
    13, 2013.) It assumes independent hands; the interval, a percentile bootstrap (Efron and Tibshirani, 1993)
    over users if they are known, does not.

    Args:
        first, second: of the same hands in the same order.
        seed: of the bootstrap.
    """
    won, lost = first.right & ~second.right, ~first.right & second.right
    gains = first.right.astype(np.int64) - second.right
    known = first.users != ""
    # a hand without a user id counts as a user of its own
    groups = np.where(known, first.users, np.char.add(" ", np.arange(len(gains)).astype(np.str_)))
    return Paired(
        only_first=int(won.sum()),
        only_second=int(lost.sum()),
        both=int((first.right & second.right).sum()),
        neither=int((~first.right & ~second.right).sum()),
        p_value=mcnemar(int(won.sum()), int(lost.sum())),
        difference=float(gains.mean()),
        interval=_interval(gains, groups, seed),
        by_user=bool(known.any()),
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the p-value of McNemar's exact test, two-sided: twice the smaller tail, 1 at most."""
    n, fewer = only_first + only_second, min(only_first, only_second)
    # with logarithms, because the coefficients have thousands of digits
    logs = (lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) - n * log(2) for k in range(fewer + 1))
    return min(1.0, 2 * fsum(exp(one) for one in logs))


def _interval(gains: NDArray[np.int64], groups: NDArray[np.generic], seed: int) -> tuple[float, float]:
    """Return the middle 95 % of the mean gain over resamples of whole groups."""
    _, place = np.unique(groups, return_inverse=True)
    sums, sizes = np.bincount(place, weights=gains), np.bincount(place)
    rng = np.random.default_rng(seed)
    means = []
    for _ in range(BOOTSTRAP_ROUNDS):  # one at a time, to save memory
        drawn = rng.integers(0, len(sizes), len(sizes))
        means.append(sums[drawn].sum() / sizes[drawn].sum())
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)
