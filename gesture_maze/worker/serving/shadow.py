"""Shadow: a challenger classifies a share of the champion's frames, and both results are counted.

Counts by pair, as Redis keeps them in `{maze}:shadow:<champion>:<challenger>`
(`worker.redis.registry.shadow_key`):

| field | frames in which |
|---|---|
| `frames` | both classified a hand |
| `<gesture>><gesture>` | the champion found the first, the challenger the second; in `like>like` they agree |
| `action:<action>><action>` | the two actions differ; `none` is no action |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from gesture_maze.wire.gestures import PUBLISHED, Action, LabelSet
from gesture_maze.wire.replies import CONFIDENCE_STEPS, MOVES
from gesture_maze.worker.serving.serving import Model, action_codes

ACTIONS: Final = tuple(move or "none" for move in MOVES[:5])
"""Names of the action codes 0 to 4."""


@dataclass(frozen=True, slots=True, eq=False)
class Challenger:
    """A model on trial. Compared by identity.

    Attributes:
        model: classifies in addition to the champion.
        threshold: least confidence of an `action`, in thousandths.
        share: part of the frames that it classifies, in whole batches, 0 to 1.
        labels: its gestures.
        needs_z: whether it uses z, so that it does not classify batches with compact landmarks.
        actions: gesture name -> action; None for the champion's.
    """

    model: Model
    threshold: int
    share: float
    labels: LabelSet = PUBLISHED
    needs_z: bool = False
    actions: Mapping[str, Action] | None = None

    @classmethod
    def of(
        cls,
        model: Model,
        threshold: float,
        share: float,
        labels: LabelSet = PUBLISHED,
        *,
        needs_z: bool = False,
        actions: Mapping[str, Action] | None = None,
    ) -> Self:
        """Return a challenger that acts from confidence `threshold`. `threshold` and `share` are 0 to 1."""
        return cls(model, round(threshold * CONFIDENCE_STEPS), share, labels, needs_z, actions)


class Sample:
    """Selects batches so that their frames are at most the given share of all frames.

    It counts frames, not batches, because batch sizes alternate (the first entry of a tick alone, then all
    the others), so that every second batch may hold nine tenths of the frames. Deterministic for the same
    batches.
    """

    def __init__(self) -> None:
        self._allowed = 0.0

    def take(self, frames: int, share: float) -> bool:
        """Return whether the next batch, of `frames` frames, is in the sample of `share` (0 to 1)."""
        self._allowed += frames * share
        if self._allowed < frames:
            return False
        self._allowed -= frames
        return True


class Comparison:
    """The results of two models for the same frames. Gestures are compared by name: labels differ.

    Args:
        actions: gesture name -> action, of the champion.
        champion, challenger: the gestures of each model.
        challenger_actions: the mapping of the challenger; None for the champion's.
    """

    def __init__(
        self,
        actions: Mapping[str, Action],
        champion: LabelSet = PUBLISHED,
        challenger: LabelSet = PUBLISHED,
        challenger_actions: Mapping[str, Action] | None = None,
    ) -> None:
        sets = (champion, challenger)
        mappings = (actions, actions if challenger_actions is None else challenger_actions)
        self._names: Final = tuple(dict.fromkeys((*champion.names, *challenger.names)))
        place = {name: number for number, name in enumerate(self._names)}
        self._places: Final = [np.array([place[name] for name in one.names]) for one in sets]
        self._codes: Final = [
            np.array(action_codes(one, mapping)) for one, mapping in zip(sets, mappings, strict=True)
        ]
        self._left: Final = [len(one) + 1 for one in sets]
        self.pairs = np.zeros((len(self._names), len(self._names)), np.int64)
        """(k, k) frames by the champion's gesture and the challenger's, of the k that either knows."""
        self.moves = np.zeros((len(ACTIONS), len(ACTIONS)), np.int64)
        """(5, 5) frames by the champion's action code and the challenger's."""

    def add(
        self,
        labels: Sequence[npt.NDArray[np.int64]],
        steps: Sequence[npt.NDArray[np.int64]],
        thresholds: tuple[int, int],
        left: npt.NDArray[np.bool_] | None = None,
    ) -> int:
        """Add n frames with a hand and return the number of frames in which the gestures agree.

        Args:
            labels: the champion's and the challenger's, each (n,), places in its label set.
            steps: their confidences in thousandths, each (n,).
            thresholds: their thresholds, in thousandths.
            left: (n,), whether it is a left hand; None if there are none.
        """
        found = [place[label] for place, label in zip(self._places, labels, strict=True)]
        self.pairs += _crossed(found, len(self._names))
        shift = 0 if left is None else left.astype(np.int64)
        codes = [
            np.where(confidence >= threshold, code[label + shift * places], 0)
            for code, places, label, confidence, threshold in zip(
                self._codes, self._left, labels, steps, thresholds, strict=True
            )
        ]
        self.moves += _crossed(codes, len(ACTIONS))
        return int(np.count_nonzero(found[0] == found[1]))

    def fields(self) -> dict[str, int]:
        """Return the counts that are not 0, as fields of the hash in Redis."""
        names, found = self._names, {"frames": int(self.pairs.sum())}
        for champion, challenger in np.argwhere(self.pairs).tolist():
            found[f"{names[champion]}>{names[challenger]}"] = int(self.pairs[champion, challenger])
        for champion, challenger in np.argwhere(self.moves).tolist():
            if champion != challenger:
                name = f"action:{ACTIONS[champion]}>{ACTIONS[challenger]}"
                found[name] = int(self.moves[champion, challenger])
        return found


def _crossed(codes: Sequence[npt.NDArray[np.int64]], size: int) -> npt.NDArray[np.int64]:
    """Return how often each pair of codes, 0 to size - 1, occurs: (size, size). 10 times as fast as
    `np.add.at`."""
    return np.bincount(codes[0] * size + codes[1], minlength=size * size).reshape(size, size)


@dataclass(frozen=True, slots=True)
class Trial:
    """A comparison, parsed from its hash in Redis.

    Attributes:
        frames: frames with a hand that both classified.
        pairs: (champion's gesture, challenger's) -> frames, most first.
        flips: (champion's action, challenger's) -> frames in which they differ, most first.
    """

    frames: int
    pairs: dict[tuple[str, str], int]
    flips: dict[tuple[str, str], int]

    @classmethod
    def of(cls, fields: Mapping[str, int]) -> Self:
        """Return the comparison in the fields of a hash, see the module docstring."""
        pairs: dict[tuple[str, str], int] = {}
        flips: dict[tuple[str, str], int] = {}
        for name, count in sorted(fields.items(), key=lambda field: -field[1]):
            champion, between, challenger = name.removeprefix("action:").partition(">")
            if between:
                (flips if name.startswith("action:") else pairs)[champion, challenger] = count
        return cls(fields.get("frames", 0), pairs, flips)

    @property
    def agreed(self) -> int:
        """Frames in which both models found the same gesture."""
        return sum(count for (champion, challenger), count in self.pairs.items() if champion == challenger)
