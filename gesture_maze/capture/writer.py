"""Write captures, from lines that were read and from frames of a stream."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from gesture_maze.capture.files import create
from gesture_maze.capture.reader import FORMAT, VERSION
from gesture_maze.wire.frames import HAND, LANDMARKS, LEFT, MIRRORED, Float32
from gesture_maze.wire.session_settings import OfRows

NONE: Final[OfRows] = {}
_POINTS: Final = "[" + ",".join(["[%.9g,%.9g,%.9g]"] * LANDMARKS) + "]"
"""Nine digits restore every float32 exactly, so that a replay has the same input as the pool."""


class CaptureWriter:
    """A writer of one capture. Closing it completes the file; use it in a `with` block.

    Args:
        path: compressed if it ends in `.gz` or `.zst`; an existing file is replaced.
        header: more keys for the header.

    Raises:
        SettingsError: `capture`, if the file cannot be written.
    """

    def __init__(self, path: Path, header: Mapping[str, Any] | None = None) -> None:
        self._file: Final = create(path)
        self._header: Final = dict(header or {})
        self._begun = False
        self.frames = 0
        """Frames written so far."""

    @property
    def bytes_written(self) -> int:
        """Return the size of the file so far, in bytes."""
        return self._file.bytes_written

    def describe(self, key: str, value: Any) -> None:
        """Add a key to the header, which is written with the first frame."""
        if self._begun:
            raise RuntimeError("the header is written already")
        self._header[key] = value

    def write(self, values: Mapping[str, Any]) -> None:
        """Write one frame, the JSON object of its line."""
        self.write_text(_text(values))

    def write_text(self, text: str) -> None:
        """Write one line, given without its line end."""
        if not self._begun:
            self._begin()
        self._file.write(text.encode() + b"\n")
        self.frames += 1

    def flush(self) -> None:
        """Make what was written so far readable."""
        self._file.flush()

    def close(self) -> None:
        """Complete and close the file."""
        if not self._begun:
            self._begin()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self) -> None:
        self._begun = True
        more = {key: value for key, value in self._header.items() if key not in ("format", "version")}
        self._file.write(_text({"format": FORMAT, "version": VERSION, **more}).encode() + b"\n")


def _text(values: Mapping[str, Any]) -> str:
    return json.dumps(values, separators=(",", ":"))


@lru_cache(maxsize=64)  # a camera has only one aspect
def _shortest(aspect: float) -> str:
    """Return the fewest digits that restore a float32: 0.00999999978 for 0.01 would be out of range."""
    return str(np.float32(aspect))


def lines_of(
    offset_ms: Sequence[float],
    sessions: Sequence[str],
    meta: npt.NDArray[np.void],
    landmarks: Float32,
    settings: OfRows = NONE,
) -> list[str]:
    """Return frames as lines of a capture without the closing brace, so that keys may follow; 12 µs a frame.

    Args:
        offset_ms: n times in ms since the capture began.
        sessions: n session ids.
        meta: (n,) `wire.frames.META`.
        landmarks: (n, 21, 3) float32.
        settings: row -> settings of its session, for frames that carry some.

    Returns:
        n lines without the closing brace.
    """
    lines = []
    flat = landmarks.reshape(len(sessions), 3 * LANDMARKS).tolist()
    columns = zip(offset_ms, sessions, meta.tolist(), flat, strict=True)
    for offset, session, (seq, captured_ms, aspect, flags), points in columns:
        shown = _POINTS % tuple(points) if flags & HAND else "[]"
        hand = ',"hand":"left"' if flags & LEFT else ""
        mirrored = ',"mirrored":true' if flags & MIRRORED else ""
        lines.append(
            f'{{"offset_ms":{offset:.10g},"session":"{session}","seq":{seq},"t":{captured_ms},'
            f'"aspect":{_shortest(aspect)}{hand}{mirrored},"landmarks":{shown}'
        )
    for row, one in settings.items():
        lines[row] += f',"settings":{json.dumps(one.values(), separators=(",", ":"))}'
    return lines
