"""Hands as a reader finds them in a file, and the unit of their coordinates. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.printable import amount

LANDMARKS: Final = 21
MAX_NUMBER: Final = 1e9
"""The same as on the wire: a larger coordinate is an error."""
PIXELS: Final = 4.0
"""A hand with a coordinate beyond this is in pixels: normalised ones stay near 0 to 1."""
MOST: Final = 0.9
"""A file is in pixels if more than this share of its hands is: a few outliers do not decide."""
ROUNDING: Final = 2e-3
"""Tolerance around 1 of a largest coordinate, within which a hand counts as divided by its largest
coordinate."""

Points = NDArray[np.float64]
"""(21, 3): x, y and z of each landmark; z is 0 if the file has none."""


def data_error(sentence: str) -> SettingsError:
    """Return the error to raise for a fault of a data file, with the reason `data`."""
    return SettingsError("data", sentence)


class Unit(StrEnum):
    """The unit of x and y in a file."""

    NORMALISED = "normalised"
    """x in image widths, y in image heights; the image's aspect is needed."""
    ISOTROPIC = "isotropic"
    """One unit for both axes: pixels, or a scaled hand."""
    STATED = "stated"
    """Each frame states its aspect, or leaves it out if it is 1, as on the wire."""


ASK_FOR_ASPECT: Final = (
    "give --aspect 640x480 (or 4:3, or 1.3333); --aspect 1 only if both axes have one unit"
)
"""End of the error about coordinates without an aspect; pages have a field instead of a flag."""


ONE_ASPECT: Final = (
    "warning: HaGRID's pictures differ in size; width and height in each annotation, without --aspect, "
    "give every picture its own"
)


@dataclass(slots=True)
class Hand:
    """One hand of a file, or a frame without one.

    Attributes:
        points: (21, 3) float64; None is a frame without a hand.
        label: as written in the file; empty if there is none.
        user: who shows it; empty if the file does not say.
        source: where the row comes from; empty if the file does not say.
        sequence: the recording within the file; empty if there is only one.
        frame: number of the picture within the sequence; None if a hand is a picture of its own.
        time_ms: when it was captured; None if the file does not say.
        side: `left`, `right`, or empty.
        aspect: image width / height as the file says; None if it does not.
        row: line of a table (the header is 1), or item of a list, from 1.
        extra: further keys of a JSON object or columns of a table.
    """

    points: Points | None
    label: str = ""
    user: str = ""
    source: str = ""
    sequence: str = ""
    frame: int | None = None
    time_ms: float | None = None
    side: str = ""
    aspect: float | None = None
    row: int = 0
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recording:
    """What one file holds.

    Attributes:
        name: of the file, without folders.
        layout: name of the layout, one of `readers.read.LAYOUTS`.
        detail: how the layout was detected.
        unit: of x and y.
        depth: whether there is a z.
        hands: in the order of the file.
        notes: further lines to print.
    """

    name: str
    layout: str
    detail: str
    unit: Unit
    depth: bool
    hands: list[Hand]
    notes: list[str] = field(default_factory=list)

    def shown(self) -> list[Hand]:
        """Return the entries with a hand."""
        return [hand for hand in self.hands if hand.points is not None]

    def describe(self) -> str:
        """Return one line that says what was found."""
        shown = len(self.shown())
        missing = len(self.hands) - shown
        parts = [
            f"{self.name}: {self.layout} ({self.detail})",
            amount(shown, "hand") + (f", {amount(missing, 'frame')} without one" if missing else ""),
            f"{self.unit} coordinates" + ("" if self.depth else " without z"),
            *self.notes,
        ]
        return "; ".join(parts)


def unit_of(hands: Sequence[Hand]) -> tuple[Unit, str]:
    """Return the unit that the coordinates suggest, and the reason.

    Coordinates beyond `PIXELS` in most hands are pixels. A wrist at 0, 0 in every hand with 1 as the largest
    coordinate is the scaling of keypoint.csv, which is done on pixels. Everything else counts as normalised.
    """
    shown = [hand.points for hand in hands if hand.points is not None]
    if not shown:
        return Unit.NORMALISED, "no hand"
    plane = np.stack(shown)[:, :, :2]
    largest = np.abs(plane).max(axis=(1, 2))
    if (largest > PIXELS).mean() > MOST:
        return Unit.ISOTROPIC, "pixels"
    if not plane[:, 0].any() and (np.abs(largest - 1) < ROUNDING).all():
        return Unit.ISOTROPIC, "wrist at 0, 0 and scaled to 1"
    return Unit.NORMALISED, "0 to 1"


def looks_normalised(hands: Sequence[Hand]) -> bool:
    """Return whether every coordinate is within an image measured by its width and height."""
    shown = [hand.points for hand in hands if hand.points is not None]
    if not shown:
        return False
    plane = np.stack(shown)[:, :, :2]
    return bool(plane.min() >= -0.5 and plane.max() <= 1.5 and plane[:, 0].any() and plane.min() > -0.2)


def with_aspects(recording: Recording, aspect: float | None) -> Recording:
    """Give every hand its aspect: `aspect`, else the file's, else 1 if the unit is isotropic.

    Args:
        recording: its hands are changed.
        aspect: image width / height, which overrides the file; None keeps what the file says.

    Raises:
        SettingsError: `data`, if the coordinates are normalised and neither says the aspect.
    """
    for hand in recording.hands:
        if aspect is not None:
            hand.aspect = aspect
        elif hand.aspect is None:
            if recording.unit is Unit.NORMALISED and hand.points is not None:
                raise data_error(
                    f"{recording.name}: {recording.layout}: x and y are normalised by the image's width and "
                    f"height, and the file does not say what those are: {ASK_FOR_ASPECT}"
                )
            hand.aspect = 1.0
    if aspect is not None:
        recording.notes.append(f"aspect {aspect:.4g} as given")
        if recording.layout == "hagrid" and len({hand.source for hand in recording.hands}) > 1:
            recording.notes.append(ONE_ASPECT)
    return recording


def isotropic(hands: Sequence[Hand]) -> NDArray[np.float64]:
    """Return the points (n, 21, 3) of hands that have one and an aspect, in units of the image height."""
    points = np.stack([hand.points for hand in hands if hand.points is not None])
    aspects = np.array([hand.aspect or 1.0 for hand in hands if hand.points is not None])
    scale = np.stack([aspects, np.ones(len(aspects)), aspects], axis=1)
    found: NDArray[np.float64] = points * scale[:, None, :]
    return found
