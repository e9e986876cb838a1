"""Gates before a model may answer: not slower than allowed, not worse than the champion."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import numpy as np

from gesture_maze.models.classifier import Classifier
from gesture_maze.models.evaluation import Evaluation
from gesture_maze.models.manifest import Manifest
from gesture_maze.models.timing import BATCH, microseconds_per_frame
from gesture_maze.wire.errors import ModelError

MAX_US_PER_FRAME: Final = 5.0
"""The default model takes 1 to 2 µs; with 5 µs one worker still answers 100,000 frames a second."""
MAX_DROP: Final = 0.002
"""Share by which accuracy and action precision may fall: another split of the same data changes them as
much."""


MAX_FALL: Final = 0.003
"""Share by which the accuracy of a taught model's base on its own gestures may fall."""
BASE_BEFORE: Final = "base_before"
BASE_AFTER: Final = "base_after"
"""Splits of a taught model's manifest: the base, and the taught model, on hands of the base's gestures."""


class GateReason(StrEnum):
    """Why a valid model is refused. Closed."""

    TOO_SLOW = "too_slow"
    """Its time per frame is above the limit."""
    LESS_ACCURATE = "less_accurate"
    """It is worse than the champion on the given data, or, according to its own figures, worse than its
    base."""


def check_speed(classifier: Classifier, limit_us: float) -> float:
    """Check the CPU time per frame in batches of 256, and return it in µs.

    Raises:
        ModelError: `too_slow`.
    """
    rng = np.random.default_rng(0)
    landmarks, aspect = rng.random((BATCH, 21, 3), np.float32), np.ones(BATCH, np.float32)

    def run(batch: int) -> object:
        return classifier.classify(landmarks[:batch], aspect[:batch])

    took_us = microseconds_per_frame(run, BATCH)
    if took_us > limit_us:
        message = (
            f"model {classifier.version} takes {took_us:.2f} µs per frame in batches of {BATCH}; "
            f"at most {limit_us:g} are allowed (--max-us-per-frame); run it again if the "
            "machine is busy"
        )
        raise ModelError(GateReason.TOO_SLOW, message)
    return took_us


def check_accuracy(candidate: Evaluation, champion: Evaluation, max_drop: float) -> None:
    """Compare two models on the same data.

    Raises:
        ModelError: `less_accurate`: accuracy or action precision falls by more than `max_drop` (0 to 1).
    """
    pairs = {
        "accuracy": (candidate["accuracy"], champion["accuracy"]),
        "action precision": (candidate["action"]["precision"], champion["action"]["precision"]),
    }
    for name, (found, wanted) in pairs.items():
        # without any action there is no precision, which counts as worse than any value
        if wanted is not None and (found is None or found < wanted - max_drop):
            shown = "none" if found is None else f"{found:.4f}"
            message = (
                f"model {candidate['model']} has {name} {shown} on {candidate['rows']} rows, the champion "
                f"{champion['model']} {wanted:.4f}; at most {max_drop:g} less is allowed (--max-drop)"
            )
            raise ModelError(GateReason.LESS_ACCURATE, message)


def check_base(manifest: Manifest, max_fall: float = MAX_FALL) -> None:
    """Check that a taught model keeps the accuracy of its base, by the figures of its training.

    Raises:
        ModelError: `less_accurate`: the accuracy fell by more than `max_fall` (0 to 1).
    """
    before, after = (manifest.evaluation.get(name) for name in (BASE_BEFORE, BASE_AFTER))
    if before is None or after is None or before.accuracy - after.accuracy <= max_fall:
        return
    fall = 100 * (before.accuracy - after.accuracy)
    message = (
        f"teaching {manifest.model_version} cost its base {fall:.2f} points of accuracy on its own gestures "
        f"({before.rows:,} hands); at most {100 * max_fall:g} are accepted (--max-fall)"
    )
    raise ModelError(GateReason.LESS_ACCURATE, message)
