"""Captures from landmark files of any layout, and from raw dumps of the streams.

A file gives one session, or one per recording and hand if it holds several. From a folder, all files in
readable layouts are taken. See `readers.read.LAYOUTS`, and `capture.dumps` for dumps.
"""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from gesture_maze.capture.dumps import lines_of_dumps
from gesture_maze.capture.files import capture_error
from gesture_maze.readers.hands import Hand, Recording
from gesture_maze.readers.labels import map_labels, names_of_numbers, read_label_map
from gesture_maze.readers.read import SUFFIXES, plain_suffix, read_recording
from gesture_maze.wire.errors import FrameError
from gesture_maze.wire.gestures import GESTURES
from gesture_maze.wire.text import frame_of

_DUMP: Final = re.compile(rb"\s*(\d+\) |\[\[)")
"""The beginning of a dump."""

Values = dict[str, Any]
"""A frame as the JSON object of its line."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """Options for converting files into a capture.

    Attributes:
        fps: frames per second of files that have no times.
        aspect: image width / height, which overrides the files; None keeps theirs.
        layout: of the files; None detects it.
        labels: a file that renames labels; None maps the usual synonyms.
    """

    fps: float = 30.0
    aspect: float | None = None
    layout: str | None = None
    labels: Path | None = None


def convert(
    sources: Sequence[Path], how: Conversion, show: Callable[[list[str]], None] = lambda _: None
) -> Iterator[str]:
    """Yield the lines of one capture, in the order of time.

    Args:
        sources: folders, landmark files and dumps.
        how: options.
        show: called with what was found in each file, before it is used.

    Raises:
        SettingsError: `capture` or `data`, naming the file and the frame that cannot be used.
    """
    dumps = [path for path in sources if path.is_file() and _is_dump(path)]
    recordings = [one for path in sources if path not in dumps for one in _files(path)]
    if not dumps and not recordings:
        raise capture_error(f"there is nothing to convert: no {', '.join(SUFFIXES)} files and no dumps")
    sessions = [_session_lines(path, how, show) for path in recordings]
    for values in heapq.merge(*sessions, key=lambda values: float(values["offset_ms"])):
        yield json.dumps(values, separators=(",", ":"))
    yield from lines_of_dumps(dumps)


def _is_dump(path: Path) -> bool:
    """Return whether a file is a dump, by its suffix, which no landmark file has, or a .txt file by its
    beginning."""
    if plain_suffix(path) != ".txt":
        return plain_suffix(path) not in SUFFIXES
    with path.open("rb") as file:
        return _DUMP.match(file.read(64)) is not None


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(one for one in path.iterdir() if one.is_file() and not _is_dump(one))
    return [path]


def _session_lines(path: Path, how: Conversion, show: Callable[[list[str]], None]) -> list[Values]:
    """Return the frames of one file by time."""
    recording = read_recording(path, layout=how.layout, aspect=how.aspect)
    report = [recording.describe()]
    if any(hand.label for hand in recording.hands):
        given = None if how.labels is None else read_label_map(how.labels)
        if given is None:
            report += _named(path, recording)
        mapped = map_labels((hand.label for hand in recording.hands if hand.label), GESTURES, given)
        report += mapped.describe()
        for hand in recording.hands:
            hand.label = mapped.names.get(hand.label) or ""
    show(report)
    return recording_lines(recording, path.name.partition(".")[0], how.fps)


def _named(path: Path, recording: Recording) -> list[str]:
    """Name labels that are numbers, from a file next to theirs, and return a note about it."""
    found = names_of_numbers(path, (hand.label for hand in recording.hands if hand.label))
    if found is None:
        return []
    beside, names = found
    for hand in recording.hands:
        hand.label = names.get(hand.label, hand.label)
    return [f"names of the numbers from {beside.name}"]


def recording_lines(recording: Recording, name: str, fps: float) -> list[Values]:
    """Return the frames of a recording by time, as the JSON objects of their lines.

    Args:
        recording: its hands have an aspect.
        name: of its session; characters that a session id cannot have become `-`.
        fps: frames per second, for a recording without times.

    Raises:
        SettingsError: `capture`, naming the invalid frame.
    """
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:48] or "session"
    found: list[Values] = []
    begin_t: int | None = None
    for session, hand, number in _frames(recording, name):
        line = _line(hand, session, number, fps)
        begin_t = line["t"] if begin_t is None else begin_t
        line["offset_ms"] = _offset_ms(hand, line["t"], begin_t)
        try:
            frame_of(line)
        except FrameError as error:
            message = f"{recording.name}: frame {hand.row}: {error.reason}: {error}"
            raise capture_error(message) from None
        found.append(line)
    return sorted(found, key=lambda one: float(one["offset_ms"]))


def _frames(recording: Recording, name: str) -> Iterator[tuple[str, Hand, int]]:
    """Yield session, hand and picture number; a session gets an empty hand for a picture without its hand."""
    sequences: dict[str, list[Hand]] = {}
    for hand in recording.hands:
        sequences.setdefault(hand.sequence, []).append(hand)
    for sequence, hands in sequences.items():
        session = re.sub(r"[^A-Za-z0-9_-]+", "-", sequence)[:48] if sequence else name
        pictures = [list(found) for _, found in groupby(enumerate(hands), key=_picture)]
        slots = max(map(len, pictures))
        sides = {hand.side for hand in hands if hand.side} if slots > 1 else set()
        for number, picture in enumerate(pictures):
            shown = [hand for _, hand in picture]
            if slots == 1:
                yield session, shown[0], _number(shown[0], hands[0], number)
                continue
            by_slot = _by_slot(shown, sides, slots)
            for slot, hand in by_slot.items():
                yield f"{session}-{slot}", hand, _number(shown[0], hands[0], number)


def _picture(pair: tuple[int, Hand]) -> tuple[str, int]:
    """Return a key that the hands of one picture share: its number, or else their position."""
    position, hand = pair
    return ("frame", hand.frame) if hand.frame is not None else ("hand", position)


def _number(hand: Hand, first: Hand, position: int) -> int:
    if hand.frame is None or first.frame is None:
        return position
    return max(hand.frame - first.frame, 0)


def _by_slot(shown: list[Hand], sides: set[str], slots: int) -> dict[str, Hand]:
    """Return the hands of a picture by side if sides distinguish them, else by their order."""
    names = sorted(sides) if sides else [str(number) for number in range(1, slots + 1)]
    found: dict[str, Hand] = {}
    for hand in shown:
        slot = hand.side if hand.side and hand.side not in found else ""
        slot = slot or next((name for name in names if name not in found), str(len(found) + 1))
        found[slot] = hand
    for name in names:
        if name not in found:
            found[name] = Hand(None, time_ms=shown[0].time_ms, aspect=shown[0].aspect, row=shown[0].row)
    return found


def _line(hand: Hand, session: str, number: int, fps: float) -> Values:
    extra = dict(hand.extra)
    t = extra.pop("t", None)
    if type(t) is not int:
        t = round(number * 1000 / fps if hand.time_ms is None else hand.time_ms)
    line: Values = {
        "offset_ms": 0.0,
        "session": extra.pop("session", session) if isinstance(extra.get("session"), str) else session,
        "seq": _whole(extra.pop("seq", number)),
        "t": t,
        "aspect": hand.aspect,
    }
    given = {"label": hand.label, "user_id": hand.user, "source": hand.source}
    line |= {key: value for key, value in given.items() if value}
    line |= {key: value for key, value in extra.items() if key not in (*line, *given, "landmarks")}
    if hand.side and "hand" not in line:
        line["hand"] = hand.side
    line["landmarks"] = [] if hand.points is None else hand.points.tolist()
    return line


def _whole(value: Any) -> Any:
    """Return a table's cell as a number if it is one; else unchanged, for the check of the frame to
    report."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _offset_ms(hand: Hand, t: int, begin_t: int) -> float:
    given = hand.extra.get("offset_ms")
    if isinstance(given, str):
        given = float(given) if given.replace(".", "", 1).isdecimal() else None
    return float(max(t - begin_t, 0)) if given is None else given
