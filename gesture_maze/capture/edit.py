"""Cut parts out of captures, and join several captures. Constant memory; unknown keys are kept."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import translate
from pathlib import Path
from typing import Any, Final

from gesture_maze.capture.reader import CaptureReader, Line
from gesture_maze.wire.errors import SettingsError

SHOWN: Final = 10
"""Most sessions that an error names."""
MAX_SESSION: Final = 64
"""Longest session id of the wire."""


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a capture that is kept.

    Attributes:
        from_s: start, in seconds since the capture began.
        to_s: end, which is not included; None is the end of the capture.
        sessions: shell pattern of session ids; None is all.
    """

    from_s: float = 0.0
    to_s: float | None = None
    sessions: str | None = None

    def __post_init__(self) -> None:
        if self.to_s is not None and self.to_s <= self.from_s:
            raise SettingsError("settings", f"--to must be above --from, got {self.to_s:g}")


def trim(lines: Iterable[Line], part: Part) -> Iterator[str]:
    """Yield the lines of a part, whose first frame is at offset 0.

    Args:
        lines: of a capture.
        part: what is kept.

    Raises:
        SettingsError: `capture`, if no frame is in the part.
    """
    last_ms, sessions = 0.0, dict[str, None]()
    pattern = None if part.sessions is None else re.compile(translate(part.sessions))
    from_ms = 1000 * part.from_s
    to_ms = float("inf") if part.to_s is None else 1000 * part.to_s
    begin_ms: float | None = None
    for line in lines:
        last_ms, sessions[line.frame.session] = max(last_ms, line.offset_ms), None
        wanted = pattern is None or pattern.match(line.frame.session) is not None
        if not wanted or not from_ms <= line.offset_ms < to_ms:
            continue
        begin_ms = line.offset_ms if begin_ms is None else begin_ms
        yield _text({**line.values, "offset_ms": max(line.offset_ms - begin_ms, 0.0)})
    if begin_ms is None:
        shown = ", ".join(list(sessions)[:SHOWN]) + (", ..." if len(sessions) > SHOWN else "")
        raise SettingsError(
            "capture",
            f"no frame matches: the capture lasts {last_ms / 1000:.1f} s and has the sessions "
            f"{shown or '(none)'}",
        )


class Join:
    """Several captures, one after the other.

    A session id that an earlier capture has keeps its name only if its seq continues to rise, so that no
    frame becomes a duplicate; otherwise it gets a number.

    Args:
        paths: the captures, in order.
        gap_s: pause between two of them, in seconds.
        skip_bad: skip invalid lines.

    Attributes:
        renamed: new session id -> original one.
    """

    def __init__(self, paths: Sequence[Path], gap_s: float = 1.0, *, skip_bad: bool = False) -> None:
        self._paths: Final = paths
        self._gap_ms: Final = 1000 * gap_s
        self._skip_bad: Final = skip_bad
        self._last_seq: Final[dict[str, int]] = {}
        self.renamed: Final[dict[str, str]] = {}

    def lines(self) -> Iterator[str]:
        """Yield the lines of all captures."""
        begin_ms = 0.0
        for path in self._paths:
            end_ms = begin_ms
            names: dict[str, str] = {}
            with CaptureReader(path, skip_bad=self._skip_bad) as reader:
                for line in reader.frames():
                    session, seq = line.frame.session, int(line.values["seq"])
                    if session not in names:
                        names[session] = self._name(session, seq)
                    name = names[session]
                    self._last_seq[name] = max(seq, self._last_seq.get(name, -1))
                    offset_ms = begin_ms + line.offset_ms
                    end_ms = max(end_ms, offset_ms)
                    yield _text({**line.values, "offset_ms": offset_ms, "session": name})
            begin_ms = end_ms + self._gap_ms

    def _name(self, session: str, seq: int) -> str:
        if seq > self._last_seq.get(session, -1):
            return session
        number = 2
        while (name := f"{session[: MAX_SESSION - len(str(number)) - 1]}-{number}") in self._last_seq:
            number += 1
        self.renamed[name] = session
        return name


def _text(values: dict[str, Any]) -> str:
    return json.dumps(values, separators=(",", ":"))
