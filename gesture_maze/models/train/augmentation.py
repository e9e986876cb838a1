"""Altered copies of hands for training, as from other people, cameras and detectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Spread:
    """How far copies vary, each the standard deviation of a normal distribution.

    Mirroring is not among them: the features of a hand and of its mirror image are the same numbers.
    """

    rotation_deg: float = 12.0
    """In the image plane, in degrees. Far more would turn one gesture into another."""
    stretch: float = 0.07
    """Of the logarithm of the factor on x (the factor on y is its inverse): a wrong aspect, or a hand turned
    away."""
    jitter: float = 0.015
    """Of each coordinate, in units of the root mean square distance of the landmarks from the wrist."""


def augmented(points: NDArray[Any], rng: np.random.Generator, spread: Spread) -> NDArray[np.float64]:
    """Return one altered copy of each hand.

    Args:
        points: (n, 21, 2), isotropic.
        rng: source of random numbers.
        spread: how far they vary.

    Returns:
        (n, 21, 2) float64, about the wrist.
    """
    n = len(points)
    about_wrist = np.asarray(points, np.float64) - points[:, :1]
    factor = np.exp(rng.normal(0.0, spread.stretch, n))
    stretched = about_wrist * np.stack([factor, 1.0 / factor], axis=1)[:, None, :]
    turned = rotated(stretched, rng.normal(0.0, spread.rotation_deg, n))
    size = np.sqrt(np.mean(np.sum(turned**2, axis=2), axis=1))[:, None, None]
    result: NDArray[np.float64] = turned + rng.normal(0.0, spread.jitter, turned.shape) * size
    return result


def rotated(points: NDArray[Any], angle_deg: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Return the hands `points` (n, 21, 2) turned in the image plane by `angle_deg`, one number or (n,)."""
    angle = np.radians(np.broadcast_to(angle_deg, len(points)))
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, y = points[:, :, 0], points[:, :, 1]
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=2)


def random_walks(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return `n` random walks of 21 points, (n, 21, 2): a chain of bones that is not a hand."""
    steps: NDArray[np.float64] = rng.normal(size=(n, 21, 2))
    return steps.cumsum(axis=1)
