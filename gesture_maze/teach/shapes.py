"""Statistics of the shapes of real hands per gesture, from which hands are drawn to test what a base keeps.

Installations have no training rows. Each gesture is a mixture of a few normal distributions of the 42
coordinates, made from hundreds of people's hands: means, main directions, and the rest. A drawn hand is not
the hand of a real person. Pure, except for reading the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gesture_maze.models.features import COORDINATES, POINTS
from gesture_maze.teach.lessons import Points
from gesture_maze.wire.gestures import GESTURES, NO_GESTURE

FILE: Final = Path(__file__).with_name("shapes.npz")
"""File made from the shared rows by `python bench/shapes.py DATA`."""
DIRECTIONS: Final = 12
"""Main directions of each part of a mixture."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shapes:
    """p parts of mixtures, each of one gesture.

    Attributes:
        gestures: (p,) names.
        weights: (p,) share of the gesture's hands.
        means: (p, 42) coordinates as `models.features` has them.
        directions: (p, DIRECTIONS, 42), each as long as its standard deviation.
        rest: (p,) standard deviation of a coordinate apart from the directions.
    """

    gestures: tuple[str, ...]
    weights: Floats
    means: Floats
    directions: Floats
    rest: Floats

    @classmethod
    def read(cls, path: Path = FILE) -> Shapes:
        """Return the shapes in a file."""
        with np.load(path, allow_pickle=False) as found:
            names = ("weights", "means", "directions", "rest")
            arrays: list[Any] = [found[name].astype(np.float64) for name in names]
            return cls(tuple(found["gestures"].tolist()), *arrays)

    def draw(
        self, known: Sequence[str], per_gesture: int, idle: int, seed: int
    ) -> tuple[Points, NDArray[np.str_]]:
        """Return hands (n, 21, 2) of the published gestures among `known`, and the gesture of each (n,).

        Args:
            known: gestures; those without a shape are left out.
            per_gesture: hands of each.
            idle: hands of `no_gesture` per hand of another gesture.
            seed: the same seed draws the same hands.
        """
        rng, names = np.random.default_rng(seed), np.array(self.gestures)
        drawn, labels = [np.zeros((0, COORDINATES))], [np.zeros(0, names.dtype)]
        for name in (one for one in GESTURES if one in known and one in self.gestures):
            count = per_gesture * (idle if name == NO_GESTURE else 1)
            mine = np.flatnonzero(names == name)
            part = rng.choice(mine, count, p=self.weights[mine] / self.weights[mine].sum())
            along = np.einsum("nd,ndc->nc", rng.normal(size=(count, DIRECTIONS)), self.directions[part])
            beside = self.rest[part][:, None] * rng.normal(size=(count, COORDINATES))
            drawn.append(self.means[part] + along + beside)
            labels.append(np.repeat(names[mine[:1]], count))
        flat = np.concatenate(drawn)
        return np.stack([flat[:, :POINTS], flat[:, POINTS:]], axis=2), np.concatenate(labels)


@cache
def shared_shapes() -> Shapes:
    """Return the shapes of the hands that the bundled model was trained on."""
    return Shapes.read()
