"""Frames -> entries: one entry per partition and tick, checked and packed before anything is sent. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter
from typing import Final

import numpy as np
import numpy.typing as npt

from gesture_maze.wire.compact import from_compact
from gesture_maze.wire.errors import FrameError, RejectReason
from gesture_maze.wire.frames import (
    HAND,
    KNOWN_FLAGS,
    LANDMARKS,
    MAX_ASPECT,
    MAX_MAGNITUDE,
    MAX_SEQ,
    META,
    MIN_ASPECT,
    Float32,
    Frame,
    PackedFields,
    frame_arrays,
    pack_arrays,
    pack_compact,
)
from gesture_maze.wire.keys import check_session, partition_of
from gesture_maze.wire.session_settings import SessionSettings, pack_settings

MAX_FRAMES_PER_ENTRY: Final = 1024
"""A larger tick of one partition is split: an entry may have 1 MiB, a frame up to 341 bytes."""

MAX_SETTINGS_BYTES: Final = 512 * 1024
"""Most bytes of settings in an entry, so that its frames fit beside them."""

MAX_KNOWN_SESSIONS: Final = 1 << 16
"""Sessions whose partition is remembered; about 10 MiB. All are forgotten when there are more."""

Settings = Mapping[int, SessionSettings]
"""Settings of sessions by row of the frame that carries them."""
NONE: Final[Settings] = {}

Columns = tuple[npt.NDArray[np.void], npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One stream entry that is to be added.

    Attributes:
        partition: its partition.
        fields: values of `s`, `m` and `l`, or of `c` instead of `l`.
        rows: positions of its frames in the arguments of the send, ascending.
        compact: the landmarks are compact.
        settings: value of the field `o`, settings of sessions; empty for none.
        reply_to: name of the reply channel for its frames; "" if the replies go to the sessions' channels.
    """

    partition: int
    fields: PackedFields
    rows: Sequence[int]
    compact: bool = False
    settings: bytes = b""
    reply_to: str = ""

    @property
    def sessions(self) -> set[str]:
        """Return the ids of its sessions."""
        return set(self.fields[0].decode().split(" "))

    @property
    def landmarks(self) -> Float32:
        """Return the landmarks as the pool decodes them, (n, 21, 3) float32."""
        meta = np.frombuffer(self.fields[1], META)
        if self.compact:
            return from_compact(self.fields[2], (meta["flags"] & HAND) != 0)
        return np.frombuffer(self.fields[2], "<f4").reshape(-1, LANDMARKS, 3)


class Router(dict[str, int]):
    """Session id -> partition, remembered, so that a session id is checked only once.

    Attributes:
        partitions: partition count.
        compact: the pool takes compact landmarks; changes with the topology.

    Raises:
        FrameError: `bad_session`, for an invalid session id.
    """

    def __init__(self, partitions: int) -> None:
        super().__init__()
        self.partitions: Final = partitions
        self.compact = False

    def __missing__(self, session: str) -> int:
        if len(self) >= MAX_KNOWN_SESSIONS:
            self.clear()
        partition = partition_of(check_session(session), self.partitions)
        self[session] = partition
        return partition


def plan_frames(frames: Sequence[Frame], router: Router, settings: Settings = NONE) -> list[Entry]:
    """Return one entry per partition, in ascending order of partitions, each with its frames in their order.

    Raises:
        FrameError: for the first invalid frame.
    """
    if len(frames) == 1:
        return [_entry(router, router[frames[0].session], frames, (0,), settings)]
    rows_of: dict[int, list[int]] = {}
    for row, frame in enumerate(frames):
        rows_of.setdefault(router[frame.session], []).append(row)
    chunks = [
        (partition, rows_of[partition][start : start + MAX_FRAMES_PER_ENTRY])
        for partition in sorted(rows_of)
        for start in range(0, len(rows_of[partition]), MAX_FRAMES_PER_ENTRY)
    ]
    return [
        _entry(router, partition, [frames[row] for row in rows], rows, settings) for partition, rows in chunks
    ]


def _entry(
    router: Router, partition: int, frames: Sequence[Frame], rows: Sequence[int], settings: Settings
) -> Entry:
    return _packed(router, partition, [one.session for one in frames], *frame_arrays(frames), rows, settings)


def _packed(
    router: Router,
    partition: int,
    sessions: Sequence[str],
    meta: npt.NDArray[np.void],
    points: Float32,
    rows: Sequence[int],
    settings: Settings,
) -> Entry:
    """Return an entry in the smallest encoding that the pool takes and that can carry the landmarks."""
    packed = _packed_settings(rows, settings) if settings else b""
    if router.compact:
        fields = pack_compact(sessions, meta, points)
        if fields is not None:
            return Entry(partition, fields, rows, True, packed)
    return Entry(partition, pack_arrays(sessions, meta, points), rows, False, packed)


