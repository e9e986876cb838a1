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

from gesture_maze.models.features import COORDINATES, POINTS, features
from gesture_maze.teach.lessons import Points
from gesture_maze.wire.gestures import GESTURES, NO_GESTURE

FILE: Final = Path(__file__).with_name("shapes.npz")
"""File made from the shared rows by `python bench/shapes.py DATA`."""
DIRECTIONS: Final = 12
"""Main directions of each part of a mixture."""
PARTS: Final = 3
"""Parts of a gesture's mixture."""
IDLE_PARTS: Final = 9
"""Parts of `no_gesture`, which has many shapes."""
LEAST_HANDS: Final = 60
"""Least hands of one part: with fewer, single people could be recognised."""
ROUNDS: Final = 25
"""Iterations of k-means, which divides the hands of a gesture into parts."""

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
    def of(cls, points: Points, names: NDArray[np.str_], seed: int = 0) -> Shapes:
        """Return the shapes of labelled hands; gestures of fewer than `LEAST_HANDS` hands have none.

        Args:
            points: (n, 21, 2), isotropic.
            names: (n,) their gestures.
            seed: of the division into parts.
        """
        rng, found = np.random.default_rng(seed), features(points)[:, :COORDINATES]
        parts: list[tuple[str, float, Floats, Floats, float]] = []
        for name in GESTURES:
            mine = found[names == name]
            count = min(IDLE_PARTS if name == NO_GESTURE else PARTS, len(mine) // LEAST_HANDS)
            groups = _divided(mine, count, rng) if count else []
            whole = sum(map(len, groups))
            parts += [(name, len(group) / whole, *_shape(group)) for group in groups]
        titles, *arrays = zip(*parts, strict=True)
        return cls(titles, *map(np.array, arrays))

    @classmethod
    def read(cls, path: Path = FILE) -> Shapes:
        """Return the shapes in a file."""
        with np.load(path, allow_pickle=False) as found:
            names = ("weights", "means", "directions", "rest")
            arrays: list[Any] = [found[name].astype(np.float64) for name in names]
            return cls(tuple(found["gestures"].tolist()), *arrays)

    def write(self, path: Path) -> None:
        """Write a file; numbers keep three digits."""
        np.savez_compressed(
            path,
            gestures=np.array(self.gestures),
            weights=self.weights.astype(np.float16),
            means=self.means.astype(np.float16),
            directions=self.directions.astype(np.float16),
            rest=self.rest.astype(np.float16),
        )

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


def _divided(rows: Floats, count: int, rng: np.random.Generator) -> list[Floats]:
    """Return the rows in up to `count` groups by k-means, without those below `LEAST_HANDS`."""
    centres = rows[rng.choice(len(rows), count, replace=False)]
    for _ in range(ROUNDS):
        nearest = ((rows[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
        centres = np.array(
            [
                rows[nearest == at].mean(axis=0) if (nearest == at).any() else centres[at]
                for at in range(count)
            ]
        )
    groups = [rows[nearest == at] for at in range(count)]
    return [group for group in groups if len(group) >= LEAST_HANDS] or [rows]


def _shape(rows: Floats) -> tuple[Floats, Floats, float]:
    mean = rows.mean(axis=0)
    _, sizes, ways = np.linalg.svd((rows - mean) / np.sqrt(len(rows) - 1), full_matrices=False)
    rest = float(np.sqrt((sizes[DIRECTIONS:] ** 2).sum() / COORDINATES))
    return mean, ways[:DIRECTIONS] * sizes[:DIRECTIONS, None], rest
