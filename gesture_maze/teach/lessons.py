"""The hands for teaching a gesture: rows of takes, and hands that stand for everything else. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gesture_maze.models.features import features
from gesture_maze.models.labels import label_set
from gesture_maze.models.network import Network
from gesture_maze.simulator.players import synthesize
from gesture_maze.wire.gestures import GESTURES, LABELS, NO_GESTURE

Points = NDArray[np.float64]
"""(n, 21, 2), isotropic, y down."""

ROWS_PER_GESTURE: Final = 300
"""Most rows of one gesture: consecutive frames are almost the same, so more rows only cost time."""
LEAST_ROWS: Final = 150
"""Least rows of one gesture; rows are repeated if its takes have fewer."""
IDLE_SHARE: Final = 3
"""Simulated hands of `no_gesture` per hand of another gesture: a camera sees far more of them."""
BETWEEN: Final = 0.9
"""Confidence of `no_gesture` from which a frame of a take counts as a transition into or out of the
gesture."""


@dataclass(frozen=True, slots=True)
class Rows:
    """n labelled hands of takes.

    Attributes:
        points: (n, 21, 2), isotropic.
        labels: (n,) places in `gestures`.
        takes: (n,) number of the take that each row comes from, from 0.
        gestures: the label set of the grown model.
    """

    points: Points
    labels: NDArray[np.int64]
    takes: NDArray[np.int64]
    gestures: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.labels)

    def of(self, mask: NDArray[np.bool_]) -> Rows:
        """Return the rows that `mask` (n,) keeps."""
        return Rows(self.points[mask], self.labels[mask], self.takes[mask], self.gestures)

    def label_of(self, take: int) -> int:
        """Return the label of a take that has rows."""
        return int(self.labels[self.takes == take][0])


def rows_of(takes: Sequence[tuple[str, Points]], known: Sequence[str]) -> Rows:
    """Return the rows of takes, in their order.

    Args:
        takes: gesture and hands of each take.
        known: gestures of the base.
    """
    gestures = label_set([*known, *(name for name, _ in takes)])
    counts = [len(points) for _, points in takes]
    labels = [gestures.index(name) for name, _ in takes]
    points = np.concatenate([points for _, points in takes]) if takes else np.zeros((0, 21, 2))
    return Rows(
        points,
        np.repeat(np.array(labels, np.int64), counts),
        np.repeat(np.arange(len(takes)), counts),
        gestures,
    )


def settled(base: Network, known: Sequence[str], rows: Rows) -> NDArray[np.bool_]:
    """Return which rows show the gesture and not a transition into or out of it, (n,) bool.

    Most takes begin and end with an idle hand. Frames that the base takes for `no_gesture`
    with confidence are left out, unless they are the majority of the take: then the gesture itself looks like
    `no_gesture`.
    """
    result = np.ones(len(rows), np.bool_)
    if NO_GESTURE not in known:
        return result
    idle = base.probabilities(features(rows.points))[:, known.index(NO_GESTURE)] >= BETWEEN
    for take in np.unique(rows.takes):
        mine = rows.takes == take
        if rows.gestures[rows.label_of(int(take))] != NO_GESTURE and idle[mine].mean() < 0.5:
            result[mine] = ~idle[mine]
    return result


def spread_evenly(rows: Rows) -> NDArray[np.int64]:
    """Return places of `LEAST_ROWS` to `ROWS_PER_GESTURE` rows of each gesture, evenly from its takes."""
    chosen = []
    for label in np.unique(rows.labels):
        mine = np.flatnonzero(rows.labels == label)
        takes = np.unique(rows.takes[mine])
        quota = max(1, ROWS_PER_GESTURE // len(takes))
        picked = []
        for take in takes:
            of_take = mine[rows.takes[mine] == take]
            picked.append(
                of_take[np.linspace(0, len(of_take) - 1, min(quota, len(of_take))).astype(np.int64)]
            )
        found = np.concatenate(picked)
        chosen.append(np.tile(found, -(-LEAST_ROWS // len(found)))[: max(LEAST_ROWS, len(found))])
    return np.concatenate(chosen)


def everything_else(known: Sequence[str], per_gesture: int, seed: int) -> Points:
    """Return simulated hands of the published gestures among `known`, `IDLE_SHARE` times as many idle ones.

    They stand for the rows that the base was trained on, which no installation has.
    """
    names = [name for name in GESTURES if name in known]
    counts = [per_gesture * (IDLE_SHARE if name == NO_GESTURE else 1) for name in names]
    labels = np.repeat(np.array([LABELS[name] for name in names], np.int64), counts)
    hands = synthesize(labels, np.random.default_rng(seed))
    points = hands.landmarks[:, :, :2].astype(np.float64)
    points[:, :, 0] *= hands.aspect[:, None]
    return points
