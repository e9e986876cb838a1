"""Features of a hand that do not depend on where it is, how large it is, or which of the two it is.

Only x and y are used: the unit of z differs between the sources of data (and some have none), so a model that
used it would have to trust a number whose meaning it cannot check.

Step by step, for one hand (the graph of a bundle does the same, see `models.onnx.graph`):

1. **Aspect** undone: x times width / height, so that x and y are in one unit, the image's height.
2. **Translation** removed: the mean of the 21 landmarks is the origin. (The wrist as origin was measured and
   is worse: its error would affect every number.)
3. **Mirroring** removed, exactly: if the turn from the index knuckle (5) to the little finger's knuckle
   (17), seen from the wrist (0), is negative, x is negated. A left hand gives the features of the right hand
   that is its mirror image, whatever the flag of the frame or the camera says.
4. **Scale** removed: the 42 coordinates are divided by their Euclidean norm, which depends on all landmarks,
    so that one misplaced landmark changes it little, unlike the length of a single bone.
5. **Distances** added, 25 of them, between the normalised landmarks: they do not change when the hand turns
    in the image, and show directly which fingers are bent, apart, or touched by the thumb.

Rotation in the image is kept in the coordinates: `like` and `dislike` differ by it.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FEATURE_VERSION: Final = 2
"""Incremented with any change of the numbers below."""

POINTS: Final = 21
WRIST: Final = 0
THUMB_TIP: Final = 4
INDEX_KNUCKLE: Final = 5
LITTLE_KNUCKLE: Final = 17
TIPS: Final = (4, 8, 12, 16, 20)
KNUCKLES: Final = (5, 9, 13, 17)

PAIRS: Final[tuple[tuple[int, int], ...]] = (
    *combinations(TIPS, 2),  # fingers apart, crossed, or touching: ok, peace or two_up, palm or stop
    *((tip, WRIST) for tip in TIPS),  # fingers stretched or bent
    *((THUMB_TIP, knuckle) for knuckle in KNUCKLES),  # where the thumb lies: four or palm, three or two_up
    *zip(TIPS[1:], KNUCKLES, strict=True),  # bent, even where the finger points at the camera
    (8, 6),
    (12, 10),  # the outer halves of index and middle finger
)
"""Landmarks between which a distance is taken."""

COORDINATES: Final = 2 * POINTS
FEATURES: Final = COORDINATES + len(PAIRS)
"""Features per hand: x of landmarks 0 to 20, y of the same, then the distances of `PAIRS`."""

INPUT_GAIN: Final = 10**0.5
"""Factor on the features in training, afterwards part of the weights: it brings them to about 0.5 each, a
size at which the first steps of the optimiser are neither too small nor too large."""


def features(landmarks: NDArray[Any], aspect: NDArray[Any] | float = 1.0) -> NDArray[np.float64]:
    """Return the features (n, FEATURES) float64 of n hands; the coordinates of a row have unit length.

    Args:
        landmarks: (n, 21, 2 or more), x and y first; z is ignored.
        aspect: (n,) or one number for all: width / height of the image; 1.0 if x and y have one unit.

    A hand whose points all coincide gives zeros.
    """
    points = np.array(landmarks[:, :, :2], np.float64)
    points[:, :, 0] *= np.reshape(aspect, (-1, 1))
    to_index = points[:, INDEX_KNUCKLE] - points[:, WRIST]
    to_little = points[:, LITTLE_KNUCKLE] - points[:, WRIST]
    turn = to_index[:, 0] * to_little[:, 1] - to_little[:, 0] * to_index[:, 1]
    points[:, :, 0] *= np.where(turn < 0.0, -1.0, 1.0)[:, None]
    points -= points.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(points, axis=(1, 2))[:, None, None]
    points = np.divide(points, norm, out=np.zeros_like(points), where=norm > 0.0)
    first, second = np.array(PAIRS).T
    distances = np.linalg.norm(points[:, first] - points[:, second], axis=2)
    return np.concatenate([points[:, :, 0], points[:, :, 1], distances], axis=1)


def centring_matrix() -> NDArray[np.float64]:
    """Return the (63, 46) matrix that maps flat landmarks to centred coordinates.

    Columns: x of landmarks 0 to 20 about their mean, y of the same, then, about the wrist, the factors of the
    turn that decides the mirroring: x of the index knuckle, x and y of the little finger's, y of the index
    knuckle. The rows of z are zero.
    """
    matrix = np.zeros((3 * POINTS, COORDINATES + 4))
    for axis in (0, 1):
        columns = slice(axis * POINTS, (axis + 1) * POINTS)
        matrix[axis::3, columns] = np.eye(POINTS) - 1.0 / POINTS
    factors = ((INDEX_KNUCKLE, 0), (LITTLE_KNUCKLE, 0), (LITTLE_KNUCKLE, 1), (INDEX_KNUCKLE, 1))
    for column, (point, axis) in enumerate(factors, start=COORDINATES):
        matrix[3 * point + axis, column] = 1.0
        matrix[3 * WRIST + axis, column] = -1.0
    return matrix


def difference_matrix() -> NDArray[np.float64]:
    """Return the (42, 58) matrix from coordinates (x, then y) to differences over `PAIRS` (x, then y)."""
    matrix = np.zeros((COORDINATES, 2 * len(PAIRS)))
    for column, (first, second) in enumerate(PAIRS):
        for axis in (0, 1):
            matrix[axis * POINTS + first, axis * len(PAIRS) + column] = 1.0
            matrix[axis * POINTS + second, axis * len(PAIRS) + column] = -1.0
    return matrix
