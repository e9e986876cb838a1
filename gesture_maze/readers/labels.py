"""Map names of gestures in files to the names that a model has, with suggestions for the rest. Pure, except
for reading a map.

`thumbs_up` is `like`, `Open Palm` is `palm`. What is mapped is always shown, and a file of `from,to` lines
overrides it. An unknown name is kept: it may be a gesture of the user's own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from gesture_maze.readers.hands import data_error
from gesture_maze.readers.text import decoded, is_whole, read_bytes, read_table
from gesture_maze.wire.printable import amount

SYNONYMS: Final[dict[str, tuple[str, ...]]] = {
    "like": ("thumbs_up", "thumb_up", "thumbsup", "thumbup", "good"),
    "dislike": ("thumbs_down", "thumb_down", "thumbsdown", "thumbdown", "bad"),
    "palm": ("open_palm", "open_hand", "open", "palm_open", "high_five", "five"),
    "fist": ("closed_fist", "closed", "close", "closed_hand"),
    "one": ("pointing_up", "point_up", "pointer", "point", "pointing", "index"),
    "peace": ("victory", "v_sign", "peace_sign", "two"),
    "ok": ("okay", "ok_sign", "okey"),
    "call": ("call_me", "phone", "shaka"),
    "mute": ("silence", "quiet", "shh"),
    "rock": ("rock_on", "horns", "devil_horns"),
    "stop": ("stop_sign", "halt"),
    "no_gesture": ("none", "nothing", "no_hand", "background", "neutral", "unknown", "negative"),
}
"""A gesture and its names in other projects, including MediaPipe's own recogniser."""
_OF: Final = {other: name for name, others in SYNONYMS.items() for other in others}
DROPPED: Final = ("", "-", "skip", "drop")
"""Values of a map that leave out the rows of a label."""
CLOSE: Final = 0.75
"""Least similarity (`difflib`) of a suggestion."""
_HEADER: Final = {"from", "to", "label", "name", "gesture", "class", "id", "number", "file"}


@dataclass(frozen=True, slots=True)
class LabelMap:
    """The mapping of a file's labels.

    Attributes:
        names: label as written -> gesture; None leaves its rows out.
        changed: label, gesture, rows: those whose name changes.
        own: label, rows, suggestion: names that no known gesture has; the suggestion may be empty.
    """

    names: dict[str, str | None]
    changed: list[tuple[str, str, int]]
    own: list[tuple[str, int, str]]

    def describe(self) -> list[str]:
        """Return lines to print: what is mapped, and what is unknown."""
        lines = []
        if self.changed:
            shown = ", ".join(f"{label} -> {name} ({rows:,})" for label, name, rows in self.changed)
            lines.append(f"labels: {shown}; --labels map.csv overrides")
        dropped = [label for label, name in self.names.items() if name is None]
        if dropped:
            lines.append(f"labels left out: {', '.join(sorted(dropped))}")
        for label, rows, suggestion in self.own:
            hint = f"; did you mean {suggestion}?" if suggestion else ""
            lines.append(f"label {label} ({amount(rows, 'row')}) is not a known gesture and is kept{hint}")
        return lines


def canonical(label: str) -> str:
    """Return a label in the form of gesture names: `Thumbs Up` and `thumbs-up` are `thumbs_up`."""
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", label).lower()).strip("_")


def map_labels(
    labels: Iterable[str], known: Sequence[str], given: Mapping[str, str] | None = None
) -> LabelMap:
    """Map each label to a gesture.

    Args:
        labels: as written, one per row.
        known: names of gestures.
        given: label -> gesture, which overrides everything else, or number -> label; one of `DROPPED` leaves
            its rows out.
    """
    counts = Counter(labels)
    chosen = {canonical(label): gesture for label, gesture in (given or {}).items()}
    names: dict[str, str | None] = {}
    changed, own = [], []
    for label, rows in counts.items():
        plain = canonical(label)
        name = chosen.get(plain)
        if name is not None and name.strip().lower() in DROPPED:
            names[label] = None
        elif name is not None and not is_whole(plain):
            names[label] = canonical(name)
        else:  # a number's name is a label like any other
            plain = plain if name is None else canonical(name)
            synonym = _OF.get(plain, "")
            names[label] = plain if plain in known or synonym not in known else synonym
        found = names[label]
        if found is not None and found != label:
            changed.append((label, found, rows))
        if found is not None and found not in known:
            own.append((found, rows, next(iter(get_close_matches(found, known, 1, CLOSE)), "")))
    return LabelMap(names, sorted(changed), sorted(own))


def read_label_map(path: Path) -> dict[str, str]:
    """Read a map of labels.

    The file has lines `from,to`, or one name a line for the labels 0, 1, 2, ... A header is ignored.

    Raises:
        SettingsError: `data`, if it cannot be read or names a label twice.
    """
    name = path.name
    text = decoded(name, read_bytes(path))
    if not text.strip():
        raise data_error(f"{name}: the file is empty")
    rows = [[cell for cell in row if cell] for row in read_table(name, text).rows]
    if len(rows) > 1 and canonical(rows[0][0]) in _HEADER:
        rows = rows[1:]
    if all(len(row) == 1 for row in rows):
        return {str(number): row[0] for number, row in enumerate(rows)}
    found: dict[str, str] = {}
    for row in rows:
        if row[0] in found:
            raise data_error(f"{name}: {row[0]} appears more than once")
        found[row[0]] = row[1] if len(row) > 1 else ""
    return found


def names_beside(path: Path) -> Path | None:
    """Return the file of names beside a table with numbers for labels, as keypoint.csv has one; or None."""
    for pattern in (f"{path.stem}_label*.csv", f"{path.stem}*label*.csv", "keypoint_classifier_label.csv"):
        found = sorted(one for one in path.parent.glob(pattern) if one != path)
        if found:
            return found[0]
    return None


def names_of_numbers(path: Path, labels: Iterable[str]) -> tuple[Path, dict[str, str]] | None:
    """Return the file of names beside a table and number -> name, if all `labels` are numbers; else None."""
    found = list(labels)
    beside = names_beside(path) if found and all(map(is_whole, found)) else None
    return None if beside is None else (beside, read_label_map(beside))
