"""Tables with one row per landmark: a hand is 21 rows of one frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from gesture_maze.readers.columns import joint, normal, roles_of
from gesture_maze.readers.hands import LANDMARKS, MAX_NUMBER, Hand, Recording, data_error, unit_of
from gesture_maze.readers.roles import Roles
from gesture_maze.readers.text import Table
from gesture_maze.wire.printable import amount

NEEDED: Final = ("frame", "landmark", "x", "y")
"""Columns that such a table must have."""
OTHER_PARTS: Final = ("pose", "face")
"""Rows of a whole body's landmarks that are not of a hand."""


def is_tidy(header: Sequence[str]) -> bool:
    """Return whether a table with this header has one row per landmark."""
    roles = roles_of(header, set())
    return all(role in roles for role in NEEDED)


def read_tidy(table: Table) -> Recording:
    """Read a table with one row per landmark.

    Hands are distinguished by frame, hand and sequence. Sequences keep the order of their first rows, and the
    hands of one are by frame, whatever the order of the rows. A hand whose coordinates are all missing counts
    as no hand.

    Raises:
        SettingsError: `data`, naming the row or the frame: a cell is not a number, a landmark is missing or
        occurs twice.
    """
    header = table.rows[0]
    roles = roles_of(header, set())
    # x, y, z and landmark belong to one row, everything else to the hand
    own = {name: at for name, at in roles.items() if name not in ("landmark", "x", "y", "z")}
    used = {roles[name] for name in ("landmark", "x", "y", "z") if name in roles}
    reader = Roles(table, header, own, used | _identifiers(header))
    hands = [_hand(table, roles, reader, numbers) for numbers in _rows_of_hands(table, own)]
    if not hands:
        raise data_error(f"{table.name}: there are no rows of a hand")
    hands = _by_frame(hands)
    unit, reason = unit_of(hands)
    detail = f"one row per landmark, {header[roles['landmark']]}, {header[roles['x']]}, {header[roles['y']]}"
    detail = detail if reason == "0 to 1" else f"{detail}, {reason}"
    return Recording(table.name, "tidy", detail, unit, "z" in roles, hands, reader.notes(hands))


def _rows_of_hands(table: Table, own: dict[str, int]) -> list[list[int]]:
    """Return the rows of each hand, in the order of their first rows."""
    header = table.rows[0]
    grouped: dict[tuple[str, ...], list[int]] = {}
    keys = [own[name] for name in ("source", "sequence", "frame", "side") if name in own]
    for number in range(1, len(table.rows)):
        row = table.rows[number]
        if len(row) != len(header):
            message = f"{amount(len(row), 'column')}, but the header has {len(header)}"
            raise data_error(f"{table.name}: row {table.lines[number]}: {message}")
        if "side" in own and row[own["side"]].lower() in OTHER_PARTS:
            continue
        grouped.setdefault(tuple(row[at] for at in keys), []).append(number)
    return list(grouped.values())


def _by_frame(hands: list[Hand]) -> list[Hand]:
    sequences: dict[tuple[str, str], list[Hand]] = {}
    for hand in hands:
        sequences.setdefault((hand.source, hand.sequence), []).append(hand)
    numbered = all(hand.frame is not None for hand in hands)
    return [
        hand
        for found in sequences.values()
        for hand in (sorted(found, key=lambda one: one.frame or 0) if numbered else found)
    ]


def _identifiers(header: Sequence[str]) -> set[int]:
    """Return columns that number the rows, such as those of Google's isolated signs."""
    return {at for at, name in enumerate(header) if normal(name) in ("row_id", "index", "id", "")}


def _hand(table: Table, roles: dict[str, int], reader: Roles, numbers: list[int]) -> Hand:
    axes = [roles[name] for name in ("x", "y", "z") if name in roles]
    points = np.full((LANDMARKS, 3), np.nan)
    base = 0 if any(_is_zero(table.rows[number][roles["landmark"]]) for number in numbers) else 1
    for number in numbers:
        row = table.rows[number]
        place = _landmark(row[roles["landmark"]], base)
        if place is None or not np.isnan(points[place, 2]):
            fault = "is not one of 21" if place is None else "is there more than once in its frame and hand"
            cell = row[roles["landmark"]]
            raise data_error(f"{table.name}: row {table.lines[number]}: landmark {cell!r:.40} {fault}")
        points[place] = 0.0
        points[place, : len(axes)] = [_cell(table, number, at) for at in axes]
    if np.isnan(points[:, :2]).all():
        return reader.hand(numbers[0], None, "")
    if np.isnan(points).any():
        place = int(np.argwhere(np.isnan(points))[0, 0])
        message = f"row {table.lines[numbers[0]]}: the hand that begins here has no landmark {place}"
        raise data_error(f"{table.name}: {message}")
    return reader.hand(numbers[0], points if points.any() else None, "")


def _is_zero(cell: str) -> bool:
    return joint(cell) is not None or cell.strip() in ("0", "0.0")


def _landmark(cell: str, base: int) -> int | None:
    place = joint(cell)
    if place is None:
        try:
            place = int(float(cell)) - base
        except (ValueError, OverflowError):
            return None
    return place if 0 <= place < LANDMARKS else None


def _cell(table: Table, number: int, at: int) -> float:
    text = table.rows[number][at]
    if not text or text.lower() in ("nan", "none", "null"):
        return math.nan
    try:
        value = table.as_number(text)
    except ValueError:
        value = math.inf
    if not abs(value) <= MAX_NUMBER:
        message = f"row {table.lines[number]}: {text!r:.40} is not a number"
        raise data_error(f"{table.name}: {message}")
    return value
