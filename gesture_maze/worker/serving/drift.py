"""Drift: how far the model's outputs for live frames are from its outputs for held-out hands.

The population stability index compares two distributions over the same B bins:

    PSI = sum over bins of (live - baseline) * ln(live / baseline)

After N. Siddiqi, Credit Risk Scorecards (Wiley, 2006), whose rule of thumb is in `MODERATE` and `LARGE`. Why
small samples look like drift is in B. Yurdakul and J. Naranjo, Statistical properties of the population
stability index, Journal of Risk Model Validation 14(4), 2020: without any drift PSI is on average
(B - 1) * (1/n + 1/m) for n live and m baseline observations.

A player holds a gesture for many frames, so frames are not independent: with few sessions the index moves.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from gesture_maze.models.manifest import Baseline
from gesture_maze.wire.gestures import GESTURES
from gesture_maze.wire.replies import CONFIDENCE_STEPS

MODERATE: Final = 0.10
"""Below this, no relevant change."""
LARGE: Final = 0.25
"""From this on, the population differs, and the figures of the manifest may not apply."""
FLOOR: Final = 1e-4
"""Share that an empty bin counts as, because log(0) is undefined. With a lower value one rare bin
dominates."""
WINDOW_S: Final = 600.0
SLOTS: Final = 60
"""Number of time slots in the window."""
MIN_FRAMES: Final = 1000
"""With fewer frames the index is mostly noise: at 1,000 the gestures give 18 / 1000 = 0.018 without any
drift."""

OF: Final = ("gestures", "confidence")
"""The distributions that are compared: the mix of gestures, and the histogram of confidences."""


def psi(live: npt.NDArray[np.float64], baseline: npt.NDArray[np.float64]) -> float:
    """Return the population stability index of two histograms: 0 if equal, NaN if one of them is empty.

    Args:
        live, baseline: (B,) counts or shares, not negative; each is scaled to a sum of 1.
    """
    if not (live.sum() > 0 and baseline.sum() > 0):
        return float("nan")
    now = np.maximum(live / live.sum(), FLOOR)
    then = np.maximum(baseline / baseline.sum(), FLOOR)
    return float(np.sum((now - then) * np.log(now / then)))


class Drift:
    """The last ten minutes of one model, against its baseline.

    Args:
        baseline: from the manifest; None (or an empty one) makes every index NaN.
        gestures: the model's gestures, by label.
    """

    def __init__(self, baseline: Baseline | None, gestures: Sequence[str] = GESTURES) -> None:
        mix = {} if baseline is None else baseline.gesture_mix
        histogram = () if baseline is None else baseline.confidence_histogram
        self._mix: Final = np.array([mix.get(name, 0.0) for name in gestures])
        self._histogram: Final = np.array(histogram, np.float64)
        self._slots: Final[deque[tuple[int, npt.NDArray[np.int64], npt.NDArray[np.int64]]]] = deque()
        """(number of the slot, (gestures,) frames by label, (bins,) frames by confidence), oldest first."""

    def add(self, labels: npt.NDArray[np.int64], steps: npt.NDArray[np.int64], now_s: float) -> None:
        """Count n frames with a hand: labels (n,), confidences (n,) in thousandths."""
        slot = int(now_s / WINDOW_S * SLOTS)
        if not self._slots or self._slots[-1][0] != slot:
            self._slots.append((slot, np.zeros(self._mix.size, np.int64), np.zeros(self._bins, np.int64)))
        _, mix, histogram = self._slots[-1]
        mix += np.bincount(labels, minlength=self._mix.size)
        # the top bin holds 1.0 as well, as numpy's histograms do
        at = np.minimum(steps * self._bins // CONFIDENCE_STEPS, self._bins - 1)
        histogram += np.bincount(at, minlength=self._bins)

    def indices(self, now_s: float) -> dict[str, float]:
        """Return the PSI of the window that ends now, by the names in `OF`.

        It is NaN with fewer than `MIN_FRAMES` frames, or without a baseline.
        """
        oldest = int(now_s / WINDOW_S * SLOTS) - SLOTS
        while self._slots and self._slots[0][0] <= oldest:
            self._slots.popleft()
        mix = np.sum([slot[1] for slot in self._slots] or [self._mix * 0], axis=0)
        if mix.sum() < MIN_FRAMES:
            return dict.fromkeys(OF, float("nan"))
        histogram = np.sum([slot[2] for slot in self._slots], axis=0)
        confidence = psi(histogram, self._histogram) if self._histogram.size else float("nan")
        return {"gestures": psi(mix, self._mix), "confidence": confidence}

    @property
    def _bins(self) -> int:
        return max(self._histogram.size, 1)
