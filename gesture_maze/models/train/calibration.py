"""Temperature and threshold: the two numbers that are fitted to held-out predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from gesture_maze.wire.gestures import DEFAULT_ACTIONS, GESTURES, Action

Answers = tuple[NDArray[np.int64], NDArray[np.float64]]
"""True labels (n,) and predicted probabilities (n, k)."""

TEMPERATURES: Final = np.geomspace(0.3, 3.0, 93)
"""Temperatures that `choose_temperature` tries: steps of 2.5 %, finer than the data can distinguish."""

IMPOSSIBLE: Final = 1e-12
"""Least probability in the log loss. Some kinds of models give 0, which stays 0 at any temperature."""

WANTED_PRECISION: Final = 0.985
"""Action precision whose lower confidence bound the threshold must reach."""
BOUND_CONFIDENCE: Final = 0.95
"""Confidence of that bound, one-sided."""
LEAST_THRESHOLD: Final = 0.80
"""Lowest threshold that is shipped. Measured on people and backgrounds that no training saw, false actions
stay below 0.15 % at this threshold; held-out rows of the training data are too easy to show that."""
LOWEST_TRIED: Final = 0.5
"""Below it, another gesture may be as likely."""
TOLERANCE: Final = 0.01
"""If no threshold reaches the bound: how far below the best bound the chosen one may be, so that the choice
does not depend on a few mislabelled rows."""
STEPS: Final = 1000
"""Number of thresholds from 0 to 1: the worker does not resolve finer ones."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold, and the evidence for it."""

    act: float
    """The confidence from which a prediction acts, 0 to 1."""
    actions: int
    """Held-out hands that act at `act`."""
    right: int
    """Those of them with the right action."""
    bound: float
    """Lower confidence bound of the action precision at `act`; 0 if nothing acts."""
    lowest: float | None
    """The lowest threshold whose bound is reached, before the floor, or None if none reaches it."""

    @property
    def reached(self) -> bool:
        """Whether the bound at `act` is at least `WANTED_PRECISION`."""
        return self.bound >= WANTED_PRECISION

    def sentence(self) -> str:
        """Return the rule and its outcome, for the model card."""
        outcome = "reached" if self.reached else "NOT reached by any threshold on these rows"
        return (
            f"The threshold is the lowest from {LEAST_THRESHOLD:.2f} on whose one-sided "
            f"{BOUND_CONFIDENCE:.0%} Clopper-Pearson lower bound of action precision is at least "
            f"{WANTED_PRECISION}: {outcome}. At {self.act:.3f}, {self.right} of {self.actions} actions are "
            f"right, a bound of {self.bound:.4f}."
        )


def choose_temperature(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], recorders: Sequence[Answers] = ()
) -> float:
    """Return the temperature that calibrates held-out predictions when their logits are divided by it.

    It minimises the log loss, after Guo et al., On Calibration of Modern Neural Networks (2017).

    A temperature that fits the users of the training data makes a model underconfident on hands from other
    cameras. Therefore recorders that the predicting model has not seen make up half of the score, whatever
    the number of their rows. The Brier score gives a lower temperature there; the log loss is the more
    cautious one, because it penalises confident mistakes more (docs/model-trials.md).

    Args:
        labels, probabilities: (n,) and (n, k), of users that the predicting model has not seen.
        recorders: labels and probabilities of each recorder that it has not seen.
    """
    scores = _log_loss(labels, probabilities)
    if recorders:
        scores = scores + np.mean([_log_loss(*answers) for answers in recorders], axis=0)
    return float(TEMPERATURES[np.argmin(scores)])


def _log_loss(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean log loss at each of `TEMPERATURES`."""
    rows = np.arange(len(labels))
    truth = [cooled(probabilities, temperature)[rows, labels] for temperature in TEMPERATURES]
    losses: NDArray[np.float64] = -np.log(np.maximum(truth, IMPOSSIBLE)).mean(axis=1)
    return losses


def cooled(probabilities: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Return the probabilities (n, k) after dividing their logits by `temperature`."""
    logits = np.log(np.maximum(probabilities, 1e-300)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return result


def lower_bound(right: int, n: int) -> float:
    """Return the one-sided Clopper-Pearson lower bound of a share of `right` in `n`; 0 for n = 0.

    After Clopper and Pearson (Biometrika 26, 1934): a quantile of the beta distribution.
    """
    return float(beta.ppf(1.0 - BOUND_CONFIDENCE, right, n - right + 1)) if right else 0.0


def choose_threshold(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.floating[Any]],
    *,
    gestures: Sequence[str] = GESTURES,
    actions: Mapping[str, Action] = DEFAULT_ACTIONS,
) -> Threshold:
    """Return the lowest threshold whose action precision is certain enough, and not below the floor.

    Counting wrong actions alone would move the threshold by 0.05 for one row more or less. Where no threshold
    reaches the bound (few rows, or wrong labels among them), the lowest one within `TOLERANCE` of the best
    bound is taken.

    Args:
        labels: (n,) true labels, as columns of `probabilities`; adjudicated if there are verdicts.
        probabilities: (n, k), of a model that has not seen these rows.
        gestures: names of the k columns.
        actions: gesture name -> action; two gestures with one action count as each other.
    """
    words = np.array([actions.get(name, "") for name in gestures])
    confidence, given = probabilities.max(axis=1), words[probabilities.argmax(axis=1)]
    right = (given != "") & (given == words[labels])
    steps = range(round(STEPS * LOWEST_TRIED), STEPS)
    counts = {step: _counts(confidence >= step / STEPS, given != "", right) for step in steps}
    bounds = {step: lower_bound(hits, n) for step, (hits, n) in counts.items()}
    floor = round(STEPS * LEAST_THRESHOLD)
    lowest = next((step for step in steps if bounds[step] >= WANTED_PRECISION), None)
    allowed = [step for step in steps if step >= floor]
    best = max(bounds[step] for step in allowed)
    enough = WANTED_PRECISION if best >= WANTED_PRECISION else best - TOLERANCE
    chosen = next(step for step in allowed if bounds[step] >= enough)
    hits, n = counts[chosen]
    return Threshold(chosen / STEPS, n, hits, bounds[chosen], None if lowest is None else lowest / STEPS)


def _counts(sure: NDArray[np.bool_], acts: NDArray[np.bool_], right: NDArray[np.bool_]) -> tuple[int, int]:
    return int(np.sum(sure & right)), int(np.sum(sure & acts))
