"""Which coordinate of which landmark each input column of an old model is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

POINTS: Final = 21
WIDTHS: Final = (2 * POINTS, 3 * POINTS)
"""x and y, or x, y and z of each landmark."""

_NAME: Final = re.compile(r"([xyz])_?(\d{1,2})", re.IGNORECASE)


class Layout(StrEnum):
    """The order of columns that have no names."""

    INTERLEAVED = "interleaved"
    """x1, y1, (z1,) x2, ..."""
    PLANAR = "planar"
    """x1, x2, ..., y1, y2, ..."""


def column_places(width: int, names: Sequence[str], layout: Layout) -> list[int]:
    """Return, for each column, its place among the 63 values x1, y1, z1, x2, ... of a hand.

    Args:
        width: number of columns, 42 or 63.
        names: of the columns, such as `x1` or `y_20` (counted from 0 or 1); empty if they have none.
        layout: the order, if the columns have no names.

    Raises:
        ValueError: the width is wrong, or the names are of another kind or not one per coordinate.
    """
    if width not in WIDTHS:
        raise ValueError(f"expected 42 or 63 values per hand, found {width}")
    axes = width // POINTS
    if not names or all(name.isdecimal() for name in names):
        if layout is Layout.PLANAR:
            return [3 * point + axis for axis in range(axes) for point in range(POINTS)]
        return [3 * point + axis for point in range(POINTS) for axis in range(axes)]
    found = [_NAME.fullmatch(name) for name in names]
    parts = [(int(one[2]), "xyz".index(one[1].lower())) for one in found if one]
    first = min((point for point, _ in parts), default=0)
    places = [3 * (point - first) + axis for point, axis in parts]
    wanted = {3 * point + axis for point in range(POINTS) for axis in range(axes)}
    if len(places) != width or set(places) != wanted:
        raise ValueError(f"the columns {', '.join(names[:4])}, ... are not x1, y1, ... of 21 landmarks")
    return places
