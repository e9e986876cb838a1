"""Captures from what people have: landmark recordings as JSON or CSV, and raw dumps of the streams.

* A recording is one session: a JSON list (or JSON lines) of hands or of objects with `landmarks`, or a CSV
  with columns x1,y1[,z1] to x21,y21[,z21]. A folder is as many sessions as it has `.json`, `.jsonl` and
  `.csv` files.
* A dump is what `redis-cli XRANGE 'frames:{3}' - +` prints: as it stands in a terminal or with `--no-raw`,
  and for entries in the text encoding also with `--json`.
"""

from __future__ import annotations

import csv
import heapq
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from gesture_maze.capture.files import capture_error
from gesture_maze.capture.writer import lines_of
from gesture_maze.wire.decode import decode
from gesture_maze.wire.errors import FrameError
from gesture_maze.wire.frames import LANDMARKS, META
from gesture_maze.wire.keys import is_session
from gesture_maze.wire.text import frame_of

RECORDINGS: Final = (".json", ".jsonl", ".csv")
Values = dict[str, Any]
"""A frame as the JSON object of its line."""


def convert(sources: Sequence[Path], *, fps: float, aspect: float) -> Iterator[str]:
    """Recordings and dumps -> lines of one capture, in the order of time.

    Args:
        sources: folders, recordings and dumps.
        fps: frames per second of recordings that do not say when a frame was.
        aspect: image width / height, where a recording does not say.

    Raises:
        SettingsError: `capture`, naming the file and the frame that cannot be used.
    """
    dumps = [path for path in sources if path.is_file() and path.suffix not in RECORDINGS]
    recordings = [one for path in sources if path not in dumps for one in _files(path)]
    if not dumps and not recordings:
        raise capture_error(f"There is nothing to convert: no {', '.join(RECORDINGS)} files and no dumps.")
    sessions = [_recording(path, fps, aspect) for path in recordings]
    for values in heapq.merge(*sessions, key=lambda values: float(values["offset_ms"])):
        yield json.dumps(values, separators=(",", ":"))
    yield from _dumped(dumps)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(one for one in path.iterdir() if one.suffix in RECORDINGS)
    return [path]


def _recording(path: Path, fps: float, aspect: float) -> list[Values]:
    items = _csv(path) if path.suffix == ".csv" else _json(path)
    session = re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem)[:64] or "session"
    begin_t: int | None = None
    found = []
    for number, item in enumerate(items):
        values = item if isinstance(item, dict) else {"landmarks": item}
        t = values.get("t", round(number * 1000 / fps))
        begin_t = t if begin_t is None else begin_t
        line: Values = {
            "offset_ms": values.get("offset_ms", t - begin_t if isinstance(t, int) else 0),
            "session": values.get("session", session),
            "seq": values.get("seq", number),
            "t": t,
            "aspect": values.get("aspect", aspect),
        }
        line |= {key: value for key, value in values.items() if key not in line}
        line["landmarks"] = _points(values.get("landmarks"))
        try:
            frame_of(line)
        except FrameError as error:
            raise capture_error(f"{path}: frame {number + 1}: {error.reason}: {error}") from None
        found.append(line)
    return sorted(found, key=lambda one: float(one["offset_ms"]))


def _points(landmarks: Any) -> Any:
    """Points as lists, also where they are objects with x, y and z, as MediaPipe's JavaScript gives them."""
    if not isinstance(landmarks, list):
        return [] if landmarks is None else landmarks
    return [
        [point.get("x"), point.get("y"), point.get("z", 0.0)] if isinstance(point, dict) else point
        for point in landmarks
    ]


def _json(path: Path) -> list[Any]:
    text = path.read_text(encoding="utf-8")
    try:
        content = json.loads(text)
    except ValueError:
        return [_parsed(path, at, line) for at, line in enumerate(text.splitlines(), 1) if line.strip()]
    frames = content.get("frames", [content]) if isinstance(content, dict) else content
    if not isinstance(frames, list):
        raise capture_error(f"{path}: a recording is a list of frames.")
    return frames


