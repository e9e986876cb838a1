"""Folds that keep people apart, and the predictions for the rows that each fold holds out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

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
"""points and labels (n,) of the training rows -> function that predicts."""
View = Callable[[Points], Points]
"""Alters hands."""


LEAST_RECORDERS: Final = 5
"""Least number of recorders to calibrate with: fewer say too little about a new one."""


class Split(NamedTuple):
    """One fold, as rows of the data set."""

    inside: NDArray[np.int64]
    """To train on."""
    outside: NDArray[np.int64]
    """To judge the model on: rows of users who are not trained on."""
    left_out: NDArray[np.int64]
    """To calibrate with: rows of recorders who are not trained on; empty if the data has none."""


VIEWS: Final[Mapping[str, View]] = {
    "mirrored": lambda points: points * np.array([-1.0, 1.0]),
    "rotated_15": lambda points: rotated(points, 15.0),
    "rotated_minus_15": lambda points: rotated(points, -15.0),
    "stretched_8_percent": lambda points: points * np.array([1.08, 1.0]),
}
"""Alterations under which the held-out hands are judged again."""


@dataclass(frozen=True, slots=True)
class OtherCameras:
    """Predictions for rows of recorders that the predicting model was not trained on."""

    labels: NDArray[np.int64]
    """(n,)."""
    probabilities: NDArray[np.float64]
    """(n, k)."""
    recorders: NDArray[np.str_]
    """(n,)."""

    def by_recorder(self) -> list[tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """Return labels and probabilities of each recorder."""
        masks = [self.recorders == name for name in np.unique(self.recorders)]
        return [(self.labels[mask], self.probabilities[mask]) for mask in masks]


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
    other_cameras: OtherCameras | None = None
    """The same for recorders; None if the data has none."""


def folds(data: Dataset, count: int, seed: int) -> Iterator[Split]:
    """Yield `count` folds in which no user and no recorder is on both sides.

    Other rows without a user id are used for training only, because it is unknown whom they show. If no row
    has a user id, each row counts as a user of its own, and recorders are ignored: the figures are then those
    of a random split by rows, where the same person may be on both sides.

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
    recorders = np.random.default_rng(seed).permutation(_recorders(data))
    for fold, (inside, outside) in enumerate(splitter.split(known, data.labels[known], groups)):
        left_out = _rows_of(data, recorders[fold::count])
        rows = np.concatenate([np.setdiff1d(always, left_out), known[inside]])
        yield Split(rows, known[outside], left_out)


def _recorders(data: Dataset) -> NDArray[np.str_]:
    """Return the recorders to leave out; none if there are fewer than `LEAST_RECORDERS`.

    One with a gesture that no user shows is always trained on: without its rows a network would not know it.
    """
    if data.recorders is None or not (data.users != "").any():
        return np.array([], np.str_)
    unknown = ~np.isin(data.labels, data.labels[data.users != ""])
    names = np.setdiff1d(data.recorders, ["", *data.recorders[unknown].tolist()])
    return names if len(names) >= LEAST_RECORDERS else names[:0]


def _rows_of(data: Dataset, recorders: NDArray[np.str_]) -> NDArray[np.int64]:
    if not len(recorders):
        return np.array([], np.int64)
    assert data.recorders is not None
    return np.flatnonzero(np.isin(data.recorders, recorders))


def cross_validate(
    data: Dataset, fit: Fit, splits: Sequence[Split], views: Mapping[str, View] | None = None
) -> HeldOut:
    """Return out-of-fold predictions of the models that `fit` gives for each of `splits`."""
    rows: list[NDArray[np.int64]] = []
    found: dict[str, list[NDArray[np.float64]]] = {"": []}
    others: list[NDArray[np.float64]] = []
    for inside, outside, left_out in splits:
        predict = fit(data.points[inside], data.labels[inside])
        rows.append(outside)
        found[""].append(predict(data.points[outside]))
        for name, alter in (views or {}).items():
            found.setdefault(name, []).append(predict(alter(data.points[outside])))
        if len(left_out):
            others.append(predict(data.points[left_out]))
    order = np.concatenate(rows)
    joined = {name: np.concatenate(parts) for name, parts in found.items()}
    numbers = np.repeat(np.arange(len(rows)), [len(part) for part in rows])
    other_cameras = _other_cameras(data, splits, others)
    return HeldOut(order, data.labels[order], joined.pop(""), joined, numbers, other_cameras)


def _other_cameras(
    data: Dataset, splits: Sequence[Split], probabilities: Sequence[NDArray[np.float64]]
) -> OtherCameras | None:
    if data.recorders is None or not probabilities:
        return None
    rows = np.concatenate([split.left_out for split in splits])
    return OtherCameras(data.labels[rows], np.concatenate(probabilities), data.recorders[rows])
