"""Read landmark files of any layout: the one reader of convert, classify, evaluate, train and teach.

The layout is found by the header or by the keys; `describe` reports what was found. See `LAYOUTS` for the
names that `--layout` takes, and docs/data.md for samples of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gesture_maze.readers.columns import normal
from gesture_maze.readers.hands import (
    Hand,
    Recording,
    data_error,
    isotropic,
    looks_normalised,
    with_aspects,
)
from gesture_maze.readers.labels import map_labels, names_of_numbers, read_label_map
from gesture_maze.readers.parquet import read_parquet
from gesture_maze.readers.results import read_json
from gesture_maze.readers.tables import WITHOUT_HEADER, read_hand_table
from gesture_maze.readers.text import Table, decoded, is_whole, read_bytes, read_table
from gesture_maze.readers.tidy import is_tidy, read_tidy
from gesture_maze.wire.gestures import GESTURES

LAYOUTS: Final[dict[str, str]] = {
    "isotropic": "columns x1,y1[,z1] to x21,y21 in one unit (such as pixels)",
    "xyz": "columns x0,y0[,z0] to x20,y20",
    "planar": "columns x0 to x20, then y0 to y20 [, then z0 to z20]",
    "point-axis": "columns 0_x,0_y[,0_z] to 20_x,20_y",
    "numbered": "columns 0 to 41 (or 62, 83, 125)",
    "joints": "columns WRIST_x, WRIST.y, THUMB_CMC_x, ...",
    "two-hands": "columns left_x0 to right_z20; an absent hand is all zeros",
    "keypoint": "no header, the label first, then 42, 63, 84 or 126 numbers",
    "keypoint-last": "no header, the label last",
    "numbers": "no header, no label, 42, 63, 84 or 126 numbers",
    "tidy": "one row per landmark: frame, hand, landmark, x, y, z (CSV or parquet)",
    "hagrid": "HaGRID annotations, v1 or v2",
    "tasks": "MediaPipe Tasks results of JavaScript or Python",
    "legacy": "MediaPipe legacy results: multiHandLandmarks",
    "keypoints": "results with keypoints, as TensorFlow.js gives them",
    "frames": "objects with landmarks",
    "hands": "lists of 21 points",
    "capture": "a capture, or frames of the wire",
}
"""Name of a layout -> what it looks like."""
SUFFIXES: Final = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".txt", ".parquet")
"""Suffixes of files that are read, before `.gz` or `.zst`."""


def plain_suffix(path: Path) -> str:
    """Return the suffix of a file's name without `.gz` or `.zst`, in lower case."""
    name = Path(path.stem) if path.suffix.lower() in (".gz", ".zst") else path
    return name.suffix.lower()


def read_recording(path: Path, *, layout: str | None = None, aspect: float | None = None) -> Recording:
    """Read one file of landmarks; every hand gets its aspect.

    Args:
        path: `.gz` and `.zst` are unpacked; parquet needs the extra `parquet`.
        layout: a name of `LAYOUTS`, instead of the detected one; None detects it.
        aspect: image width / height, instead of the file's own; None keeps the file's.

    Raises:
        SettingsError: `data`, naming the file and the row or item: the layout is unknown or does not match, a
            value is wrong, or the coordinates are normalised and the aspect is not known.
    """
    _check_layout(layout)
    if plain_suffix(path) == ".parquet":
        return _finished(_of_table(read_parquet(path), layout), layout, aspect)
    return read_text(path.name, decoded(path.name, read_bytes(path)), layout=layout, aspect=aspect)


def read_text(name: str, text: str, *, layout: str | None = None, aspect: float | None = None) -> Recording:
    """Read landmarks from text; see `read_recording`.

    Args:
        name: of the file, for errors.
        text: JSON, JSON lines or a delimited table.
        layout: see `read_recording`.
        aspect: see `read_recording`.
    """
    _check_layout(layout)
    if not text.strip():
        raise data_error(f"{name}: the file is empty")
    is_json = text.lstrip()[0] in "[{"
    found = read_json(name, text) if is_json else _of_table(read_table(name, text), layout)
    return _finished(found, layout, aspect)


def _check_layout(layout: str | None) -> None:
    if layout is not None and layout not in LAYOUTS:
        raise data_error(f"--layout must be one of {', '.join(LAYOUTS)}, got {layout}")


