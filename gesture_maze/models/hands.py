"""Hands as frames carry them: arrays of landmarks and aspects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Hands:
    """n hands without labels."""

    landmarks: NDArray[np.float32]
    """(n, 21, 3), x and y in units of the image's width and height, z in units of its width."""
    aspect: NDArray[np.float32]
    """(n,), width / height."""

    def __len__(self) -> int:
        return len(self.aspect)

    @property
    def points(self) -> NDArray[np.float64]:
        """(n, 21, 2), isotropic, in units of the image's height."""
        points = self.landmarks[:, :, :2].astype(np.float64)
        points[:, :, 0] *= self.aspect[:, None]
        return points
