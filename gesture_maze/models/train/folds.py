"""Folds that keep people apart, and the predictions for the rows that each fold holds out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from gesture_maze.models.dataset import Dataset
from gesture_maze.models.train.augmentation import rotated
from gesture_maze.wire.errors import SettingsError

Points = NDArray[np.float64]
"""(n, 21, 2), isotropic."""
Predict = Callable[[Points], NDArray[np.float64]]
"""points (n, 21, 2) -> probabilities (n, k)."""
Fit = Callable[[Points, NDArray[np.int64]], Predict]
"""points and labels (n,) of the training rows -> what predicts."""
Split = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Training rows, held-out rows."""
View = Callable[[Points], Points]
"""Alters hands."""

VIEWS: Final[Mapping[str, View]] = {
    "mirrored": lambda points: points * np.array([-1.0, 1.0]),
    "rotated_15": lambda points: rotated(points, 15.0),
    "rotated_minus_15": lambda points: rotated(points, -15.0),
    "stretched_8_percent": lambda points: points * np.array([1.08, 1.0]),
}
"""Alterations under which the held-out hands are judged again."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Predictions for rows that the predicting model was not trained on."""

    rows: NDArray[np.int64]
    """(n,) rows of the data set."""
    labels: NDArray[np.int64]
    """(n,)."""
    probabilities: NDArray[np.float64]
    """(n, k)."""
    views: Mapping[str, NDArray[np.float64]]
    """Name of a view -> (n, k) for the same hands, altered."""
    folds: NDArray[np.int64]
    """(n,) the fold, from 0, that each row was held out in."""


def folds(data: Dataset, count: int, seed: int) -> Iterator[Split]:
    """Yield `count` pairs (training rows, held-out rows), with no user on both sides.

    Rows without a user id are only trained on, because it is unknown whom they show. If no row has one,
    each row counts as a user of its own: the figures are then those of a random split by rows, where the
    same person may be on both sides.

    Raises:
        SettingsError: `data`: fewer users than folds.
    """
    known = np.flatnonzero(data.users != "")
    if len(known):
        groups = data.users[known]
        users = len(np.unique(groups))
        if users < count:
            remedy = f"take --folds {users}" if users > 1 else "leave the column user_id out"
            raise SettingsError(
                "data", f"{count} folds need as many users, and the data has {users}: {remedy}"
            )
    else:
        known = np.arange(len(data))
        groups = known.astype(np.str_)
    always = np.setdiff1d(np.arange(len(data)), known)
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    for inside, outside in splitter.split(known, data.labels[known], groups):
        yield np.concatenate([always, known[inside]]), known[outside]


def cross_validate(
    data: Dataset, fit: Fit, splits: Sequence[Split], views: Mapping[str, View] | None = None
) -> HeldOut:
    """Return out-of-fold predictions of the models that `fit` gives for each of `splits`."""
    rows: list[NDArray[np.int64]] = []
    found: dict[str, list[NDArray[np.float64]]] = {"": []}
    for inside, outside in splits:
        predict = fit(data.points[inside], data.labels[inside])
        rows.append(outside)
        found[""].append(predict(data.points[outside]))
        for name, alter in (views or {}).items():
            found.setdefault(name, []).append(predict(alter(data.points[outside])))
    order = np.concatenate(rows)
    joined = {name: np.concatenate(parts) for name, parts in found.items()}
    numbers = np.repeat(np.arange(len(rows)), [len(part) for part in rows])
    return HeldOut(order, data.labels[order], joined.pop(""), joined, numbers)
