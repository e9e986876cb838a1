"""Drawings of gestures that no simulated hand shows: the median of the hands that taught them. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

Coordinate = Annotated[float, Field(ge=-8.0, le=8.0)]
Drawing = Annotated[list[tuple[Coordinate, Coordinate, Coordinate]], Field(min_length=21, max_length=21)]
"""21 landmarks of a right hand, as MediaPipe would report them in a picture of 4 by 3."""

LEAST_HANDS: Final = 5
"""Least number of hands for a median: with fewer, it would show the hand of one picture."""
ASPECT: Final = 4 / 3
CENTRE: Final = (0.5, 0.42)
SIZE: Final = 0.55
"""Larger side of the drawn hand, as a share of the picture's height."""
DECIMALS: Final = 3


def median_hand(
    points: NDArray[np.float64],
    depth: NDArray[np.floating[Any]] | None = None,
    left: NDArray[np.bool_] | None = None,
) -> Drawing | None:
    """Return the median of n hands of one gesture, or None if there are fewer than `LEAST_HANDS`.

    The hands are moved to one place, size, direction and side first, because the median of hands that
    lean to both sides would have short fingers.

    Args:
        points: (n, 21, 2), isotropic, y down.
        depth: (n, 21), z in the same unit; None for a flat drawing.
        left: (n,) which are left hands; None if unknown.
    """
    if len(points) < LEAST_HANDS:
        return None
    found = np.zeros((len(points), 21, 3))
    found[:, :, :2] = points
    if depth is not None:
        found[:, :, 2] = depth
    found -= found[:, :1]
    along, across = found[:, 9, :2], found[:, 5, :2] - found[:, 17, :2]
    size = np.maximum(np.hypot(along[:, 0], along[:, 1]) + np.hypot(across[:, 0], across[:, 1]), 1e-9)
    found /= size[:, None, None]
    side = np.sign(across[:, 0] * along[:, 1] - across[:, 1] * along[:, 0])
    if left is not None:
        found[left, :, 0] *= -1
        side[left] *= -1
    # palm and back: the side that most hands show
    found[side * np.sign(side.sum() or 1) < 0, :, 0] *= -1
    angle = np.arctan2(found[:, 9, 1], found[:, 9, 0])
    mean = np.arctan2(np.sin(angle).mean(), np.cos(angle).mean())
    cos, sin = np.cos(mean - angle), np.sin(mean - angle)
    turned = np.stack([np.stack([cos, -sin], 1), np.stack([sin, cos], 1)], 1)
    found[:, :, :2] = np.einsum("nij,npj->npi", turned, found[:, :, :2])
    return _placed(np.median(found, axis=0))


def _placed(hand: NDArray[np.float64]) -> Drawing:
    """Return a hand (21, 3) in the middle of the picture."""
    low, high = hand[:, :2].min(axis=0), hand[:, :2].max(axis=0)
    hand = hand * (SIZE / max(float((high - low).max()), 1e-9))
    low, high = hand[:, :2].min(axis=0), hand[:, :2].max(axis=0)
    hand[:, :2] -= (low + high) / 2
    hand[:, [0, 2]] /= ASPECT
    hand[:, :2] += CENTRE
    rounded: Drawing = [(x, y, z) for x, y, z in hand.round(DECIMALS).tolist()]
    return rounded
