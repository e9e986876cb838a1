"""Golden files: what a replay answered when somebody last looked at it and found it right.

A golden file is the replay's own output, one JSON object per answered frame. Compared is what the game sees:
which frames are answered, with which gesture, action and move. The model's version is not compared, and the
confidence only roughly, so that a golden file outlives a retrained model that decides alike.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gesture_maze.capture.files import create, open_lines
from gesture_maze.wire.errors import SettingsError

TOLERANCE: Final = 0.25
"""Confidences nearer than this are alike: models trained twice on the same hands differ by less."""
COMPARED: Final = ("gesture", "action", "move")

Key = tuple[str, int]
"""Session and seq."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One frame that was answered otherwise than expected.

    Attributes:
        expected, got: the answers as `(gesture, action, move, confidence)` objects; None where not answered.
    """

    session: str
    seq: int
    offset_ms: float
    expected: dict[str, Any] | None
    got: dict[str, Any] | None

    @property
    def changed(self) -> list[str]:
        """Names of what differs; `answered` where one of the two is missing."""
        if self.expected is None or self.got is None:
            return ["answered"]
        found = [name for name in COMPARED if self.expected.get(name) != self.got.get(name)]
        return found or ["confidence"]

    @property
    def key(self) -> Key:
        """Session and seq."""
        return self.session, self.seq


class Expected:
    """The answers of a golden file, compared with those of a replay as they come, in any order."""

    def __init__(self, answers: dict[Key, dict[str, Any]]) -> None:
        self._answers: Final = answers
        self.differences: Final[list[Difference]] = []

    def compare(self, got: dict[str, Any]) -> None:
        """Take one answer of the replay."""
        key = got["session"], got["seq"]
        expected = self._answers.pop(key, None)
        if expected is None or not _alike(expected, got):
            self.differences.append(Difference(*key, got["offset_ms"], expected, got))

    def finish(self) -> list[Difference]:
        """Everything that differs, by time; what was expected and did not come included."""
        for (session, seq), expected in self._answers.items():
            offset_ms = float(expected.get("offset_ms", 0.0))
            self.differences.append(Difference(session, seq, offset_ms, expected, None))
        self._answers.clear()
        self.differences.sort(key=lambda one: (one.offset_ms, one.session, one.seq))
        return self.differences


def _alike(expected: dict[str, Any], got: dict[str, Any]) -> bool:
    if any(expected.get(name) != got.get(name) for name in COMPARED):
        return False
    return bool(abs(float(expected.get("confidence") or 0.0) - got["confidence"]) <= TOLERANCE)


def read_golden(path: Path) -> dict[Key, dict[str, Any]]:
    """The answers of a golden file by session and seq.

    Raises:
        SettingsError: `capture`, if it cannot be read; the sentence names the line.
    """
    answers: dict[Key, dict[str, Any]] = {}
    with open_lines(path) as lines:
        for number, line in enumerate(_lines(path, lines), start=1):
            try:
                answer = json.loads(line)
                answers[str(answer["session"]), int(answer["seq"])] = answer
            except (ValueError, LookupError, TypeError, RecursionError):
                message = f"{path}: line {number} is no answer of a replay (write the file with --bless)"
                raise SettingsError("capture", message) from None
    return answers


def _lines(path: Path, lines: Any) -> Iterator[bytes]:
    try:
        yield from lines
    except (OSError, EOFError) as error:
        raise SettingsError("capture", f"{path}: the file is damaged: {error}") from None


def write_golden(path: Path, answers: Sequence[bytes]) -> None:
    """Write a golden file, `.gz` and `.zst` packed, ; an old one is replaced.

    Raises:
        SettingsError: `capture`, if it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with create(path) as file:
        for answer in answers:
            file.write(answer + b"\n")
