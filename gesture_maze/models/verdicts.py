"""Verdicts on single rows of a data set: labels that a person has reviewed.

A CSV with the columns `row`, `label` and `verdict`; others (such as `why`) are ignored. `row` counts the data
rows of the CSV that was judged, from 0, or of the first one if several are read; `label` is the label
there, as a check that the verdicts belong to the file; `verdict` is `keep`, `exclude` or `relabel:<gesture>`.

Usually only rows that models missed are reviewed. Wrong labels that a model agrees with are not found, so
figures on adjudicated labels are slightly too good. They are a basis for thresholds, not for a ranking of
models.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gesture_maze.models.dataset import Dataset
from gesture_maze.wire.errors import SettingsError

BIAS: Final = (
    "Only rows that models missed were adjudicated, so wrong labels that a model agrees with still count as "
    "right: these figures flatter, and are no ranking of models."
)
"""The note in every report that shows adjudicated figures."""

KEEP: Final = "keep"
EXCLUDE: Final = "exclude"
RELABEL: Final = "relabel:"


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Verdicts on rows of one data set."""

    relabelled: Mapping[int, int]
    """Row -> label, a place in the data set's `gestures`."""
    excluded: frozenset[int]
    """Rows whose label cannot be determined."""
    kept: frozenset[int]
    """Rows whose label was confirmed."""

    def summary(self) -> dict[str, object]:
        """Return the number of rows by verdict, and the bias of the figures."""
        return {
            "relabelled": len(self.relabelled),
            "excluded": len(self.excluded),
            "kept": len(self.kept),
            "bias": BIAS,
        }

    def apply(
        self, rows: NDArray[np.int64], labels: NDArray[np.int64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Return which of `rows` (n,) count, as a mask (n,), and the labels (n,) after the verdicts.

        Args:
            rows: of the data set.
            labels: the labels given to them.
        """
        counts = np.array([row not in self.excluded for row in rows.tolist()], np.bool_)
        judged = [
            self.relabelled.get(row, label) for row, label in zip(rows.tolist(), labels.tolist(), strict=True)
        ]
        return counts, np.array(judged, np.int64)


def read_verdicts(path: Path, data: Dataset) -> Verdicts:
    """Return the verdicts in the CSV at `path` on rows of `data`.

    Raises:
        SettingsError: `data`, naming file and row: the file cannot be read, a column is missing, a verdict is
            unknown or given twice, or the label is not the one in `data` (it is another file's verdicts).
    """
    relabelled: dict[int, int] = {}
    excluded: set[int] = set()
    kept: set[int] = set()
    for number, entry in enumerate(_entries(path), start=2):
        where = f"{path.name}: row {number}"
        row, verdict = _row(where, entry, data), entry["verdict"].strip()
        if row in relabelled or row in excluded or row in kept:
            raise _fault(f"{where}: duplicate verdict on row {row}")
        if verdict == KEEP:
            kept.add(row)
        elif verdict == EXCLUDE:
            excluded.add(row)
        elif verdict.startswith(RELABEL) and verdict.removeprefix(RELABEL) in data.gestures:
            relabelled[row] = data.gestures.index(verdict.removeprefix(RELABEL))
        else:
            raise _fault(
                f"{where}: verdict must be keep, exclude or relabel:<gesture of the data>, got {verdict!r}"
            )
    return Verdicts(relabelled, frozenset(excluded), frozenset(kept))


def _entries(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            entries = list(reader)
            missing = [name for name in ("row", "label", "verdict") if name not in (reader.fieldnames or ())]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _fault(f"cannot read {path}: {error}") from None
    if missing:
        raise _fault(f"{path.name}: row 1: column '{missing[0]}' is missing")
    return entries


def _row(where: str, entry: dict[str, str], data: Dataset) -> int:
    text = entry["row"].strip()
    row = int(text) if text.isdecimal() else -1
    if not 0 <= row < len(data):
        raise _fault(f"{where}: 'row' must be an integer from 0 to {len(data) - 1}, found {text!r}")
    label, found = entry["label"].strip(), data.gestures[data.labels[row]]
    if label != found:
        raise _fault(
            f"{where}: row {row} is labelled {label} here and {found} in {', '.join(data.names)}; "
            "these verdicts belong to another file"
        )
    return row


def _fault(message: str) -> SettingsError:
    return SettingsError("data", message)
