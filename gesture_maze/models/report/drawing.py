"""Pictures as SVG text: hands, confusion matrix, reliability curve. Each is self-contained."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gesture_maze.models.judged import Bin
from gesture_maze.wire.printable import amount

INK: Final = "#1f2430"
PALE: Final = "#8a93a6"
LINE: Final = "#dfe3ec"
BLUE: Final = "#2f6fed"
RED: Final = "#d6453d"

FINGERS: Final = (
    ("#e4572e", (0, 1, 2, 3, 4)),
    ("#f0a202", (5, 6, 7, 8)),
    ("#2a9d5c", (9, 10, 11, 12)),
    ("#2f6fed", (13, 14, 15, 16)),
    ("#8e44ad", (17, 18, 19, 20)),
)
"""Colour and landmarks of each finger, thumb first."""
PALM: Final = (0, 5, 9, 13, 17, 0)

_FONT: Final = "font-family='system-ui, sans-serif'"
_CELL: Final = 30
"""Width of a cell of the matrix, in user units."""


def hand_svg(points: NDArray[Any], size: int = 96) -> str:
    """Return the drawing of a hand.

    Args:
        points: (21, 2), isotropic, y down.
        size: width and height, in pixels.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    span = float((high - low).max()) or 1.0
    places = 50.0 + 84.0 * (points - (low + high) / 2) / span
    bones = [_bones(places, PALM, PALE, 2.2)]
    bones += [_bones(places, chain, colour, 4.0) for colour, chain in FINGERS]
    dots = "".join(
        f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{3.4 if k == 0 else 2.4}' fill='{INK}'/>"
        for k, (x, y) in enumerate(places)
    )
    return _svg(100, 100, "".join(bones) + dots, "a hand", width=size, height=size)


def matrix_svg(counts: NDArray[np.int64], gestures: Sequence[str]) -> str:
    """Return a drawn confusion matrix (k, k) of `gestures`, truth in rows, without those that never occur."""
    used = np.flatnonzero(counts.sum(axis=0) + counts.sum(axis=1)).tolist()
    shown = counts[np.ix_(used, used)]
    left, top, n = 130, 118, len(used)
    shares = shown / np.maximum(shown.sum(axis=1, keepdims=True), 1)
    parts = []
    for k, label in enumerate(used):
        name, middle = escape(gestures[label]), (k + 0.5) * _CELL
        parts.append(_text(left - 8, top + middle + 4, name, anchor="end"))
        parts.append(
            f"<g transform='translate({left + middle + 4:.0f} {top - 8}) rotate(-60)'>{_text(0, 0, name)}</g>"
        )
    parts += [
        _cell(left + column * _CELL, top + row * _CELL, int(shown[row, column]), float(shares[row, column]),
              row == column)
        for row in range(n)
        for column in range(n)
    ]  # fmt: skip
    parts.append(_text(8, 16, "truth in rows, answers in columns", colour=PALE))
    return _svg(left + n * _CELL + 50, top + n * _CELL + 8, "".join(parts), "confusion matrix")


