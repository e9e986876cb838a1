"""Labelled landmarks from CSV files, checked before anything is trained or measured on them.

Columns `x1,y1[,z1],...,x21,y21[,z21],label` in any order, optionally `source` and `user_id`; others are
ignored. x, y and z share one unit (pixels, say), y grows down; origin and scale are free. z is kept where all
21 columns are there, for models that declare it; ours do not, because its unit differs between sources. A
name that ends in `.gz` is unpacked.
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

from gesture_maze.models.labels import MAX_LABELS, NAME_PATTERN, is_gesture_name, label_set
from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.gestures import GESTURES

COORDINATES: Final = tuple(f"{axis}{point}" for point in range(1, 22) for axis in "xy")
"""The required columns, beside `label`."""

DEPTHS: Final = tuple(f"z{point}" for point in range(1, 22))
"""The optional columns of z: all of them or none."""

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
    """(n,) user ids; empty where the file names none."""
    sources: NDArray[np.str_]
    """(n,) sources; empty where the file names none."""
    names: tuple[str, ...]
    """Names of the files, without folders."""
    sha256: str
    """Fingerprint of the files' bytes, in the order given."""
    file_sha256: tuple[str, ...] = ()
    """Fingerprint of each file's bytes."""
    gestures: tuple[str, ...] = GESTURES
    """Names of the gestures that `labels` are places of."""
    depth: NDArray[np.float64] | None = None
    """(n, 21), z in the unit of x and y; None where a file has no columns of z."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def landmarks(self) -> NDArray[np.float32]:
        """The points as a frame carries them: (n, 21, 3) float32, to be used with aspect 1.

        z is 0 where the data has none; `models.judged.judge` refuses such data for models that need z.
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


def read_dataset(paths: Sequence[Path]) -> Dataset:
    """Return all rows of the CSV files at `paths`.

    Raises:
        SettingsError: `data`, naming file, row (the header is row 1) and column: a file cannot be read, a
            column is missing or named twice, a number is missing or not finite, a label cannot be the name
            of a gesture, there are no rows, or more than `MAX_LABELS` gestures.
    """
    parts = [_read_file(path) for path in paths]
    contents = [path.read_bytes() for path in paths]
    names = [name for part in parts for name in part.labels]
    gestures = label_set(names)
    if len(gestures) > MAX_LABELS:
        raise _fault(f"{_listed(paths)}: {len(gestures)} gestures; a model knows {MAX_LABELS} at most.")
    place = {name: column for column, name in enumerate(gestures)}
    depths = [part.depth for part in parts]
    return Dataset(
        points=np.concatenate([part.points for part in parts]),
        labels=np.array([place[name] for name in names], np.int64),
        users=np.concatenate([part.users for part in parts]),
        sources=np.concatenate([part.sources for part in parts]),
        names=tuple(path.name for path in paths),
        sha256=hashlib.sha256(b"".join(contents)).hexdigest(),
        file_sha256=tuple(hashlib.sha256(content).hexdigest() for content in contents),
        gestures=gestures,
        depth=None if any(depth is None for depth in depths) else np.concatenate(depths),  # type: ignore[arg-type]
    )


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(path.name for path in paths)


def require_trainable(data: Dataset) -> None:
    """Refuse data that no classifier can be trained on.

    Raises:
        SettingsError: `data`: one class only, or a class with fewer than `MIN_TRAINING_ROWS` rows.
    """
    present, counts = np.unique(data.labels, return_counts=True)
    where = ", ".join(data.names)
    if len(present) < 2:
        raise _fault(
            f"{where}: column 'label' holds one class only ({data.gestures[present[0]]}); two are needed."
        )
    for label, count in zip(present, counts, strict=True):
        if count < MIN_TRAINING_ROWS:
            raise _fault(
                f"{where}: column 'label' holds {data.gestures[label]} in {count} rows only; "
                f"{MIN_TRAINING_ROWS} are needed to train."
            )


@dataclass(frozen=True, slots=True)
class _Part:
    points: NDArray[np.float64]
    depth: NDArray[np.float64] | None
    labels: list[str]
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
    has_depth = all(header.count(column) == 1 for column in DEPTHS)
    places = [header.index(column) for column in (*COORDINATES, *(DEPTHS if has_depth else ()))]
    label_at = header.index("label")
    user_at, source_at = (header.index(key) if key in header else None for key in ("user_id", "source"))
    values: list[list[float]] = []
    labels: list[str] = []
    users: list[str] = []
    sources: list[str] = []
    for number, row in enumerate(rows, start=2):
        if not row:  # an empty line, at the end most often
            continue
        if len(row) != len(header):
            raise _fault(f"{name}: row {number}: {len(row)} columns, but the header has {len(header)}.")
        values.append(_numbers(name, number, header, places, row))
        labels.append(_label(name, number, row[label_at].strip()))
        users.append(row[user_at].strip() if user_at is not None else "")
        sources.append(row[source_at].strip() if source_at is not None else "")
    if not values:
        raise _fault(f"{name}: there are no rows below the header.")
    array = np.array(values, np.float64)
    points, depth = array[:, : len(COORDINATES)], array[:, len(COORDINATES) :]
    return _Part(
        points.reshape(-1, 21, 2),
        depth if has_depth else None,
        labels,
        np.array(users, np.str_),
        np.array(sources, np.str_),
    )


def _numbers(name: str, number: int, header: list[str], places: list[int], row: list[str]) -> list[float]:
    """Return the coordinates of a row in the order of `places`, or say which one is wrong."""
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


def _label(name: str, number: int, text: str) -> str:
    if not is_gesture_name(text):
        raise _fault(
            f"{name}: row {number}: column 'label': a gesture matches {NAME_PATTERN}, found {text!r}."
        )
    return text


def _fault(message: str) -> SettingsError:
    return SettingsError("data", message)
