"""Compares the answers of a replay with those that were recorded with the frames."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from gesture_maze.capture.reader import Block
from gesture_maze.replay.golden import Difference, alike


class Agreement:
    """Recorded replies, compared with the answers of a replay. Frames without one are not compared.

    Attributes:
        equal: number of answers that are the same as recorded.
        different: number of answers that differ or are missing.
        first: the first of these; None if there is none.
    """

    def __init__(self) -> None:
        self.equal = self.different = 0
        self.first: Difference | None = None

    def __bool__(self) -> bool:
        """Return whether any frame had a recorded reply."""
        return self.equal + self.different > 0

    def compare_block(self, block: Block, answers: Sequence[bytes | None]) -> None:
        """Compare the answers to the frames of a block, which are lines of JSON; None is no answer."""
        for row, reply in block.replies.items():
            answer = answers[row]
            got = None if answer is None else json.loads(answer)
            seq = int(block.meta["seq"][row])
            self.compare(Difference(block.sessions[row], seq, block.offset_ms[row], reply, got))

    def compare(self, one: Difference) -> None:
        """Compare an answer with the reply that is expected."""
        assert one.expected is not None
        if one.got is not None and alike(one.expected, one.got):
            self.equal += 1
            return
        self.different += 1
        self.first = self.first or one

    def as_dict(self) -> dict[str, Any]:
        """Return the counts and the first difference as `--json` prints them."""
        one = self.first
        if one is None:
            return {"equal": self.equal, "different": self.different, "first": None}
        at = {"session": one.session, "seq": one.seq, "offset_ms": one.offset_ms}
        first = {**at, "recorded": one.expected, "got": one.got}
        return {"equal": self.equal, "different": self.different, "first": first}

    def sentence(self) -> str:
        """Return the counts and the first difference as text."""
        if self.first is None:
            return f"{self.equal:,} answers equal, none differs"
        one = self.first
        at = f"session {one.session} seq {one.seq} at {one.offset_ms / 1000:.3f} s"
        differ = f"{self.different:,} {'differs' if self.different == 1 else 'differ'}"
        return f"{self.equal:,} answers equal, {differ}; the first: {at}, {_change(one)}"


def _change(one: Difference) -> str:
    if one.expected is None or one.got is None:
        return "recorded with a reply, replayed without an answer"
    recorded, got = one.expected, one.got
    return ", ".join(f"{name} {_text(recorded, name)} -> {_text(got, name)}" for name in one.changed)


def _text(values: dict[str, Any], name: str) -> str:
    return "-" if values.get(name) is None else str(values[name])
