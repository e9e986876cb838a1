"""Labelled landmarks from CSV files, checked before anything is trained or measured on them.

Columns `x1,y1[,z1],...,x21,y21[,z21],label` in any order, optionally `source` and `user_id`; others are
ignored. x and y share one unit (pixels, say), y grows down; origin and scale are free. z is ignored, because
its unit differs between sources. A name that ends in `.gz` is unpacked.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

import numpy as np
from numpy.typing import NDArray

from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.gestures import GESTURES, LABELS

COORDINATES: Final = tuple(f"{axis}{point}" for point in range(1, 22) for axis in "xy")
"""The required columns, beside `label`."""

MIN_TRAINING_ROWS: Final = 10
"""Fewest rows per class to train on: with fewer, a fold of the cross-validation has none of them."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """n labelled hands."""

    points: NDArray[np.float64]
    """(n, 21, 2), isotropic, y down; origin and scale may differ from row to row."""
    labels: NDArray[np.int64]
    """(n,), as in `wire.gestures`."""
    users: NDArray[np.str_]
    """(n,) user ids; empty where the file names none."""
    sources: NDArray[np.str_]
    """(n,) sources; empty where the file names none."""
    names: tuple[str, ...]
    """Names of the files, without folders."""
    sha256: str
    """Fingerprint of the files' bytes, in the order given."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def landmarks(self) -> NDArray[np.float32]:
        """The points as a frame carries them: (n, 21, 3) float32, z = 0; to be used with aspect 1."""
        result = np.zeros((len(self), 21, 3), np.float32)
        result[:, :, :2] = self.points
        return result

    @property
    def aspect(self) -> NDArray[np.float32]:
        """(n,) ones: the points are isotropic."""
        return np.ones(len(self), np.float32)


def read_dataset(paths: Sequence[Path]) -> Dataset:
    """Return all rows of the CSV files at `paths`.

    Raises:
        SettingsError: `data`, naming file, row (the header is row 1) and column: a file cannot be read, a
            column is missing or named twice, a number is missing or not finite, a label is unknown, no rows.
    """
    parts = [_read_file(path) for path in paths]
    fingerprint = hashlib.sha256()
    for path in paths:
        fingerprint.update(path.read_bytes())
    return Dataset(
        points=np.concatenate([part.points for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        users=np.concatenate([part.users for part in parts]),
        sources=np.concatenate([part.sources for part in parts]),
        names=tuple(path.name for path in paths),
        sha256=fingerprint.hexdigest(),
    )


def require_trainable(data: Dataset) -> None:
    """Refuse data that no classifier can be trained on.

    Raises:
        SettingsError: `data`: one class only, or a class with fewer than `MIN_TRAINING_ROWS` rows.
    """
    present, counts = np.unique(data.labels, return_counts=True)
    where = ", ".join(data.names)
    if len(present) < 2:
        raise _fault(
            f"{where}: column 'label' holds one class only ({GESTURES[present[0]]}); two are needed."
        )
    for label, count in zip(present, counts, strict=True):
        if count < MIN_TRAINING_ROWS:
            raise _fault(
                f"{where}: column 'label' holds {GESTURES[label]} in {count} rows only; "
                f"{MIN_TRAINING_ROWS} are needed to train."
            )


@dataclass(frozen=True, slots=True)
class _Part:
    points: NDArray[np.float64]
    labels: NDArray[np.int64]
    users: NDArray[np.str_]
    sources: NDArray[np.str_]


def _read_file(path: Path) -> _Part:
    try:
        with _open(path) as file:
            rows = csv.reader(file)
            return _parse(path.name, rows)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error) as error:
        raise _fault(f"Cannot read {path}: {error}.") from None


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _parse(name: str, rows: Iterator[list[str]]) -> _Part:
    header = [column.strip() for column in next(rows, [])]
    for column in (*COORDINATES, "label"):
        if header.count(column) != 1:
            fault = "is missing" if column not in header else "is there more than once"
            raise _fault(f"{name}: row 1: column '{column}' {fault}.")
    places = [header.index(column) for column in COORDINATES]
    label_at = header.index("label")
    user_at, source_at = (header.index(key) if key in header else None for key in ("user_id", "source"))
    points: list[list[float]] = []
    labels: list[int] = []
    users: list[str] = []
    sources: list[str] = []
    for number, row in enumerate(rows, start=2):
        if not row:  # an empty line, at the end most often
            continue
        if len(row) != len(header):
            raise _fault(f"{name}: row {number}: {len(row)} columns, but the header has {len(header)}.")
        points.append(_numbers(name, number, header, places, row))
        labels.append(_label(name, number, row[label_at].strip()))
        users.append(row[user_at].strip() if user_at is not None else "")
        sources.append(row[source_at].strip() if source_at is not None else "")
    if not points:
        raise _fault(f"{name}: there are no rows below the header.")
    return _Part(
        np.array(points, np.float64).reshape(-1, 21, 2),
        np.array(labels, np.int64),
        np.array(users, np.str_),
        np.array(sources, np.str_),
    )


def _numbers(name: str, number: int, header: list[str], places: list[int], row: list[str]) -> list[float]:
    """Return the 42 coordinates of a row, or say which one is wrong."""
    try:
        values = [float(row[place]) for place in places]
        if math.isfinite(sum(values)):  # one NaN or infinity spoils the sum, so the common case is one test
            return values
    except ValueError:
        pass
    for place in places:
        try:
            good = math.isfinite(float(row[place]))
        except ValueError:
            good = False
        if not good:
            raise _fault(f"{name}: row {number}: column '{header[place]}': {row[place]!r} is not a number.")
    raise _fault(f"{name}: row {number}: the coordinates are too large to be added up.")


def _label(name: str, number: int, text: str) -> int:
    label = LABELS.get(text)
    if label is None:
        raise _fault(
            f"{name}: row {number}: column 'label': {text!r} is no gesture; those are: {', '.join(GESTURES)}."
        )
    return label


def _fault(message: str) -> SettingsError:
    return SettingsError("data", message)