def reliability_svg(bins: Sequence[Bin]) -> str:
    """Return the reliability curve, with the number of predictions per bin below it."""
    side, left, top = 260, 52, 14
    parts = [f"<rect x='{left}' y='{top}' width='{side}' height='{side}' fill='#fff' stroke='{LINE}'/>"]
    for tenth in range(0, 11, 2):
        x, y = left + side * tenth / 10, top + side * (1 - tenth / 10)
        parts.append(_text(left - 8, y + 4, f"{tenth / 10:.1f}", anchor="end", colour=PALE))
        parts.append(_text(x, top + side + 16, f"{tenth / 10:.1f}", anchor="middle", colour=PALE))
        parts.append(_line(left, y, left + side, y, LINE) + _line(x, top, x, top + side, LINE))
    parts.append(_line(left, top + side, left + side, top, PALE, "stroke-dasharray='5 4'"))
    known = [one for one in bins if one.n]
    places = [(left + side * one.confidence, top + side * (1 - one.accuracy)) for one in known]
    curve = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts.append(f"<polyline points='{curve}' fill='none' stroke='{BLUE}' stroke-width='2.5'/>")
    parts += [
        f"<circle cx='{x:.1f}' cy='{y:.1f}' r='4' fill='{BLUE}'><title>{_tip(one)}</title></circle>"
        for one, (x, y) in zip(known, places, strict=True)
    ]
    base, height = top + side + 88, 52
    most = max((one.n for one in bins), default=1) or 1
    for one in bins:
        # square roots, because one large bin would hide all others
        tall = height * (one.n / most) ** 0.5
        parts.append(
            f"<rect x='{left + side * one.low + 1:.1f}' y='{base - tall:.1f}' "
            f"width='{side * (one.high - one.low) - 2:.1f}' height='{tall:.1f}' fill='{BLUE}' opacity='0.35'>"
            f"<title>{_tip(one)}</title></rect>"
        )
    parts.append(_line(left, base, left + side, base, PALE))
    parts.append(
        _text(left + side / 2, base + 18, "confidence (bars: hands, by root)", anchor="middle", colour=PALE)
    )
    label = _text(0, 0, "share that is right", anchor="middle", colour=PALE)
    parts.append(f"<g transform='translate(14 {top + side / 2:.0f}) rotate(-90)'>{label}</g>")
    return _svg(left + side + 12, base + 28, "".join(parts), "reliability curve")


def gallery_svg(hands: Sequence[tuple[NDArray[Any], str]], columns: int = 6) -> str:
    """Return drawn hands in rows, each (21, 2) with a line of text below."""
    wide, tall = 120, 130
    parts = [
        f"<g transform='translate({wide * (k % columns) + 10} {tall * (k // columns) + 4})'>"
        f"{hand_svg(points, 100)}{_text(50, 116, escape(words), anchor='middle')}</g>"
        for k, (points, words) in enumerate(hands)
    ]
    rows = -(-len(hands) // columns)
    return _svg(wide * min(columns, max(len(hands), 1)), max(tall * rows, 1), "".join(parts), "hands")


def _tip(one: Bin) -> str:
    return f"{amount(one.n, 'hand')} at confidence {one.confidence:.3f}: {one.accuracy:.1%} right"


def _bones(places: NDArray[Any], chain: Sequence[int], colour: str, width: float) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places[list(chain)])
    return (
        f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='{width}' "
        f"stroke-linecap='round' stroke-linejoin='round'/>"
    )


def _cell(x: float, y: float, count: int, share: float, agrees: bool) -> str:
    """Return one cell: blue where truth and answer agree, else red; paler where there are fewer hands."""
    # at least a tenth, so that single mistakes are visible beside hundreds of right answers
    depth = 0.0 if not count else (0.12 + 0.88 * share if agrees else min(1.0, 0.18 + 4 * share))
    box = (
        f"<rect x='{x:.0f}' y='{y:.0f}' width='{_CELL - 1}' height='{_CELL - 1}' rx='3' fill='#f4f6fa'/>"
        f"<rect x='{x:.0f}' y='{y:.0f}' width='{_CELL - 1}' height='{_CELL - 1}' rx='3' "
        f"fill='{BLUE if agrees else RED}' opacity='{depth:.2f}'/>"
    )
    if not count:
        return box
    colour = "#fff" if depth > 0.5 else INK
    return box + _text(x + _CELL / 2, y + _CELL / 2 + 4, str(count), anchor="middle", colour=colour, size=10)


def _text(x: float, y: float, words: str, *, anchor: str = "start", colour: str = INK, size: int = 12) -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' fill='{colour}' font-size='{size}' {_FONT}>"
        f"{words}</text>"
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, more: str = "") -> str:
    return f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' stroke='{colour}' {more}/>"


def _svg(
    wide: float, tall: float, content: str, title: str, *, width: int | None = None, height: int | None = None
) -> str:
    size = f"width='{width or round(wide)}' height='{height or round(tall)}'"
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {wide:.0f} {tall:.0f}' {size} role='img' "
        f"aria-label='{title}'>{content}</svg>"
    )
