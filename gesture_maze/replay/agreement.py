"""Compares the answers of a replay with those that were recorded with the frames."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final

from pydantic_core import from_json

from gesture_maze.capture.files import open_lines, read_lines
from gesture_maze.readers.unpack import DAMAGE
from gesture_maze.replay.golden import Difference, alike

REPLY: Final = "reply"
"""The key of a frame's reply in a capture."""
LOOKED_AT: Final = 2000
"""Number of lines at the beginning of a capture that are searched for a reply."""

_Recorded = tuple[str, int, float, dict[str, Any] | None]
"""Session, seq and offset_ms of a frame, and its recorded reply."""


def have_replies(paths: Sequence[Path]) -> bool:
    """Return whether one of these captures was recorded with replies; False if one is a pipe."""
    # a pipe can be read only once
    return all(path.is_file() for path in paths) and any(map(_has_replies, paths))


def _has_replies(path: Path) -> bool:
    with open_lines(path) as lines, suppress(*DAMAGE):
        return any(b'"reply":' in line for line in islice(read_lines(lines), LOOKED_AT))
    return False  # the replay itself reports the damage


class Agreement:
    """Recorded replies, compared with the answers of a replay. Reads the captures once more.

    Frames without a recorded reply are not compared.

    Args:
        paths: the captures, in the order in which they are replayed.

    Attributes:
        equal: number of answers that are the same as recorded.
        different: number of answers that differ or are missing.
        first: the first of these; None if there is none.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._frames: Final = _frames(paths)
        self.equal = self.different = 0
        self.first: Difference | None = None

    def take(self, answer: bytes) -> None:
        """Compare the next answer, a line of JSON; answers come in the order of the frames."""
        got = json.loads(answer)
        for session, seq, offset_ms, reply in self._frames:
            found = got if (session, seq) == (got["session"], got["seq"]) else None
            if reply is not None:
                self._compare(Difference(session, seq, offset_ms, reply, found))
            if found is not None:
                return

    def finish(self) -> None:
        """Count the recorded replies to frames after the last answer as different."""
        for session, seq, offset_ms, reply in self._frames:
            if reply is not None:
                self._compare(Difference(session, seq, offset_ms, reply, None))

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

    def _compare(self, one: Difference) -> None:
        assert one.expected is not None
        if one.got is not None and alike(one.expected, one.got):
            self.equal += 1
            return
        self.different += 1
        self.first = self.first or one


def _change(one: Difference) -> str:
    if one.expected is None or one.got is None:
        return "recorded with a reply, replayed without an answer"
    recorded, got = one.expected, one.got
    return ", ".join(f"{name} {_text(recorded, name)} -> {_text(got, name)}" for name in one.changed)


def _text(values: dict[str, Any], name: str) -> str:
    return "-" if values.get(name) is None else str(values[name])


def _frames(paths: Sequence[Path]) -> Iterator[_Recorded]:
    for path in paths:
        with open_lines(path) as lines, suppress(*DAMAGE):
            for line in islice(read_lines(lines), 1, None):
                try:
                    values = from_json(line)
                    yield values["session"], values["seq"], float(values["offset_ms"]), _reply(values)
                except (ValueError, KeyError, TypeError, RecursionError):
                    continue  # the replay itself reports or skips it


def _reply(values: dict[str, Any]) -> dict[str, Any] | None:
    found = values.get(REPLY)
    return found if isinstance(found, dict) else None
