"""Small labelled data for tests of training: kinds of hands that are easy to distinguish."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from gesture_maze.models.dataset import COORDINATES, Dataset
from gesture_maze.wire.gestures import GESTURES, LABELS

KINDS = (LABELS["like"], LABELS["palm"], LABELS["no_gesture"])


def hands(rows_per_class: int = 40, seed: int = 0, noise: float = 0.1) -> Dataset:
    """Return three kinds of synthetic hands (the same for every seed), of users with four hands each."""
    kinds = np.random.default_rng(0).normal(size=(len(KINDS), 21, 2))
    rng = np.random.default_rng(seed + 1)
    labels = np.tile(np.array(KINDS, np.int64), rows_per_class)
    points = kinds[np.tile(np.arange(len(KINDS)), rows_per_class)]
    points = points + rng.normal(0.0, noise, (len(labels), 21, 2))
    users = np.array([f"u{row // 4}" for row in range(len(labels))])
    return Dataset(points, labels, users, np.full(len(labels), "made"), ("made.csv",), "0" * 64)


def write_csv(path: Path, data: Dataset) -> Path:
    """Write the data as a CSV that `maze train` reads."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*COORDINATES, "label", "user_id"])
        for points, label, user in zip(data.points, data.labels, data.users, strict=True):
            writer.writerow([*points.ravel(), GESTURES[label], user])
    return path
