"""Make the shapes of hands, from which `maze teach` draws hands to test what a base keeps.

`python bench/shapes.py DATA [--out gesture_maze/teach/shapes.npz]`

DATA is the folder of the shared data (see CONTRIBUTING.md). The file holds means and main directions of at
least 60 hands each, and not the hand of any single person.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gesture_maze.models.dataset import Dataset, read_dataset
from gesture_maze.models.features import COORDINATES, features
from gesture_maze.teach.shapes import DIRECTIONS, FILE, Floats, Shapes
from gesture_maze.wire.gestures import GESTURES, NO_GESTURE

PARTS: Final = 3
"""Parts of a gesture's mixture."""
IDLE_PARTS: Final = 9
"""Parts of `no_gesture`, which has many shapes."""
LEAST_HANDS: Final = 60
"""Least hands of one part: with fewer, single people could be recognised."""
ROUNDS: Final = 25
"""Iterations of k-means, which divides the hands of a gesture into parts."""


def main() -> None:
    """Write the file and print its size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=FILE)
    options = parser.parse_args()
    data = read_dataset([options.data / "landmarks_train.csv.gz"])
    shapes = shapes_of(data)
    _write(shapes, options.out)
    size = options.out.stat().st_size
    sys.stdout.write(f"{options.out}: {len(shapes.gestures)} parts of {len(data):,} hands, {size:,} bytes\n")


def shapes_of(data: Dataset) -> Shapes:
    """Return the shapes of labelled hands; gestures of fewer than `LEAST_HANDS` hands have none."""
    rng, found = np.random.default_rng(0), features(data.points)[:, :COORDINATES]
    names: NDArray[np.str_] = np.array(data.gestures)[data.labels]
    parts: list[tuple[str, float, Floats, Floats, float]] = []
    for name in GESTURES:
        mine = found[names == name]
        count = min(IDLE_PARTS if name == NO_GESTURE else PARTS, len(mine) // LEAST_HANDS)
        groups = _divided(mine, count, rng) if count else []
        whole = sum(map(len, groups))
        parts += [(name, len(group) / whole, *_shape(group)) for group in groups]
    titles, *arrays = zip(*parts, strict=True)
    return Shapes(titles, *map(np.array, arrays))


def _divided(rows: Floats, count: int, rng: np.random.Generator) -> list[Floats]:
    """Return the rows in up to `count` groups by k-means, without those below `LEAST_HANDS`."""
    # not scikit-learn's k-means, which divides differently: the shipped file and its figures would change
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


def _write(shapes: Shapes, path: Path) -> None:
    """Write a file; numbers keep three digits."""
    np.savez_compressed(
        path,
        gestures=np.array(shapes.gestures),
        weights=shapes.weights.astype(np.float16),
        means=shapes.means.astype(np.float16),
        directions=shapes.directions.astype(np.float16),
        rest=shapes.rest.astype(np.float16),
    )


if __name__ == "__main__":
    main()
