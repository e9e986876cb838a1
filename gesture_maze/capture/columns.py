"""Parse and check many lines of a capture at once, as columns. Pure.

If any line of a block is unusual, the result is None, and the caller parses each line by itself with the
wire's own rules, which report the invalid line and the reason. This makes replaying fast.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gesture_maze.wire.errors import FrameError
from gesture_maze.wire.frames import (
    HAND,
    LANDMARKS,
    LEFT,
    MAX_ASPECT,
    MAX_MAGNITUDE,
    MAX_SEQ,
    META,
    MIN_ASPECT,
    MIRRORED,
    Float32,
)
from gesture_maze.wire.keys import is_session
from gesture_maze.wire.session_settings import SessionSettings
from gesture_maze.wire.text import parse_objects

Reply = dict[str, Any]
"""A recorded reply, whose confidence is a number if it has one; its other values are not checked."""
Columns = tuple[
    list[float], list[str], npt.NDArray[np.void], Float32, dict[int, SessionSettings], dict[int, Reply]
]
"""offset_ms, sessions, (n,) META, (n, 21, 3) float32, settings by row, recorded replies by row."""

_NUMBERS: Final = {int, float}
_MAX_OFFSET_MS: Final = sys.float_info.max


def columns_of(lines: Sequence[bytes], known: set[str]) -> Columns | None:
    """Return the lines as columns, or None if any line may be invalid.

    Args:
        lines: frames of a capture.
        known: session ids that were found valid; new ones are added.
    """
    joined = b"[%b]" % b",".join(lines)
    try:
        objects = parse_objects(joined)
        if len(objects) != len(lines):
            return None
        offset_ms = [one["offset_ms"] for one in objects]
        sessions = [one["session"] for one in objects]
        points = [one["landmarks"] for one in objects]
        settings = _settings(objects) if b'"settings"' in joined else {}
        replies = replies_of(objects) if b'"reply"' in joined else {}
        meta = _meta(objects, points, joined)
    except (FrameError, KeyError, TypeError, AttributeError, ValueError, OverflowError):
        return None
    if meta is None or not set(map(type, offset_ms)) <= _NUMBERS or not _within(offset_ms, 0, _MAX_OFFSET_MS):
        return None
    if not _legal(sessions, known):
        return None
    landmarks = _landmarks(points)
    return None if landmarks is None else (offset_ms, sessions, meta, landmarks, settings, replies)


def _settings(objects: list[Any]) -> dict[int, SessionSettings]:
    found = ((row, one.get("settings")) for row, one in enumerate(objects))
    return {row: SessionSettings.parse(one) for row, one in found if one is not None}


def replies_of(objects: Iterable[Any]) -> dict[int, Reply]:
    """Return the recorded replies of frames, JSON objects, by row; malformed ones are left out."""
    found = ((row, one.get("reply")) for row, one in enumerate(objects))
    return {row: one for row, one in found if type(one) is dict and _is_number(one.get("confidence", 0.0))}


def _is_number(value: Any) -> bool:
    return type(value) in _NUMBERS and math.isfinite(value)


def _meta(objects: list[Any], points: list[Any], joined: bytes) -> npt.NDArray[np.void] | None:
    seqs = [one["seq"] for one in objects]
    times = [one["t"] for one in objects]
    aspects = [one.get("aspect", 1.0) for one in objects]
    hands = [one.get("hand") for one in objects]
    mirrored = [one.get("mirrored", False) for one in objects]
    if set(map(type, seqs)) != {int} or set(map(type, times)) != {int} or set(map(type, points)) != {list}:
        return None
    if not set(map(type, aspects)) <= _NUMBERS or not set(hands) <= {None, "left", "right"}:
        return None
    if set(map(type, mirrored)) != {bool} or not _no_other_bools(mirrored, objects, joined):
        return None
    if not _within(seqs, 0, MAX_SEQ) or not _within(times, -MAX_SEQ, MAX_SEQ):
        return None
    if not _within(aspects, MIN_ASPECT, MAX_ASPECT):
        return None
    meta = np.empty(len(objects), META)
    meta["seq"], meta["captured_ms"], meta["aspect"] = seqs, times, aspects
    flags = np.array([HAND if one else 0 for one in points], np.uint32)
    flags |= np.array([LEFT if hand == "left" else 0 for hand in hands], np.uint32)
    meta["flags"] = flags | np.where(mirrored, MIRRORED, 0).astype(np.uint32)
    return meta


def _within(values: list[Any], least: float, most: float) -> bool:
    # min and max may ignore a NaN, a sum does not
    return bool(least <= min(values) and max(values) <= most and not math.isnan(sum(values)))


def _no_other_bools(mirrored: list[bool], objects: list[Any], joined: bytes) -> bool:
    """Check that there is no `true` among the numbers, where numpy would read it as 1."""
    stated = sum("mirrored" in one for one in objects)
    true = sum(mirrored)
    return joined.count(b"true") == true and joined.count(b"false") == stated - true


def _legal(sessions: list[Any], known: set[str]) -> bool:
    new = set(sessions) - known
    if not all(isinstance(session, str) and is_session(session) for session in new):
        return False
    known |= new
    return True


def _landmarks(points: list[list[Any]]) -> Float32 | None:
    shown = [row for row, one in enumerate(points) if one]
    landmarks = np.zeros((len(points), LANDMARKS, 3), np.float32)
    if not shown:
        return landmarks
    try:
        found = np.array([points[row] for row in shown] if len(shown) < len(points) else points)
    except ValueError:
        return None  # not all of one shape
    if found.dtype.kind not in "if" or found.shape[1:] not in ((LANDMARKS, 2), (LANDMARKS, 3)):
        return None
    if not np.abs(found).max() <= MAX_MAGNITUDE:
        return None
    landmarks[shown, :, : found.shape[2]] = found
    return landmarks
