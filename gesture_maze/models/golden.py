"""Golden hands: synthetic landmarks with the outputs a model gave for them when it was exported.

They are checked wherever the model is loaded, so a runtime that gives other results is noticed before the
first frame. They are synthetic on purpose: a bundle contains no person's hand.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gesture_maze.models.hands import Hands
from gesture_maze.models.labels import MAX_LABELS

TOLERANCE: Final = 1e-3
"""Largest accepted difference of a probability. CPUs sum in different orders and keep about 1e-6; a wrong
weight, a lost layer or another aspect rule changes far more than 1e-3."""

MAX_HANDS: Final = 1024
"""Most golden hands of one bundle; the self-test runs them all at each start."""

Predict = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]
"""landmarks (n, 21, 3), aspect (n,) -> probabilities (n, k), all float32."""


@dataclass(frozen=True, slots=True)
class Golden:
    """n synthetic hands and the probabilities that the exported model gave."""

    landmarks: NDArray[np.float32]
    """(n, 21, 3), in units of image width, image height, image width."""
    aspect: NDArray[np.float32]
    """(n,), width / height."""
    probabilities: NDArray[np.float32]
    """(n, k)."""

    @classmethod
    def from_json(cls, data: bytes) -> Golden:
        """Read `golden.json`.

        Raises:
            ValueError: it is not JSON, or its shapes or values are invalid.
        """
        try:
            raw = json.loads(data)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        if not isinstance(raw, dict):
            raise ValueError("it is not a JSON object")  # noqa: TRY004 - one kind of error for bad content
        landmarks, aspect, probabilities = (
            _finite(raw, key) for key in ("landmarks", "aspect", "probabilities")
        )
        n = len(aspect) if aspect.ndim == 1 else 0
        if not 1 <= n <= MAX_HANDS:
            raise ValueError(f"it must hold 1 to {MAX_HANDS} hands")
        classes = probabilities.shape[-1] if probabilities.ndim == 2 else 0
        if landmarks.shape != (n, 21, 3) or len(probabilities) != n or not 2 <= classes <= MAX_LABELS:
            raise ValueError("its arrays do not fit together")
        return cls(landmarks, aspect, probabilities)

    def to_json(self) -> bytes:
        """Return the content of `golden.json`; reading it gives the same float32 values."""
        content = {
            "landmarks": _short(self.landmarks),
            "aspect": _short(self.aspect),
            "probabilities": _short(self.probabilities),
        }
        return json.dumps(content, separators=(",", ":")).encode()

    def worst_difference(self, probabilities: NDArray[np.float32]) -> float:
        """Return the largest absolute difference from the expected probabilities; NaN counts as infinite."""
        difference = float(np.max(np.abs(probabilities - self.probabilities)))
        return difference if np.isfinite(difference) else float("inf")


def make_golden(hands: Hands, predict: Predict) -> Golden:
    """Return golden hands from synthetic `hands`, with what `predict` gives for them.

    The inputs are rounded to 5 decimals first, a hundredth of a pixel, to keep the file short.
    """
    landmarks = np.round(hands.landmarks, 5).astype(np.float32)
    aspect = np.round(hands.aspect, 5).astype(np.float32)
    return Golden(landmarks, aspect, predict(landmarks, aspect))


def _finite(raw: dict[str, Any], key: str) -> NDArray[np.float32]:
    try:
        array = np.asarray(raw.get(key), dtype=np.float32)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{key} is not an array of numbers") from None
    if not np.isfinite(array).all():
        raise ValueError(f"{key} holds a number that is not finite")
    return array


def _short(array: NDArray[np.float32]) -> Any:
    """Return nested lists of numbers with the fewest digits that give the same float32."""
    text = np.char.mod("%.7g", array.astype(np.float64))
    return np.array(text, dtype=np.float64).tolist()
