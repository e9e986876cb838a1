"""Golden files: the reviewed answers of a replay.

A golden file is JSON lines: a header, the output of a replay with one object per answered frame, and a last
line with their number, without which the file is cut off. A file without a header, as earlier versions wrote
it, has no last line either. The comparison covers what the game sees: which frames are answered, and their
gesture, action and move. The model's version is not compared and the confidence only roughly, so that a
golden file stays valid for a retrained model with the same decisions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import urandom
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from gesture_maze.capture.files import CaptureFile, capture_error, create, open_lines, read_lines
from gesture_maze.readers.unpack import DAMAGE
from gesture_maze.replay.shifted import CONFIDENCE, Shifts
from gesture_maze.wire.errors import SettingsError

FORMAT: Final = "gesture-maze-golden"
VERSION: Final = 1
COMPARED: Final = ("gesture", "action", "move")

Key = tuple[str, int]
"""Session and seq."""


class _End(BaseModel):
    """The last line of a golden file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    answers: int


class _Answer(BaseModel):
    """The keys of a golden answer that are compared; others are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)

    session: str
    seq: int
    offset_ms: FiniteFloat = 0.0
    gesture: str | None = None
    action: str | None = None
    move: str | None = None
    confidence: FiniteFloat | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """One frame whose answer is not the expected one.

    Attributes:
        expected, got: the answers as objects with gesture, action, move and confidence; None if not answered.
    """

    session: str
    seq: int
    offset_ms: float
    expected: dict[str, Any] | None
    got: dict[str, Any] | None

    @property
    def changed(self) -> list[str]:
        """The names of the values that differ, or `answered` if one of the two answers is missing."""
        if self.expected is None or self.got is None:
            return ["answered"]
        found = [name for name in COMPARED if self.expected.get(name) != self.got.get(name)]
        return found or ["confidence"]

    @property
    def key(self) -> Key:
        """Session and seq."""
        return self.session, self.seq


class Expected:
    """The answers of a golden file, compared with those of a replay in any order.

    Args:
        answers: by session and seq.
        tolerance_ms: how much earlier or later the same gesture, action or move may occur.
    """

    def __init__(self, answers: dict[Key, dict[str, Any]], tolerance_ms: float = 0.0) -> None:
        self._answers: Final = answers
        self._shifts: Final = Shifts(tolerance_ms) if tolerance_ms > 0 else None
        self._differences: Final[list[Difference]] = []

    def compare(self, got: dict[str, Any]) -> None:
        """Compare one answer of the replay with the expected one."""
        key = got["session"], got["seq"]
        expected = self._answers.pop(key, None)
        if self._shifts is not None:
            self._shifts.add(got["session"], got["offset_ms"], expected, got)
        if expected is None or not alike(expected, got):
            self._differences.append(Difference(*key, got["offset_ms"], expected, got))

    def finish(self) -> list[Difference]:
        """Return all differences by time, including expected answers that are missing."""
        for (session, seq), expected in self._answers.items():
            offset_ms = float(expected.get("offset_ms", 0.0))
            if self._shifts is not None:
                self._shifts.add(session, offset_ms, expected, None)
            self._differences.append(Difference(session, seq, offset_ms, expected, None))
        self._answers.clear()
        found = self._differences
        if self._shifts is not None:
            shifts = self._shifts
            shifts.match_moves()
            found = [one for one in found if not _is_shift(one, shifts)]
        return sorted(found, key=lambda one: (one.offset_ms, one.session, one.seq))


def alike(expected: dict[str, Any], got: dict[str, Any]) -> bool:
    """Return whether two answers have the same gesture, action and move, and about the same confidence."""
    if any(expected.get(name) != got.get(name) for name in COMPARED):
        return False
    return bool(abs(float(expected.get("confidence") or 0.0) - got["confidence"]) <= CONFIDENCE)


def _is_shift(one: Difference, shifts: Shifts) -> bool:
    """Return whether all values that differ in this frame occur slightly earlier or later."""
    if one.expected is None or one.got is None:
        return False
    return all(shifts.allows(name, one.session, one.offset_ms, one.expected, one.got) for name in one.changed)


def read_golden(path: Path) -> dict[Key, dict[str, Any]]:
    """Return the answers of a golden file by session and seq.

    Raises:
        SettingsError: `capture`: the file cannot be read, is empty, cut off or damaged, or a line, which the
            error names, is not an answer.
    """
    found = _Golden(path)
    with open_lines(path) as lines:
        for number, line in enumerate(_lines(path, lines), start=1):
            if line.strip():
                found.take(number, line)
    found.check()
    return found.answers


class _Golden:
    """The content of a golden file, line by line."""

    def __init__(self, path: Path) -> None:
        self.answers: Final[dict[Key, dict[str, Any]]] = {}
        self._path: Final = path
        self._headed = False
        self._count: int | None = None
        """Number of answers according to the last line."""

    def take(self, number: int, line: bytes) -> None:
        """Process one line that is not blank."""
        try:
            values = json.loads(line)
            if not self.answers and not self._headed and _is_header(values):
                self._headed = True
                self._check_version(number, values)
                return
            if self._headed and self._count is None and isinstance(values, dict) and "answers" in values:
                self._count = _End.model_validate(values).answers
                return
            checked = _Answer.model_validate(values)
        except (ValueError, ValidationError, RecursionError):
            cut = "" if line.endswith(b"\n") else "; the file is cut off"
            raise self._fault(f"line {number} is not an answer of a replay{cut}") from None
        if self._count is not None:
            raise self._fault(f"line {number} follows the last line, which holds the number of answers")
        if (checked.session, checked.seq) in self.answers:
            raise capture_error(
                f"{self._path}: line {number} is a second answer to {checked.session} {checked.seq}"
            )
        self.answers[checked.session, checked.seq] = values

    def check(self) -> None:
        """Check that the file is whole.

        Raises:
            SettingsError: `capture`, if it is empty or cut off, or its last line states another number.
        """
        count = len(self.answers)
        if self._headed and self._count is None:
            raise self._fault(f"the golden file is cut off after {count:,} answers: its last line is missing")
        if not count:
            raise self._fault("the golden file is empty")
        if self._count not in (None, count):
            raise self._fault(f"expected {self._count:,} answers according to the last line, got {count:,}")

    def _check_version(self, number: int, header: dict[str, Any]) -> None:
        if header.get("version") != VERSION:
            raise capture_error(
                f"{self._path}: line {number}: version {header.get('version')!r:.40} of the format is "
                f"unknown; this program reads version {VERSION}"
            )

    def _fault(self, sentence: str) -> SettingsError:
        return capture_error(f"{self._path}: {sentence} (write the file with --bless)")


def _is_header(values: Any) -> bool:
    return isinstance(values, dict) and values.get("format") == FORMAT


def _lines(path: Path, lines: Any) -> Iterator[bytes]:
    try:
        yield from read_lines(lines)
    except DAMAGE as error:
        raise capture_error(f"{path}: the golden file is cut off or damaged: {error}") from None


class GoldenWriter:
    """Writes the answers of a golden file between its header and its last line."""

    def __init__(self, file: CaptureFile) -> None:
        self._file: Final = file
        self._count = 0
        self._write({"format": FORMAT, "version": VERSION})

    def write(self, answer: bytes) -> None:
        """Write one answer, a line of JSON without its newline."""
        self._file.write(answer + b"\n")
        self._count += 1

    def end(self) -> None:
        """Write the last line."""
        self._write({"answers": self._count})

    def _write(self, values: dict[str, Any]) -> None:
        self._file.write(json.dumps(values, separators=(",", ":")).encode() + b"\n")


@contextmanager
def golden_file(path: Path) -> Iterator[GoldenWriter]:
    """Yield a golden file to write, compressed by its suffix. It replaces an old one only on success.

    Raises:
        SettingsError: `capture`, if it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # with the same suffix, which selects the compression
    unfinished = path.with_name(f".{urandom(4).hex()}-{path.name}")
    try:
        with create(unfinished) as file:
            writer = GoldenWriter(file)
            yield writer
            writer.end()
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