def _of_table(table: Table, layout: str | None) -> Recording:
    if layout == "tidy" or (layout is None and is_tidy(table.rows[0])):
        if not is_tidy(table.rows[0]):
            raise data_error(f"{table.name}: row 1: the columns frame, landmark, x and y are needed")
        return read_tidy(table)
    named = layout in WITHOUT_HEADER and not any(normal(name) == "x0" for name in table.rows[0])
    return read_hand_table(table, layout if named else None)


def _finished(found: Recording, layout: str | None, aspect: float | None) -> Recording:
    if layout is not None and found.layout != layout:
        raise data_error(
            f"{found.name}: --layout {layout}, but the file is {found.layout}: {LAYOUTS[found.layout]}"
        )
    unsaid = aspect is None and any(hand.aspect is None for hand in found.hands)
    if found.layout == "isotropic" and unsaid and looks_normalised(found.hands):
        found.notes.append(
            "warning: they look normalised by the image's size; if they are, give --aspect 640x480"
        )
    return with_aspects(found, aspect)


@dataclass(frozen=True, slots=True)
class Labelled:
    """n labelled hands of one or more files.

    Attributes:
        points: (n, 21, 3) float64 in one unit for all axes, y down; z is 0 where `depth` is False.
        labels: n names of gestures.
        users, sources: n texts; empty if the file does not say.
        files: place in the paths of each hand's file.
        places: file and row of each, for errors.
        depth: whether all files have z.
        report: lines to print: what was found, and how labels were mapped.
    """

    points: NDArray[np.float64]
    labels: list[str]
    users: list[str]
    sources: list[str]
    files: list[int]
    places: list[str]
    depth: bool
    report: list[str]

    def __len__(self) -> int:
        """Return the number of hands."""
        return len(self.labels)


def read_labelled(
    paths: Sequence[Path],
    *,
    layout: str | None = None,
    aspect: float | None = None,
    labels: Path | None = None,
    known: Sequence[str] = GESTURES,
) -> Labelled:
    """Read files of labelled hands; rows without a hand or with a label that the map drops are left out.

    Args:
        paths: of any layout.
        layout: see `read_recording`.
        aspect: see `read_recording`.
        labels: a map of labels, see `readers.labels`; it also gives labels to files that have none, by their
            names.
        known: names of gestures, to which other projects' names are mapped.

    Raises:
        SettingsError: `data`: see `read_recording`; also if there are no labels or no labelled hands.
    """
    given = None if labels is None else read_label_map(labels)
    hands: list[tuple[int, Hand]] = []
    report: list[str] = []
    depth = True
    for file, path in enumerate(paths):
        recording = read_recording(path, layout=layout, aspect=aspect)
        report.append(recording.describe())
        depth = depth and recording.depth
        hands += [(file, hand) for hand in _with_labels(path, recording, given, report)]
    mapped = map_labels((hand.label for _, hand in hands), known, given)
    kept = [(file, hand) for file, hand in hands if mapped.names[hand.label] is not None]
    if not kept:
        raise data_error(f"{', '.join(path.name for path in paths)}: there are no labelled hands")
    return Labelled(
        points=isotropic([hand for _, hand in kept]),
        labels=[mapped.names[hand.label] or "" for _, hand in kept],
        users=[hand.user for _, hand in kept],
        sources=[hand.source for _, hand in kept],
        files=[file for file, _ in kept],
        places=[f"{paths[file].name}: row {hand.row}" for file, hand in kept],
        depth=depth,
        report=[*report, *mapped.describe()],
    )


def _with_labels(
    path: Path, recording: Recording, given: dict[str, str] | None, report: list[str]
) -> list[Hand]:
    """Return the hands of a file, each with a label that is a name."""
    hands = recording.shown()
    if given is not None:
        by_file = given.get(path.name, given.get(path.stem, ""))
        for hand in hands:
            hand.label = hand.label or by_file
    bare = [hand for hand in hands if not hand.label]
    if bare:
        raise data_error(
            f"{path.name}: row {bare[0].row}: no label: name a column 'label', or give --labels map.csv "
            f"with a line '{path.name},like'"
        )
    if hands and all(is_whole(hand.label) for hand in hands):
        named = None if given is not None else names_of_numbers(path, (hand.label for hand in hands))
        missing = sorted({hand.label for hand in hands} - set(given or ()), key=int)
        if named is None and missing:
            numbers = ", ".join(missing[:8])
            raise data_error(
                f"{path.name}: the labels are numbers without names ({numbers}): give them with "
                "--labels map.csv, lines '0,palm', or one name a line from 0"
            )
        if named is not None:
            beside, names = named
            for hand in hands:
                hand.label = names.get(hand.label, hand.label)
            report.append(f"names of the numbers from {beside.name}")
    return hands
