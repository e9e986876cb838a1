"""Compare two models on the same frames: gestures that flip and moves that change, by session."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from gesture_maze.capture.reader import Block
from gesture_maze.replay.engine import Replay
from gesture_maze.replay.golden import Difference
from gesture_maze.replay.run import timed

DIFFERENCES_KEPT: Final = 100_000
"""Changed frames kept for the report; all are counted."""
MINUTE_MS: Final = 60_000


class Comparison:
    """The changes from one model to another.

    Attributes:
        frames: answered by both.
        flips: (gesture before, gesture after) -> frames, with None for no hand.
        moves: session -> frames whose move differs.
        minutes: minute of the capture, from 0 -> frames whose move differs.
        moves_before, moves_after: moves, stops included, under each model.
        differences: frames whose action or move differs, or whose gesture flips.
    """

    def __init__(self, before: str, after: str) -> None:
        self.before: Final = before
        self.after: Final = after
        self.frames = 0
        self.flips: Final[Counter[tuple[str | None, str | None]]] = Counter()
        self.moves: Final[Counter[str]] = Counter()
        self.minutes: Final[Counter[int]] = Counter()
        self.moves_before = self.moves_after = 0
        self.differences: Final[list[Difference]] = []

    def take(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        """Take the answers of both models to one frame."""
        self.frames += 1
        self.moves_before += before["move"] is not None
        self.moves_after += after["move"] is not None
        if all(before[name] == after[name] for name in ("gesture", "action", "move")):
            return
        if before["gesture"] != after["gesture"]:
            self.flips[before["gesture"], after["gesture"]] += 1
        if before["move"] != after["move"]:
            self.moves[before["session"]] += 1
            self.minutes[int(before["offset_ms"] // MINUTE_MS)] += 1
        if len(self.differences) < DIFFERENCES_KEPT:
            self.differences.append(
                Difference(before["session"], before["seq"], before["offset_ms"], before, after)
            )

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as `--json` prints it."""
        return {
            "model": self.before,
            "against": self.after,
            "frames": self.frames,
            "flipped": sum(self.flips.values()),
            "flips": [
                {"from": one, "to": other, "frames": count}
                for (one, other), count in self.flips.most_common()
            ],
            "moves": {"model": self.moves_before, "against": self.moves_after},
            "moves_changed": sum(self.moves.values()),
            "moves_changed_by_session": dict(self.moves.most_common()),
            "moves_changed_by_minute": {str(one): self.minutes[one] for one in sorted(self.minutes)},
        }


def compare(before: Replay, after: Replay, blocks: Iterable[Block]) -> Comparison:
    """Replay the same frames under two models and return the comparison."""
    found = Comparison(before.model_version, after.model_version)
    for block in blocks:
        one, other = before.run(block), after.run(block)
        for (_, mine), (_, theirs) in zip(_pairs(block, one), _pairs(block, other), strict=True):
            if mine.partition(b',"model"')[0] == theirs.partition(b',"model"')[0]:
                found.frames += 1
                moved = b'"move":null' not in mine
                found.moves_before += moved
                found.moves_after += moved
            else:
                found.take(json.loads(mine), json.loads(theirs))
    return found


def _pairs(block: Block, replies: Sequence[bytes | None]) -> list[tuple[int, bytes]]:
    return list(timed(block, replies))
