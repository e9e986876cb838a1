"""Tables with one row per hand, or per pair of hands."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from gesture_maze.readers.columns import Columns, columns_of, normal, split
from gesture_maze.readers.hands import MAX_NUMBER, Hand, Points, Recording, Unit, data_error, unit_of
from gesture_maze.readers.roles import Roles
from gesture_maze.readers.text import Table, is_whole
from gesture_maze.wire.printable import amount

WITHOUT_HEADER: Final = ("keypoint", "keypoint-last", "numbers", "planar")
"""Layouts that can be forced on a table without a header, or with one that does not name the columns."""
_NUMERIC: Final = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?|nan", re.IGNORECASE)


def read_hand_table(table: Table, layout: str | None = None) -> Recording:
    """Read a table whose rows are hands.

    Args:
        table: the cells.
        layout: one of `WITHOUT_HEADER`, or None to use the header.

    Raises:
        SettingsError: `data`, naming row and column: there are no landmarks, a column is missing or occurs
        twice, a cell is not a number, a row is too short or too long.
    """
    has_header = not _is_numbers(table.rows[0])
    columns = None
    if has_header and layout not in WITHOUT_HEADER:
        columns = columns_of(table.name, table.rows[0])
        if columns is None:
            raise data_error(
                f"{table.name}: row 1: no landmarks found in columns {_listed(table.rows[0])}; expected "
                "x1, y1, ... x21, y21 (or x0, WRIST_x, 0_x, ...), see --layout"
            )
    if columns is None:
        columns = _by_position(table, int(has_header), layout)
    return _recording(table, columns, begin=int(has_header))


def _is_numbers(row: Sequence[str]) -> bool:
    """Return whether this is a row of a table without a header: numbers except for one cell, and not 0, 1, 2,
    ..."""
    numbers = [cell for cell in row if not cell or _NUMERIC.fullmatch(cell)]
    counting = sorted(int(cell) for cell in row if is_whole(cell))
    if len(counting) >= 42 and counting == list(range(counting[0], counting[0] + len(counting))):
        return False
    return len(numbers) >= max(len(row) - 1, 1)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(name[:24] for name in names[:8])
    return shown + (f", ... ({len(names)})" if len(names) > 8 else "")


def _by_position(table: Table, begin: int, layout: str | None) -> Columns:
    """Return the columns of a table whose header, if any, does not name them."""
    rows = table.rows[begin:]
    if not rows:
        raise data_error(f"{table.name}: there are no rows below the header")
    width = len(rows[0])
    label = None if width in (42, 63, 84, 126) else _label_column(rows, layout)
    numbers = [column for column in range(width) if column != label]
    hands = split(numbers, planar=layout == "planar")
    if hands is None:
        raise data_error(
            f"{table.name}: row {table.lines[begin]}: {amount(width, 'column')} without a header; expected "
            "42, 63, 84 or 126 numbers, and a label before or after them"
        )
    where = {None: "no label", 0: "label first"}.get(label, "label last")
    name = layout or {None: "numbers", 0: "keypoint"}.get(label, "keypoint-last")
    detail = f"no header, {where}, {amount(len(numbers), 'number')}"
    return Columns(name, detail, hands, {} if label is None else {"label": label})


def _label_column(rows: Sequence[Sequence[str]], layout: str | None) -> int:
    """Return the column of the label: the one with text, else the one with only whole numbers, else the
    first."""
    last = len(rows[0]) - 1
    if layout in ("keypoint", "keypoint-last"):
        return 0 if layout == "keypoint" else last
    for whole in (_is_text, is_whole):
        for column in (0, last):
            if all(len(row) > column and whole(row[column]) for row in rows):
                return column
    return 0


def _is_text(cell: str) -> bool:
    return not _NUMERIC.fullmatch(cell)


def _recording(table: Table, columns: Columns, begin: int) -> Recording:
    header = table.rows[0] if begin else []
    if len(table.rows) == begin:
        raise data_error(f"{table.name}: there are no rows below the header")
    width = len(table.rows[0])
    roles, hands = Roles(table, header, columns.roles, columns.used), []
    for number in range(begin, len(table.rows)):
        row = table.rows[number]
        if len(row) != width:
            message = f"{len(row)} columns, but {'the header' if begin else 'the first row'} has {width}"
            raise data_error(f"{table.name}: row {table.lines[number]}: {message}")
        hands += _hands(table, header, columns, number, roles)
    unit, reason = unit_of(hands)
    plain = reason == "0 to 1" or columns.layout == "isotropic"
    detail = columns.detail if plain else f"{columns.detail}, {reason}"
    if columns.layout == "isotropic":
        unit = Unit.ISOTROPIC
    notes = roles.notes(hands)
    return Recording(table.name, columns.layout, detail, unit, columns.depth, hands, notes)


def _hands(table: Table, header: Sequence[str], columns: Columns, number: int, roles: Roles) -> list[Hand]:
    """Return the hands of one row; a row without any is one frame without a hand."""
    found = []
    for side, points in columns.hands:
        values = _numbers(table, header, points, number)
        if values is not None and values.any():  # an absent hand is written as zeros
            found.append(roles.hand(number, values, side))
    if len(found) > 1:
        for hand in found:
            hand.frame = number if hand.frame is None else hand.frame
    return found or [roles.hand(number, None, "")]


def _numbers(table: Table, header: Sequence[str], points: list[list[int]], number: int) -> Points | None:
    """Return the coordinates of one hand, or None if all cells are empty or NaN."""
    row, places = table.rows[number], [column for point in points for column in point]
    cells = [row[column] for column in places]
    if all(not cell or cell.lower() == "nan" for cell in cells):
        return None
    try:
        values = [table.as_number(cell) for cell in cells]
        good = math.isfinite(sum(values)) and max(map(abs, values)) <= MAX_NUMBER
    except ValueError:
        good = False
    if not good:
        raise data_error(_bad_cell(table, header, places, number))
    found = np.zeros((len(points), 3))
    found[:, : len(points[0])] = np.reshape(values, (len(points), -1))
    return found


def _bad_cell(table: Table, header: Sequence[str], places: Sequence[int], number: int) -> str:
    """Return the sentence that names the first cell that is not a number."""
    for column in places:
        try:
            value = table.number(number, column)
        except ValueError:
            value = math.nan
        if not abs(value) <= MAX_NUMBER:
            name = header[column] if header else str(column + 1)
            cell = table.rows[number][column]
            return f"{table.name}: row {table.lines[number]}: column '{name}': {cell!r:.40} is not a number"
    raise AssertionError(normal(table.name))