def _packed_settings(rows: Sequence[int], settings: Settings) -> bytes:
    own = {index: settings[row] for index, row in enumerate(rows) if row in settings}
    packed = pack_settings(own) if own else b""
    if len(packed) > MAX_SETTINGS_BYTES:
        message = (
            f"the settings of {len(own)} sessions are over {MAX_SETTINGS_BYTES} bytes: send fewer at a time"
        )
        raise FrameError(RejectReason.TOO_LARGE, message)
    return packed


def columns(
    sessions: Sequence[str],
    seq: npt.ArrayLike,
    captured_ms: npt.ArrayLike,
    aspect: npt.ArrayLike,
    flags: npt.ArrayLike,
    landmarks: npt.ArrayLike,
) -> Columns:
    """Return n checked frames as (n,) `META` and (n, 21, 3) float32. See `FrameProducer.send_arrays`.

    Raises:
        FrameError: for the first invalid frame, or `bad_length` for arrays of other shapes.
    """
    count = len(sessions)
    # a number too large for float32 becomes infinite, and is refused below
    with np.errstate(over="ignore"):
        points = np.asarray(landmarks, np.float32)
    if points.shape != (count, LANDMARKS, 3):
        message = f"landmarks must have the shape ({count}, 21, 3), got {points.shape}"
        raise FrameError(RejectReason.BAD_LENGTH, message)
    meta = np.empty(count, META)
    for name, values in (("seq", seq), ("captured_ms", captured_ms), ("aspect", aspect), ("flags", flags)):
        column = np.asarray(values)
        if column.shape not in ((), (count,)):
            raise FrameError(RejectReason.BAD_LENGTH, f"{name} must be one number or {count} numbers")
        if name != "aspect" and column.dtype.kind not in "iu":
            raise FrameError(_REASON_OF_COLUMN[name], f"{name} must be integers, got {column.dtype}")
        _check_column(name, column)
        meta[name] = column
    good = np.abs(points).max(axis=(1, 2), initial=0.0) <= MAX_MAGNITUDE
    if not good.all():
        message = f"frame {int(np.argmin(good))}: a landmark is NaN, infinite or larger than 1e9"
        raise FrameError(RejectReason.NOT_FINITE, message)
    return meta, points


_REASON_OF_COLUMN: Final = {
    "seq": RejectReason.BAD_SEQ,
    "captured_ms": RejectReason.BAD_TIME,
    "aspect": RejectReason.BAD_ASPECT,
    "flags": RejectReason.BAD_FLAGS,
}
_RANGE_OF_COLUMN: Final[dict[str, tuple[float, float]]] = {
    "seq": (0, MAX_SEQ),
    "captured_ms": (-MAX_SEQ, MAX_SEQ),
    "aspect": (MIN_ASPECT, MAX_ASPECT),
    "flags": (0, KNOWN_FLAGS),
}


def _check_column(name: str, column: npt.NDArray[np.generic]) -> None:
    low, high = _RANGE_OF_COLUMN[name]
    # at least one dimension, so that the position of the first fault can be named
    flat = np.atleast_1d(column)
    good = (flat >= low) & (flat <= high)
    if not good.all():
        row = int(np.argmin(good))
        raise FrameError(
            _REASON_OF_COLUMN[name], f"frame {row}: {name} must be from {low} to {high}, got {flat[row]}"
        )


def plan_arrays(
    sessions: Sequence[str], frames: Columns, router: Router, settings: Settings = NONE
) -> list[Entry]:
    """Return the same as `plan_frames`, from arrays, with a few numpy calls and one join per partition."""
    if not len(sessions):
        return []
    meta, points = frames
    partitions = np.fromiter(map(router.__getitem__, sessions), np.int64, len(sessions))
    order = np.argsort(partitions, kind="stable")
    ordered = partitions[order]
    meta, points = meta[order], points[order]
    rows: list[int] = order.tolist()
    names = itemgetter(*rows)(sessions) if len(rows) > 1 else (sessions[0],)
    starts = [0, *(np.flatnonzero(np.diff(ordered)) + 1).tolist(), len(rows)]
    entries = []
    for low, high in _slices(starts):
        part = names[low:high], meta[low:high], points[low:high], rows[low:high]
        entries.append(_packed(router, int(ordered[low]), *part, settings))
    return entries


def _slices(starts: Sequence[int]) -> list[tuple[int, int]]:
    return [
        (start, min(start + MAX_FRAMES_PER_ENTRY, end))
        for begin, end in pairwise(starts)
        for start in range(begin, end, MAX_FRAMES_PER_ENTRY)
    ]
