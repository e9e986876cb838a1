"""Stream entries -> frames, vectorised: a handful of numpy calls for a batch of any length.

The data's way: text entries are packed first, then all entries are joined and viewed as arrays at once, so
that there is one path to the frames. What breaks the contract is set aside with its reason; its neighbours,
in the same entry too, go on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

import numpy as np
import numpy.typing as npt

from gesture_maze.wire.errors import FrameError, RejectReason
from gesture_maze.wire.frames import (
    KNOWN_FLAGS,
    LANDMARK_BYTES,
    LANDMARKS,
    MAX_ASPECT,
    MAX_ENTRY_BYTES,
    MAX_MAGNITUDE,
    MAX_SEQ,
    META,
    META_BYTES,
    MIN_ASPECT,
    Float32,
    PackedFields,
    pack,
)
from gesture_maze.wire.text import dump, frame_of, parse_objects

RawFields = Sequence[bytes]
"""The fields of one entry as Redis gives them: name, value, name, value, ..."""

_PACKED_NAMES: Final = [b"s", b"m", b"l"]
_values: Final[Callable[[RawFields], PackedFields]] = itemgetter(1, 3, 5)


@dataclass(slots=True)
class Frames:
    """n frames in stream order, as columns.

    Attributes:
        entry: (n,) int64, which of the decoded entries each frame came from.
        sessions: n session ids, not yet checked (see `wire.keys.is_session`).
        seq: (n,) uint64.
        captured_ms: (n,) int64.
        aspect: (n,) float32.
        flags: (n,) uint32.
        landmarks: (n, 21, 3) float32, read-only.
    """

    entry: npt.NDArray[np.int64]
    sessions: list[bytes]
    seq: npt.NDArray[np.uint64]
    captured_ms: npt.NDArray[np.int64]
    aspect: Float32
    flags: npt.NDArray[np.uint32]
    landmarks: Float32

    def __len__(self) -> int:
        """How many frames."""
        return len(self.sessions)

    def fields(self, row: int) -> list[bytes]:
        """One frame as the fields of an entry of its own, as a dead letter keeps it."""
        meta = np.array(
            [(self.seq[row], self.captured_ms[row], self.aspect[row], self.flags[row])], dtype=META
        )
        return [b"s", self.sessions[row], b"m", meta.tobytes(), b"l", self.landmarks[row].tobytes()]

    def take(self, rows: npt.NDArray[np.intp]) -> Frames:
        """The frames at `rows`, in that order."""
        sessions = [self.sessions[row] for row in rows.tolist()]
        columns = (self.seq[rows], self.captured_ms[rows], self.aspect[rows], self.flags[rows])
        return Frames(self.entry[rows], sessions, *columns, self.landmarks[rows])


@dataclass(frozen=True, slots=True)
class Reject:
    """A frame, or a whole entry that cannot be taken apart, that breaks the contract."""

    entry: int
    reason: RejectReason
    fields: RawFields


def decode(entries: Sequence[RawFields]) -> tuple[Frames, list[Reject]]:
    """Take entries apart into frames and rejects. O(bytes); never raises for what an entry holds."""
    rejects: list[Reject] = []
    kept, packed = _packed(entries, rejects)
    counts = [len(fields[1]) // META_BYTES for fields in packed]
    frames = _join(packed, np.repeat(np.array(kept, np.int64), counts))
    valid = _valid(frames)
    if valid is not None:
        rejects.extend(_reject(frames, row) for row in np.flatnonzero(~valid).tolist())
        frames = frames.take(np.flatnonzero(valid))
    return frames, rejects


def _packed(entries: Sequence[RawFields], rejects: list[Reject]) -> tuple[list[int], list[PackedFields]]:
    kept: list[int] = []
    packed: list[PackedFields] = []
    for index, fields in enumerate(entries):
        try:
            one = _values(fields) if fields[::2] == _PACKED_NAMES else _other_encoding(fields, index, rejects)
            if one is None:
                continue
            _check_lengths(one)
        except FrameError as error:
            rejects.append(Reject(index, RejectReason(error.reason), fields))
            continue
        kept.append(index)
        packed.append(one)
    return kept, packed


def _check_lengths(packed: PackedFields) -> None:
    sessions, meta, landmarks = packed
    count, rest = divmod(len(meta), META_BYTES)
    if rest or len(landmarks) != count * LANDMARK_BYTES or sessions.count(b" ") + 1 != count:
        raise FrameError(RejectReason.BAD_LENGTH, "s, m and l must describe the same number of frames")
    if len(sessions) + len(meta) + len(landmarks) > MAX_ENTRY_BYTES:
        raise FrameError(RejectReason.TOO_LARGE, "the entry is over 1 MiB")


def _other_encoding(fields: RawFields, index: int, rejects: list[Reject]) -> PackedFields | None:
    """A text entry packed, or a packed one whose fields stand in another order."""
    named = dict(zip(fields[::2], fields[1::2], strict=True))
    if sum(map(len, fields)) > MAX_ENTRY_BYTES:
        raise FrameError(RejectReason.TOO_LARGE, "the entry is over 1 MiB")
    if b"json" in named:
        return _pack_text(named[b"json"], index, rejects)
    try:
        return named[b"s"], named[b"m"], named[b"l"]
    except KeyError:
        raise FrameError(RejectReason.UNKNOWN_ENCODING, "neither s, m, l nor json") from None


def _pack_text(raw: bytes, index: int, rejects: list[Reject]) -> PackedFields | None:
    frames = []
    for one in parse_objects(raw):
        try:
            frames.append(frame_of(one))
        except FrameError as error:
            rejects.append(Reject(index, RejectReason(error.reason), [b"json", dump(one)]))
    return pack(frames) if frames else None


def _join(packed: Sequence[PackedFields], entry: npt.NDArray[np.int64]) -> Frames:
    if not packed:
        sessions, meta, landmarks = list[bytes](), b"", b""
    else:
        columns = tuple(zip(*packed, strict=True))
        sessions = b" ".join(columns[0]).split(b" ")
        meta, landmarks = b"".join(columns[1]), b"".join(columns[2])
    records = np.frombuffer(meta, META)
    points = np.frombuffer(landmarks, "<f4").reshape(-1, LANDMARKS, 3)
    numbers = (records["seq"], records["captured_ms"], records["aspect"], records["flags"])
    return Frames(entry, sessions, *numbers, points)


def _valid(frames: Frames) -> npt.NDArray[np.bool_] | None:
    """Which frames keep the contract, or None (the fast way) where all of them do."""
    if not len(frames):
        return None
    # min and max over everything are a few µs; NaN makes each comparison false
    landmarks, aspect = frames.landmarks, frames.aspect
    if (
        landmarks.max() <= MAX_MAGNITUDE
        and landmarks.min() >= -MAX_MAGNITUDE
        and aspect.max() <= MAX_ASPECT
        and aspect.min() >= MIN_ASPECT
        and frames.flags.max() <= KNOWN_FLAGS
        and frames.seq.max() <= MAX_SEQ
    ):
        return None
    good: npt.NDArray[np.bool_] = np.array([_fault(frames, row) is None for row in range(len(frames))])
    return good


def _fault(frames: Frames, row: int) -> RejectReason | None:
    if frames.seq[row] > MAX_SEQ:
        return RejectReason.BAD_SEQ
    if not MIN_ASPECT <= frames.aspect[row] <= MAX_ASPECT:
        return RejectReason.BAD_ASPECT
    if frames.flags[row] > KNOWN_FLAGS:
        return RejectReason.BAD_FLAGS
    if not np.abs(frames.landmarks[row]).max() <= MAX_MAGNITUDE:
        return RejectReason.NOT_FINITE
    return None


def _reject(frames: Frames, row: int) -> Reject:
    reason = _fault(frames, row)
    assert reason is not None
    return Reject(int(frames.entry[row]), reason, frames.fields(row))
