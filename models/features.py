"""Features of a hand that do not depend on where it is, how large it is, or which of the two it is.

Only x and y are used: the unit of z differs between the sources of data (and some have none), so a model that
used it would have to trust a number whose meaning it cannot check.

Step by step, for one hand (the graph of a bundle does the same, see `models.graph`):

1. **Aspect** undone: x times width / height, so that x and y are in one unit, the image's height.
2. **Translation** removed: the wrist (landmark 0) is the origin, 20 points remain.
3. **Mirroring** removed, exactly: where the turn from the index knuckle (5) to the little finger's knuckle
   (17), seen from the wrist, is negative, x is negated. A left hand gives the features of the right hand that
   is its mirror image, whatever the flag of the frame or the camera says.
4. **Scale** removed: the 40 numbers are divided by their Euclidean norm. All 20 points share in it, so one
   misplaced landmark moves it little, unlike the length of a single bone.

Rotation in the image is kept: `like` and `dislike` differ by it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FEATURE_VERSION: Final = 1
"""Raised with any change of the numbers below."""

HALF: Final = 20
"""Points per coordinate: all but the wrist."""

FEATURES: Final = 2 * HALF
"""Features per hand: x of landmarks 1 to 20, then y of the same."""

WRIST: Final = 0
INDEX_KNUCKLE: Final = 5
LITTLE_KNUCKLE: Final = 17


def features(landmarks: NDArray[Any], aspect: NDArray[Any] | float = 1.0) -> NDArray[np.float64]:
    """Return the features (n, 40) float64 of n hands, each row of unit length.

    Args:
        landmarks: (n, 21, 2 or more), x and y first; z, if there, is not looked at.
        aspect: (n,) or one number for all: width / height of the image; 1.0 if x and y have one unit.

    A hand whose points all coincide gives zeros.
    """
    points = np.asarray(landmarks, np.float64)[:, :, :2]
    x = (points[:, 1:, 0] - points[:, :1, 0]) * np.reshape(aspect, (-1, 1))
    y = points[:, 1:, 1] - points[:, :1, 1]
    index, little = INDEX_KNUCKLE - 1, LITTLE_KNUCKLE - 1
    turn = x[:, index] * y[:, little] - x[:, little] * y[:, index]
    x = np.where(turn[:, None] < 0.0, -x, x)
    joined = np.concatenate([x, y], axis=1)
    norm = np.linalg.norm(joined, axis=1, keepdims=True)
    return np.divide(joined, norm, out=np.zeros_like(joined), where=norm > 0.0)


def centring_matrix() -> NDArray[np.float64]:
    """Return the (63, 44) matrix that takes flat landmarks to wrist-centred coordinates.

    Columns: x of landmarks 1 to 20, y of the same, then again x and y of the index knuckle and of the little
    finger's knuckle, from which the mirroring is decided. The rows of z are zero.
    """
    wanted = [(point, axis) for axis in (0, 1) for point in range(1, 21)]
    wanted += [(point, axis) for point in (INDEX_KNUCKLE, LITTLE_KNUCKLE) for axis in (0, 1)]
    matrix = np.zeros((63, len(wanted)))
    for column, (point, axis) in enumerate(wanted):
        matrix[3 * point + axis, column] = 1.0
        matrix[3 * WRIST + axis, column] = -1.0
    return matrix
