"""Shadow: a challenger sees a share of the champion's frames, and what the two say is counted.

Counts by pair, as Redis keeps them in `{maze}:shadow:<champion>:<challenger>` (`worker.redis.registry.shadow_key`):

| field | frames in which |
|---|---|
| `frames` | both looked at a hand |
| `<gesture>><gesture>` | the champion said the first, the challenger the second; `like>like`: they agree |
| `action:<action>><action>` | the game would have been told something else; `none` where nothing |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from gesture_maze.wire.gestures import GESTURES, Action
from gesture_maze.wire.replies import CONFIDENCE_STEPS, MOVES
from gesture_maze.worker.serving.serving import Model

ACTIONS: Final = tuple(move or "none" for move in MOVES[:5])
"""Names of the action codes 0 to 4."""


@dataclass(frozen=True, slots=True, eq=False)
class Challenger:
    """A model on trial. Compared by identity.

    Attributes:
        model: what classifies, beside the champion.
        threshold: least confidence of an `action`, in thousandths.
        share: part of the frames that it sees, whole batches of them, 0 to 1.
    """

    model: Model
    threshold: int
    share: float

    @classmethod
    def of(cls, model: Model, threshold: float, share: float) -> Self:
        """A loaded model that acts from confidence `threshold`; that and `share` are 0 to 1."""
        return cls(model, round(threshold * CONFIDENCE_STEPS), share)


class Sample:
    """Chooses batches so that their frames are a share of all frames, and never more.

    By frames, not every tenth batch: batches come in rhythms (the first entry of a tick alone, then all the
    others), so that every second one may hold nine tenths of the frames. The same batches, the same sample.
    """

    def __init__(self) -> None:
        self._allowed = 0.0

    def take(self, frames: int, share: float) -> bool:
        """Whether the next batch, of so many frames, is in the sample of `share` (0 to 1)."""
        self._allowed += frames * share
        if self._allowed < frames:
            return False
        self._allowed -= frames
        return True


class Comparison:
    """What two models said of the same frames.

    Args:
        actions: gesture name -> action.
    """

    def __init__(self, actions: Mapping[str, Action]) -> None:
        self._action_of: Final = np.array([MOVES.index(actions.get(name)) for name in GESTURES])
        self.pairs = np.zeros((len(GESTURES), len(GESTURES)), np.int64)
        """(19, 19) frames by the champion's label and the challenger's."""
        self.moves = np.zeros((len(ACTIONS), len(ACTIONS)), np.int64)
        """(5, 5) frames by the champion's action code and the challenger's."""

    def add(
        self,
        labels: Sequence[npt.NDArray[np.int64]],
        steps: Sequence[npt.NDArray[np.int64]],
        thresholds: tuple[int, int],
    ) -> int:
        """Add n frames with a hand; in how many the labels agree.

        Args:
            labels: the champion's and the challenger's, each (n,), 0 to 18.
            steps: their confidences in thousandths, each (n,).
            thresholds: theirs, in thousandths.
        """
        self.pairs += _crossed(labels, len(GESTURES))
        codes = [
            np.where(sure >= threshold, self._action_of[said], 0)
            for said, sure, threshold in zip(labels, steps, thresholds, strict=True)
        ]
        self.moves += _crossed(codes, len(ACTIONS))
        return int(np.count_nonzero(labels[0] == labels[1]))

    def fields(self) -> dict[str, int]:
        """The counts as Redis keeps them, those that are not 0."""
        found = {"frames": int(self.pairs.sum())}
        for champion, challenger in np.argwhere(self.pairs).tolist():
            found[f"{GESTURES[champion]}>{GESTURES[challenger]}"] = int(self.pairs[champion, challenger])
        for champion, challenger in np.argwhere(self.moves).tolist():
            if champion != challenger:
                name = f"action:{ACTIONS[champion]}>{ACTIONS[challenger]}"
                found[name] = int(self.moves[champion, challenger])
        return found


def _crossed(codes: Sequence[npt.NDArray[np.int64]], size: int) -> npt.NDArray[np.int64]:
    """(size, size) how often each pair of codes, 0 to size - 1, occurs. Ten times as fast as `np.add.at`."""
    return np.bincount(codes[0] * size + codes[1], minlength=size * size).reshape(size, size)


@dataclass(frozen=True, slots=True)
class Trial:
    """A comparison as Redis keeps it, taken apart.

    Attributes:
        frames: hands that both looked at.
        pairs: (champion's gesture, challenger's) -> frames, most first.
        flips: (champion's action, challenger's) -> frames in which they differ, most first.
    """

    frames: int
    pairs: dict[tuple[str, str], int]
    flips: dict[tuple[str, str], int]

    @classmethod
    def of(cls, fields: Mapping[str, int]) -> Self:
        """From the fields of the hash; see the head of this file."""
        pairs: dict[tuple[str, str], int] = {}
        flips: dict[tuple[str, str], int] = {}
        for name, count in sorted(fields.items(), key=lambda field: -field[1]):
            champion, between, challenger = name.removeprefix("action:").partition(">")
            if between:
                (flips if name.startswith("action:") else pairs)[champion, challenger] = count
        return cls(fields.get("frames", 0), pairs, flips)

    @property
    def agreed(self) -> int:
        """Frames in which both said the same gesture."""
        return sum(count for (champion, challenger), count in self.pairs.items() if champion == challenger)
