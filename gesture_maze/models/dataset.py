"""Labelled landmarks from files of any layout, checked before anything is trained or measured on them.

The usual layout has columns `x1,y1[,z1],...,x21,y21[,z21],label` in any order, optionally `source` and
`user_id`; x, y and z share one unit (such as pixels), y grows down; origin and scale are free. `readers.read`
reads other layouts. z is kept if all files have it, for models that declare it. Our own models do not,
because the unit of z differs between sources.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gesture_maze.models.labels import MAX_LABELS, is_gesture_name, label_set
from gesture_maze.readers.read import Labelled, read_labelled
from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.gestures import GESTURES, NAME_PATTERN
from gesture_maze.wire.printable import amount

COORDINATES: Final = tuple(f"{axis}{point}" for point in range(1, 22) for axis in "xy")
"""The columns of the usual layout, beside `label`."""

MIN_TRAINING_ROWS: Final = 10
"""Fewest rows per class to train on: with fewer, a fold of the cross-validation has none of them."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """n labelled hands."""

    points: NDArray[np.float64]
    """(n, 21, 2), isotropic, y down; origin and scale may differ from row to row."""
    labels: NDArray[np.int64]
    """(n,), places in `gestures`."""
    users: NDArray[np.str_]
    """(n,) user ids; empty if the file names none."""
    sources: NDArray[np.str_]
    """(n,) sources; empty if the file names none."""
    names: tuple[str, ...]
    """Names of the files, without folders."""
    sha256: str
    """Fingerprint of the files' bytes, in the order given."""
    file_sha256: tuple[str, ...] = ()
    """Fingerprint of each file's bytes."""
    gestures: tuple[str, ...] = GESTURES
    """Names of the gestures that `labels` are places of."""
    depth: NDArray[np.float64] | None = None
    """(n, 21), z in the unit of x and y; None if a file has no columns of z."""
    report: tuple[str, ...] = ()
    """What was found in the files and how labels were mapped, as lines to print."""
    recorders: NDArray[np.str_] | None = None
    """(n,) who recorded each row: its source if its file names sources but no users, else empty. None if no
    row has a recorder."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def landmarks(self) -> NDArray[np.float32]:
        """The points as a frame carries them: (n, 21, 3) float32, to be used with aspect 1.

        z is 0 if the data has none; `models.judged.judge` refuses such data for models that need z.
        """
        result = np.zeros((len(self), 21, 3), np.float32)
        result[:, :, :2] = self.points
        if self.depth is not None:
            result[:, :, 2] = self.depth
        return result

    @property
    def aspect(self) -> NDArray[np.float32]:
        """(n,) ones: the points are isotropic."""
        return np.ones(len(self), np.float32)


@dataclass(frozen=True, slots=True)
class Reading:
    """Options that override what the files say about themselves; see `readers.read.read_labelled`.

    Attributes:
        layout: name of the layout; None detects it.
        aspect: image width / height; None keeps what the file says.
        labels: a file that renames labels; None maps the usual synonyms.
    """

    layout: str | None = None
    aspect: float | None = None
    labels: Path | None = None


def read_dataset(paths: Sequence[Path], reading: Reading | None = None) -> Dataset:
    """Return the labelled hands of the files at `paths`; rows without a hand are left out.

    Args:
        paths: files of any layout.
        reading: overrides, if any.

    Raises:
        SettingsError: `data`, naming file, row (the header is row 1) and column: a file cannot be read, a
            column is missing or named twice, a number is missing or not finite, coordinates are normalised
            by an unknown aspect, a label cannot be the name of a gesture, there are no rows, or more than
            `MAX_LABELS` gestures.
    """
    how = reading or Reading()
    found = read_labelled(paths, layout=how.layout, aspect=how.aspect, labels=how.labels)
    for name, where in zip(found.labels, found.places, strict=True):
        if not is_gesture_name(name):
            raise _fault(
                f"{where}: column 'label': the name of a gesture must match {NAME_PATTERN}, found {name!r}"
            )
    gestures = label_set(found.labels)
    if len(gestures) > MAX_LABELS:
        raise _fault(
            f"{_listed(paths)}: {amount(len(gestures), 'gesture')}; a model can have at most {MAX_LABELS}"
        )
    place = {name: column for column, name in enumerate(gestures)}
    contents = [path.read_bytes() for path in paths]
    return Dataset(
        points=np.ascontiguousarray(found.points[:, :, :2]),
        labels=np.array([place[name] for name in found.labels], np.int64),
        users=np.array(found.users, np.str_),
        sources=np.array(found.sources, np.str_),
        names=tuple(path.name for path in paths),
        sha256=hashlib.sha256(b"".join(contents)).hexdigest(),
        file_sha256=tuple(hashlib.sha256(content).hexdigest() for content in contents),
        gestures=gestures,
        depth=np.ascontiguousarray(found.points[:, :, 2]) if found.depth else None,
        report=tuple(found.report),
        recorders=_recorders(found),
    )


def _recorders(found: Labelled) -> NDArray[np.str_] | None:
    """Return the recorder of each hand, see `Dataset.recorders`."""
    known = {file for file, user in zip(found.files, found.users, strict=True) if user}
    names = ["" if file in known else name for file, name in zip(found.files, found.sources, strict=True)]
    return np.array(names, np.str_) if any(names) else None


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(path.name for path in paths)


def require_trainable(data: Dataset) -> None:
    """Refuse data on which no classifier can be trained.

    Raises:
        SettingsError: `data`: one class only, or a class with fewer than `MIN_TRAINING_ROWS` rows.
    """
    present, counts = np.unique(data.labels, return_counts=True)
    where = ", ".join(data.names)
    if len(present) < 2:
        raise _fault(
            f"{where}: column 'label' holds one class only ({data.gestures[present[0]]}); two are needed"
        )
    for label, count in zip(present, counts, strict=True):
        if count < MIN_TRAINING_ROWS:
            raise _fault(
                f"{where}: column 'label' holds {data.gestures[label]} in {amount(count, 'row')} only; "
                f"{MIN_TRAINING_ROWS} are needed to train"
            )


def _fault(message: str) -> SettingsError:
    return SettingsError("data", message)