def _parsed(path: Path, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise capture_error(f"{path}: line {number} is not JSON: {error}.") from None


def _csv(path: Path) -> Iterator[Values]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        names = set(reader.fieldnames or ())
        axes = ("x", "y", "z") if "z1" in names else ("x", "y")
        columns = [[f"{axis}{point}" for axis in axes] for point in range(1, LANDMARKS + 1)]
        missing = [name for point in columns for name in point if name not in names]
        if missing:
            raise capture_error(f"{path}: there is no column {missing[0]}.")
        taken = {name for point in columns for name in point}
        for row in reader:
            try:
                yield _row(row, columns, taken)
            except (ValueError, TypeError) as error:
                raise capture_error(f"{path}: line {reader.line_num}: {error}.") from None


def _row(row: dict[str, str], columns: list[list[str]], taken: set[str]) -> Values:
    values: Values = {name: text for name, text in row.items() if name not in taken and text}
    for name, kind in (("seq", int), ("t", int), ("aspect", float), ("offset_ms", float)):
        if name in values:
            values[name] = kind(values[name])
    shown = bool(row[columns[0][0]])
    values["landmarks"] = [[float(row[name]) for name in point] for point in columns] if shown else []
    return values


# --- dumps of streams

_STRING: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"\s*$')
_ESCAPE: Final = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)")
_PLAIN: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}
_ENTRY_ID: Final = re.compile(rb"\d+-\d+")


def _dumped(paths: Iterable[Path]) -> Iterator[str]:
    entries = sorted((entry for path in paths for entry in _entries(path)), key=lambda entry: entry[:2])
    if not entries:
        return
    frames, rejects = decode([fields for _, _, fields in entries])
    if rejects or not all(map(is_session, frames.sessions)):
        first = entries[rejects[0].entry] if rejects else entries[0]
        reason = rejects[0].reason if rejects else "bad_session"
        raise capture_error(f"entry {first[0]}-{first[1]} breaks the contract: {reason}.")
    begin_ms = entries[0][0]
    offset_ms = [float(entries[entry][0] - begin_ms) for entry in frames.entry.tolist()]
    meta = np.empty(len(frames), META)
    for name in ("seq", "captured_ms", "aspect", "flags"):
        meta[name] = getattr(frames, name)
    names = [session.decode() for session in frames.sessions]
    for line in lines_of(offset_ms, names, meta, frames.landmarks):
        yield f"{line}}}"


def _entries(path: Path) -> Iterator[tuple[int, int, list[bytes]]]:
    """Entries of one dump: ms and counter of the id, fields."""
    data = path.read_bytes()
    found = _json_entries(data) if data.lstrip()[:1] == b"[" else _terminal_entries(data)
    entries = [
        (*map(int, entry_id.split(b"-")), fields)
        for entry_id, fields in found
        if _ENTRY_ID.fullmatch(entry_id)
    ]
    if not entries:
        raise capture_error(f"{path} is no dump of a stream: redis-cli --no-raw XRANGE 'frames:{{0}}' - +")
    yield from entries  # type: ignore[misc]


def _json_entries(data: bytes) -> Iterator[tuple[bytes, list[bytes]]]:
    try:
        for entry_id, fields in json.loads(data):
            # Redis 7 lists the fields, Valkey and RESP 3 may give them as an object
            pairs = [part for pair in fields.items() for part in pair] if isinstance(fields, dict) else fields
            yield entry_id.encode(), [part.encode() for part in pairs]
    except (ValueError, TypeError, AttributeError) as error:
        raise capture_error(f"the dump is not what redis-cli --json prints: {error}") from None


def _terminal_entries(data: bytes) -> Iterator[tuple[bytes, list[bytes]]]:
    strings: list[bytes] = []
    for line in data.splitlines():
        match = _STRING.search(line)
        if match is None:
            continue
        if re.match(rb"\s*\d+\) 1\) \"\d+-\d+\"", line) and not line.startswith(b"   2) "):
            if strings:
                yield strings[0], strings[1:]
            strings = []
        strings.append(_ESCAPE.sub(_unescaped, match[1]))
    if strings:
        yield strings[0], strings[1:]


def _unescaped(match: re.Match[bytes]) -> bytes:
    code = match[1]
    return bytes([int(code[1:], 16)]) if len(code) == 3 else _PLAIN.get(code, code)
