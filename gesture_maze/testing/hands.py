"""Frames of a simulated hand, for tests of a game."""

from __future__ import annotations

from typing import Final

import numpy as np

from gesture_maze.simulator.players import PlayerHands
from gesture_maze.wire.frames import Frame
from gesture_maze.wire.gestures import LABELS

BEGIN_MS: Final = 1_700_000_000_000
SEED: Final = 7


def frames_of(
    gesture: str | None, session: str, *, count: int = 20, begin: int = 0, every_ms: int = 33
) -> list[Frame]:
    """Return frames of one still hand that shows a gesture, as a camera at 30 frames/s gives them.

    Args:
        gesture: name of a gesture of the bundled model; None is frames without a hand.
        session: session id.
        count: number of frames.
        begin: seq of the first one; frames that follow others of the session begin where those end.
        every_ms: time between two frames.

    Raises:
        KeyError: the gesture is unknown.
    """
    landmarks, aspect = None, 4 / 3
    if gesture is not None:
        shown = PlayerHands(1, SEED, 1000 / every_ms).step(0.0, np.array([LABELS[gesture]]))
        landmarks, aspect = shown.landmarks[0], float(shown.aspect[0])
    return [
        Frame(session, seq, BEGIN_MS + seq * every_ms, landmarks, aspect)
        for seq in range(begin, begin + count)
    ]
