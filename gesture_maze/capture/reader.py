"""Captures: the frames of the streams as JSON lines, to be replayed, inspected and kept as tests.

The first line is a header, `{"format":"gesture-maze-capture","version":1,...}`; each further line is one
frame, the object of the wire's text encoding plus `offset_ms`:
`{"offset_ms":33.3,"session":"p1","seq":17,"t":1700000000000,"aspect":1.3333,"landmarks":[[x,y,z], ...]}`.
Unknown keys are kept. The order of the lines is the order of arrival; `offset_ms` is the time of arrival
since the capture began.

Reading is in blocks of columns and takes constant memory, however long the capture is. An invalid line is an
error that names its number, or, with `skip_bad`, is skipped and counted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import numpy as np
import numpy.typing as npt

from gesture_maze.capture.columns import Reply, columns_of, replies_of
from gesture_maze.capture.files import batches, capture_error, open_lines
from gesture_maze.wire.errors import FrameError
from gesture_maze.wire.frames import META, Float32, Frame, landmark_array
from gesture_maze.wire.session_settings import SessionSettings
from gesture_maze.wire.text import frame_of, parse_objects

T = TypeVar("T")

FORMAT: Final = "gesture-maze-capture"
VERSION: Final = 1
BLOCK_FRAMES: Final = 512
"""Frames per block: one run of the model, and under a megabyte of lines."""
FAULTS_KEPT: Final = 20
"""Most faults of skipped lines that are kept; all are counted."""


@dataclass(frozen=True, slots=True)
class Block:
    """n frames of a capture, in the order of their lines, as columns.

    Attributes:
        lines: line numbers, from 1 (the header's).
        offset_ms: when each frame arrived, ms since the capture began.
        sessions: session ids.
        meta: (n,) `wire.frames.META`.
        landmarks: (n, 21, 3) float32; zeros if there is no hand.
        settings: row -> settings of its session, for frames that carry some.
        replies: row -> the reply that was recorded with it, for frames that have one.
    """

    lines: Sequence[int]
    offset_ms: Sequence[float]
    sessions: Sequence[str]
    meta: npt.NDArray[np.void]
    landmarks: Float32
    settings: Mapping[int, SessionSettings] = field(default_factory=dict)
    replies: Mapping[int, Reply] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.sessions)

    def rows(self, begin: int, end: int) -> Block:
        """Return the frames from row `begin` to before row `end`."""
        part = slice(begin, end)
        return Block(
            self.lines[part],
            self.offset_ms[part],
            self.sessions[part],
            self.meta[part],
            self.landmarks[part],
            _part(self.settings, begin, end),
            _part(self.replies, begin, end),
        )

    def renamed(self, rename: Callable[[str], str]) -> Block:
        """Return the same frames under other session ids."""
        return replace(self, sessions=list(map(rename, self.sessions)))


def _part(by_row: Mapping[int, T], begin: int, end: int) -> dict[int, T]:
    return {row - begin: one for row, one in by_row.items() if begin <= row < end}


@dataclass(frozen=True, slots=True)
class Line:
    """One frame of a capture with its whole line.

    Attributes:
        number: of its line, from 1 (the header's).
        values: the line's JSON object, unknown keys included.
        frame: the same, checked.
    """

    number: int
    values: dict[str, Any]
    frame: Frame

    @property
    def offset_ms(self) -> float:
        """Return the time of arrival, in ms since the capture began."""
        return float(self.values["offset_ms"])


class CaptureReader:
    """A reader of one capture, once, from beginning to end. Use it in a `with` block.

    Args:
        path: the file; `.gz` and `.zst` are unpacked.
        skip_bad: skip and count invalid lines.

    Raises:
        SettingsError: `capture`, if there is no such file, or its header is not of a known version.
    """

    def __init__(self, path: Path, *, skip_bad: bool = False) -> None:
        self.path: Final = path
        self._skip_bad: Final = skip_bad
        self.skipped = 0
        """Lines skipped so far."""
        self.faults: Final[list[str]] = []
        """The faults of the first of them."""
        self._known: Final[set[str]] = set()
        self._lines: Final = open_lines(path)
        try:
            self.header: Final = self._read_header()
        except BaseException:
            self._lines.close()
            raise

    def blocks(self, count: int = BLOCK_FRAMES) -> Iterator[Block]:
        """Yield the frames in blocks of up to `count`; takes about 15 µs a frame.

        Raises:
            SettingsError: `capture`, naming the first invalid line.
        """
        for number, lines in self._batches(count):
            found = columns_of(lines, self._known)
            if found is not None:
                yield Block(range(number, number + len(lines)), *found)
                continue
            checked = list(self._checked(number, lines))
            if checked:
                yield block_of(checked)

    def frames(self) -> Iterator[Line]:
        """Yield the frames one by one, with their whole lines; takes 30 µs a frame. Raises the same errors as
        `blocks`."""
        for number, lines in self._batches(BLOCK_FRAMES):
            yield from self._checked(number, lines)

    def close(self) -> None:
        """Close the file."""
        self._lines.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_header(self) -> dict[str, Any]:
        first, error = next(batches(self._lines, 1), ([], None))
        if error is not None or not first:
            raise capture_error(f"{self.path}: line 1: {_sentence(error) if error else 'the file is empty'}")
        try:
            header = json.loads(first[0])
        except (ValueError, RecursionError):
            header = None
        if not isinstance(header, dict) or header.get("format") != FORMAT:
            raise capture_error(
                f'{self.path}: line 1 is not the header of a capture, {{"format":"{FORMAT}",...}}'
            )
        if header.get("version") != VERSION or isinstance(header["version"], bool):
            raise capture_error(
                f"{self.path}: line 1: version {header.get('version')!r:.40} of the format is unknown; "
                f"this program reads version {VERSION}"
            )
        return header

    def _batches(self, count: int) -> Iterator[tuple[int, list[bytes]]]:
        """Yield the number of the first line and the lines of a batch, blank ones included."""
        number = 2
        for lines, error in batches(self._lines, count):
            if lines:
                yield number, lines
            number += len(lines)
            if error is not None:
                self._fault(number, _sentence(error))

    def _checked(self, number: int, lines: Sequence[bytes]) -> Iterator[Line]:
        for at, raw in enumerate(lines, start=number):
            if not raw.strip():
                continue
            try:
                yield parse_line(at, raw)
            except FrameError as error:
                # the parser has seen this one line only
                self._fault(at, f"{error.reason}: {error}".replace(" at line 1 column", " at column"))

    def _fault(self, number: int, sentence: str) -> None:
        named = f"{self.path}: line {number}: {sentence}"
        if not self._skip_bad:
            raise capture_error(f"{named}; --skip-bad skips it")
        self.skipped += 1
        if len(self.faults) < FAULTS_KEPT:
            self.faults.append(named)


def parse_line(number: int, raw: bytes) -> Line:
    """Parse one line of a capture.

    Raises:
        FrameError: with the reason of the first fault found; `bad_time` for a wrong `offset_ms`.
    """
    objects = parse_objects(raw.strip())
    values = objects[0]
    if len(objects) != 1 or raw.lstrip()[:1] != b"{":
        raise FrameError("bad_json", "a line must be one JSON object")
    frame = frame_of(values)
    offset_ms = values.get("offset_ms")
    if type(offset_ms) not in (int, float) or not 0 <= offset_ms < math.inf:
        raise FrameError(
            "bad_time", f"offset_ms must be a number of milliseconds, 0 or more, got {offset_ms!r:.40}"
        )
    return Line(number, values, frame)


def block_of(lines: Sequence[Line]) -> Block:
    """Return lines as columns."""
    frames = [line.frame for line in lines]
    meta = np.array(
        [(frame.seq, frame.captured_ms, frame.aspect, frame.flags) for frame in frames], dtype=META
    )
    return Block(
        [line.number for line in lines],
        [line.offset_ms for line in lines],
        [frame.session for frame in frames],
        meta,
        np.array([landmark_array(frame.landmarks) for frame in frames]).reshape(-1, 21, 3),
        {row: frame.settings for row, frame in enumerate(frames) if frame.settings is not None},
        replies_of(line.values for line in lines),
    )


def _sentence(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "the file ends in the middle, cut off while it was written or copied"
    return f"the file is damaged here: {error}"
