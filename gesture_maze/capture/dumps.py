"""Convert dumps of streams, as redis-cli prints them, to lines of a capture.

A dump is what `redis-cli XRANGE 'frames:{3}' - +` prints: in a terminal or with `--no-raw`, and for entries
in the text encoding also with `--json`.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from gesture_maze.capture.files import capture_error
from gesture_maze.capture.writer import lines_of
from gesture_maze.wire.decode import decode
from gesture_maze.wire.frames import META
from gesture_maze.wire.keys import frames_key, is_session

_STRING: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"\s*$')
_ESCAPE: Final = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)")
_PLAIN: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}
_ENTRY_ID: Final = re.compile(rb"\d{1,20}-\d{1,20}")


def lines_of_dumps(paths: Iterable[Path]) -> Iterator[str]:
    """Yield the frames of several dumps as lines of one capture, in the order of their entry ids.

    Raises:
        SettingsError: `capture`: a file is not a dump, or an entry is invalid.
    """
    entries = sorted((entry for path in paths for entry in _entries(path)), key=lambda entry: entry[:2])
    if not entries:
        return
    frames, rejects = decode([fields for _, _, fields in entries])
    if rejects or not all(map(is_session, frames.sessions)):
        first = entries[rejects[0].entry] if rejects else entries[0]
        reason = rejects[0].reason if rejects else "bad_session"
        raise capture_error(f"entry {first[0]}-{first[1]} is invalid: {reason}")
    begin_ms = entries[0][0]
    offset_ms = [float(entries[entry][0] - begin_ms) for entry in frames.entry.tolist()]
    meta = np.empty(len(frames), META)
    for name in ("seq", "captured_ms", "aspect", "flags"):
        meta[name] = getattr(frames, name)
    names = [session.decode() for session in frames.sessions]
    for line in lines_of(offset_ms, names, meta, frames.landmarks, frames.settings):
        yield f"{line}}}"


def _entries(path: Path) -> Iterator[tuple[int, int, list[bytes]]]:
    """Yield the entries of one dump: ms and counter of the id, fields."""
    data = path.read_bytes()
    found = _json_entries(data) if data.lstrip()[:1] == b"[" else _terminal_entries(data)
    entries = []
    for entry_id, fields in found:
        if _ENTRY_ID.fullmatch(entry_id):
            ms, _, counter = entry_id.partition(b"-")
            entries.append((int(ms), int(counter), fields))
    if not entries or any(len(fields) % 2 for *_, fields in entries):
        raise capture_error(
            f"{path} is not a dump of a stream: print one with "
            f"redis-cli --no-raw XRANGE '{frames_key(0)}' - +"
        )
    yield from entries


def _json_entries(data: bytes) -> Iterator[tuple[bytes, list[bytes]]]:
    try:
        for entry_id, fields in json.loads(data):
            # Redis 7 lists the fields, Valkey and RESP 3 may give them as an object
            pairs = [part for pair in fields.items() for part in pair] if isinstance(fields, dict) else fields
            yield entry_id.encode(), [part.encode() for part in pairs]
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise capture_error(f"the dump is not what redis-cli --json prints: {error}") from None


def _terminal_entries(data: bytes) -> Iterator[tuple[bytes, list[bytes]]]:
    strings: list[bytes] = []
    for line in io.BytesIO(data):
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
