"""The columns of a table beside the coordinates: label, person, time, side, aspect and others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gesture_maze.readers.columns import ROLES, normal
from gesture_maze.readers.hands import Hand, Points, data_error
from gesture_maze.readers.text import Table, is_whole

SECONDS: Final = ("time_s", "timestamp", "time")
"""Time columns whose unit is detected from the distance between values."""


def side_of(text: str) -> str:
    """Return `left`, `right` or nothing from a file's text about the side of a hand."""
    word = text.strip().lower()
    for side in ("left", "right"):
        if word.startswith(side) or word == side[0]:
            return side
    return ""


class Roles:
    """Reader of the cells of a row that are not coordinates.

    Args:
        table: the cells.
        header: names of the columns; empty without a header.
        roles: role of a column -> its number.
        used: columns of coordinates.
    """

    def __init__(self, table: Table, header: Sequence[str], roles: dict[str, int], used: set[int]) -> None:
        self._table: Final = table
        self._header: Final = header
        self._roles: Final = dict(roles)
        self._prefer_names()
        named = set(self._roles.values()) | used
        self._others: Final = [
            (name, column) for column, name in enumerate(header) if column not in named and name
        ]

    def hand(self, number: int, points: Points | None, side: str) -> Hand:
        """Return the hand of a row.

        Args:
            number: of the row, from 0.
            points: (21, 3), or None for a frame without a hand.
            side: the side in the column names.
        """
        row = self._table.rows[number]
        return Hand(
            points,
            label=self._text(row, "label"),
            user=self._text(row, "user"),
            source=self._text(row, "source"),
            sequence=self._text(row, "sequence"),
            frame=self._whole(number, "frame"),
            time_ms=self._number(number, "time"),
            side=side or side_of(self._text(row, "side")),
            aspect=self._aspect(number),
            row=self._table.lines[number],
            extra={name: row[column] for name, column in self._others if row[column]},
        )

    def notes(self, hands: list[Hand]) -> list[str]:
        """Convert times to ms if they are in seconds, and return notes about the columns."""
        found = []
        at = self._roles.get("time")
        if at is not None and normal(self._header[at]) in SECONDS and _in_seconds(hands):
            for hand in hands:
                hand.time_ms = None if hand.time_ms is None else hand.time_ms * 1000
            found.append(f"{self._header[at]} in seconds")
        label = self._header[self._roles["label"]] if "label" in self._roles and self._header else "label"
        if label != "label":
            found.append(f"label from {label}")
        return found

    def _prefer_names(self) -> None:
        """Use another label column if the best one holds numbers and the other one names."""
        at = self._roles.get("label")
        if at is None or len(self._table.rows) < 2 or not self._header:
            return
        first = self._table.rows[1]
        names = [normal(name) for name in self._header]
        for name in ROLES["label"]:
            other = names.index(name) if name in names else at
            if len(first) > max(at, other) and is_whole(first[at]) and not is_whole(first[other]):
                self._roles["label"] = other
                return

    def _text(self, row: Sequence[str], role: str) -> str:
        at = self._roles.get(role)
        return "" if at is None or at >= len(row) else row[at]

    def _number(self, number: int, role: str) -> float | None:
        text = self._text(self._table.rows[number], role)
        if not text:
            return None
        try:
            return self._table.as_number(text)
        except ValueError:
            name = self._header[self._roles[role]]
            message = f"row {self._table.lines[number]}: column '{name}': {text!r:.40} is not a number"
            raise data_error(f"{self._table.name}: {message}") from None

    def _whole(self, number: int, role: str) -> int | None:
        found = self._number(number, role)
        return None if found is None else round(found)

    def _aspect(self, number: int) -> float | None:
        aspect = self._number(number, "aspect")
        if aspect is None:
            width, height = self._number(number, "width"), self._number(number, "height")
            aspect = width / height if width and height else None
        if aspect is not None and not 0.01 <= aspect <= 100:
            message = f"row {self._table.lines[number]}: the aspect must be from 0.01 to 100, got {aspect:g}"
            raise data_error(f"{self._table.name}: {message}")
        return aspect


def _in_seconds(hands: Sequence[Hand]) -> bool:
    """Return whether the times are so close together that they must be in seconds."""
    times: list[Any] = sorted({hand.time_ms for hand in hands if hand.time_ms is not None})
    return len(times) > 1 and (times[-1] - times[0]) / (len(times) - 1) < 2