class Before:
    """Counts how new golden answers differ from those in the file that they replace.

    Args:
        path: the golden file, before it is replaced.
    """

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self.answers = 0
        self._old: Expected | None = None
        self._found = "there was none before"
        if path.exists():
            try:
                self._old = Expected(read_golden(path))
            except SettingsError:
                self._found = "the old one could not be read"

    def take(self, answer: bytes) -> None:
        """Compare one new answer, a line of JSON."""
        self.answers += 1
        if self._old is not None:
            self._old.compare(json.loads(answer))

    def sentence(self) -> str:
        """Return how many answers were written, and how many differ from the old ones."""
        if self._old is not None:
            differing = len(self._old.finish())
            self._found = f"{differing:,} differ from the old one" if differing else "as in the old one"
        return f"{self.path} written: {self.answers:,} answers, {self._found}"


def require_answered(path: Path, frames: int, outcomes: dict[str, int]) -> None:
    """Check that every frame was answered, before a golden file is written.

    Args:
        path: the golden file, for the error.
        frames: number of frames replayed.
        outcomes: frames by outcome.

    Raises:
        SettingsError: `capture`, if a frame was not answered.
    """
    answered = outcomes.get("answered", 0)
    if frames and answered >= frames:
        return
    others = ", ".join(f"{name} {n:,}" for name, n in outcomes.items() if n and name != "answered")
    raise SettingsError(
        "capture",
        f"{path} is not written: {answered:,} of {frames:,} frames were answered"
        f"{f' ({others})' if others else ''}. Golden answers must cover every frame; to allow missing ones, "
        "use --allow-unanswered (in pytest: allow_unanswered=True)",
    )


def write_golden(path: Path, answers: Sequence[bytes]) -> None:
    """Write a golden file, compressed by its suffix, and replace an old one.

    Raises:
        SettingsError: `capture`, if it cannot be written.
    """
    with golden_file(path) as file:
        for answer in answers:
            file.write(answer)
