"""Evaluates a taught model on takes that it was not trained on, in numbers and in words. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gesture_maze.models.features import features
from gesture_maze.models.network import Network
from gesture_maze.teach.lessons import Rows
from gesture_maze.wire.gestures import NO_GESTURE

MOST_FOLDS: Final = 5
"""Number of folds: the n-th takes of all gestures are held out together, so that each is held out once."""
DOUBTFUL: Final = 0.8
"""Share of right frames below which a take is marked as doubtful."""
LEAST_SHARE: Final = 0.02
"""Share of the frames of a gesture from which a confusion is reported."""
CLOSE: Final = 0.05
"""Probability of a new gesture at which a hand of another one could pass for it."""
LEAST_CLOSE: Final = 0.05
"""Share of such hands from which the other gesture is reported as close."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Answers for rows whose take the answering model was not trained on.

    Attributes:
        rows: the rows.
        probabilities: (n, k), columns by `rows.gestures`; NaN for rows that could not be held out.
    """

    rows: Rows
    probabilities: NDArray[np.float64]

    @property
    def judged(self) -> NDArray[np.bool_]:
        """(n,) the rows that were held out: those of gestures with two takes or more."""
        return ~np.isnan(self.probabilities[:, 0])

    @property
    def answers(self) -> NDArray[np.int64]:
        """(n,) the likeliest gesture, -1 for rows that were not held out."""
        return np.where(self.judged, np.nan_to_num(self.probabilities).argmax(axis=1), -1)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on one take: the share of right frames, and what the others look like."""

    take: int
    right: float
    looks_like: str
    """The gesture that most wrong frames are mistaken for; empty if there are none."""
    looks_share: float
    """Share of the frames that are mistaken for it."""

    @property
    def doubtful(self) -> bool:
        """Whether a person should look at the take again."""
        return self.right < DOUBTFUL


@dataclass(frozen=True, slots=True)
class Confusion:
    """A gesture that is mistaken for another one."""

    gesture: str
    looks_like: str
    share: float
    """Share of the held-out frames of `gesture`."""

    def sentence(self) -> str:
        """Return the confusion in words."""
        whose = "Ordinary movement" if self.gesture == NO_GESTURE else f"Your {self.gesture}"
        other = "no gesture" if self.looks_like == NO_GESTURE else self.looks_like
        return f"{whose} looks like {other}: {100 * self.share:.0f} %"


@dataclass(frozen=True, slots=True)
class Likeness:
    """A new gesture that is close to gestures of the base.

    Takes of one person and one day are alike, so that all may be right. Hands of other people show how near
    the gestures are.
    """

    gesture: str
    close_to: Mapping[str, float]
    """Gesture -> share of its drawn hands that could pass for the new one; closest first."""

    def sentence(self) -> str:
        """Return the warning in words."""
        names = ["ordinary movement" if name == NO_GESTURE else name for name in self.close_to]
        shares = [f"{100 * share:.0f} %" for share in self.close_to.values()]
        whose = "its" if len(names) == 1 else "their"
        return (
            f"Your {self.gesture} is close to {', '.join(names)}: {', '.join(shares)} of {whose} drawn hands "
            "could pass for it. On another day some of yours may be misread: vary the takes, or choose "
            "another pose"
        )


def folds_of(rows: Rows) -> NDArray[np.int64]:
    """Return the fold of each row, (n,); -1 for gestures of one take, which cannot be held out."""
    folds = np.full(len(rows), -1, np.int64)
    for label in np.unique(rows.labels):
        takes = np.unique(rows.takes[rows.labels == label])
        for number, take in enumerate(takes):
            if len(takes) > 1:
                folds[rows.takes == take] = number % MOST_FOLDS
    return folds


def hold_out(rows: Rows, fit: Callable[[NDArray[np.bool_]], Network]) -> HeldOut:
    """Return, for each fold of the takes, the answers of a model that `fit` trains without it.

    Args:
        rows: of takes.
        fit: the rows to train on, (n,) bool -> a network with an output per gesture.
    """
    folds = folds_of(rows)
    found = np.full((len(rows), len(rows.gestures)), np.nan)
    for fold in range(int(folds.max(initial=-1)) + 1):
        outside = folds == fold
        network = fit(~outside)
        found[outside] = network.probabilities(features(rows.points[outside]))
    return HeldOut(rows, found)


def verdicts(held: HeldOut) -> list[Verdict]:
    """Return a verdict on each take that was held out."""
    found = []
    for take in np.unique(held.rows.takes[held.judged]):
        mine = held.rows.takes == take
        truth, answers = held.rows.label_of(int(take)), held.answers[mine]
        wrong = Counter(answers[answers != truth].tolist()).most_common(1)
        name, count = (held.rows.gestures[wrong[0][0]], wrong[0][1]) if wrong else ("", 0)
        found.append(Verdict(int(take), float(np.mean(answers == truth)), name, count / len(answers)))
    return found


def accuracy_of(held: HeldOut, gesture: str) -> float | None:
    """Return the share of right held-out frames of a gesture; None if no take could be held out."""
    mine = held.judged & (held.rows.labels == held.rows.gestures.index(gesture))
    if not mine.any():
        return None
    return float(np.mean(held.answers[mine] == held.rows.labels[mine]))


def confusions(held: HeldOut, among: Sequence[str]) -> list[Confusion]:
    """Return the gestures that are mistaken for another in at least `LEAST_SHARE` of their frames, worst
    first."""
    gestures, found = held.rows.gestures, list[Confusion]()
    for name in among:
        label = gestures.index(name)
        answers = held.answers[held.judged & (held.rows.labels == label)]
        for answer, count in Counter(answers[answers != label].tolist()).items():
            if count / len(answers) >= LEAST_SHARE:
                found.append(Confusion(name, gestures[answer], count / len(answers)))
    return sorted(found, key=lambda one: -one.share)


def likenesses(
    names: NDArray[np.str_], probabilities: NDArray[np.float64], known: Sequence[str], gestures: Sequence[str]
) -> list[Likeness]:
    """Return the new gestures that are close to gestures of the base.

    Args:
        names: (n,) the gestures that drawn hands show.
        probabilities: (n, k) of the grown model for these hands.
        known: the base's gestures.
        gestures: (k,) of the grown model.
    """
    found = []
    for new in (name for name in gestures if name not in known):
        could_pass = probabilities[:, gestures.index(new)] >= CLOSE
        shares = {name: float(np.mean(could_pass[names == name])) for name in np.unique(names).tolist()}
        close = sorted(
            ((share, name) for name, share in shares.items() if share >= LEAST_CLOSE), reverse=True
        )
        if close:
            found.append(Likeness(new, {name: share for share, name in close}))
    return found
