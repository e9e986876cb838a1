"""Stream entries -> frames, vectorised: a handful of numpy calls for a batch of any length.

Text entries are packed first, then all entries are joined and viewed as arrays at once, so that there is one
path to the frames. An invalid frame is set aside with its reason and does not affect other frames, not even
those of the same entry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final

import numpy as np
import numpy.typing as npt

from gesture_maze.wire.beside import Beside
from gesture_maze.wire.compact import COMPACT_BYTES, from_compact, to_compact
from gesture_maze.wire.errors import FrameError, RejectReason
from gesture_maze.wire.frames import (
    HAND,
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
    frame_arrays,
    join_arrays,
)
from gesture_maze.wire.keys import REPLY_TO, SETTINGS
from gesture_maze.wire.session_settings import BadSettings, OfRows, pack_settings
from gesture_maze.wire.text import dump, frame_of, parse_objects

FEW_FRAMES: Final = 32
"""Up to this many frames, a loop in Python is faster than a call of numpy per number."""

RawFields = Sequence[bytes]
"""The fields of one entry as Redis gives them: name, value, name, value, ..."""

_PACKED_NAMES: Final = [b"s", b"m", b"l"]
_COMPACT_NAMES: Final = [b"s", b"m", b"c"]
_FIELDS: Final = 2 * len(_PACKED_NAMES)
_BESIDE: Final = frozenset((REPLY_TO, SETTINGS))
_MAX_SQUARES: Final = 0.5 * MAX_MAGNITUDE**2
"""Up to this sum of squares all landmarks are valid, however float32 rounds it. Hands have about 10 each."""
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
        without_z: (n,) bool, which frames came with compact landmarks, whose z = 0 has no meaning; None where
            none did.
        reply_to: index of an entry -> the name of its reply channel, for entries that name one.
        settings: row -> the settings of its session, for frames that carry some.
        traceparent: index of an entry -> its W3C trace context, not checked, for entries that have one.
    """

    entry: npt.NDArray[np.int64]
    sessions: list[bytes]
    seq: npt.NDArray[np.uint64]
    captured_ms: npt.NDArray[np.int64]
    aspect: Float32
    flags: npt.NDArray[np.uint32]
    landmarks: Float32
    without_z: npt.NDArray[np.bool_] | None = None
    reply_to: dict[int, bytes] = field(default_factory=dict)
    settings: OfRows = field(default_factory=dict)
    traceparent: dict[int, bytes] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.sessions)

    def all_have(self, flag: int) -> bool:
        """Return whether all frames have a flag of `wire.frames`."""
        if len(self) <= FEW_FRAMES:
            return all(flags & flag for flags in self.flags.tolist())
        return bool((self.flags & flag).all())

    def any_has(self, flag: int) -> bool:
        """Return whether any frame has a flag of `wire.frames`."""
        if len(self) <= FEW_FRAMES:
            return any(flags & flag for flags in self.flags.tolist())
        return bool((self.flags & flag).any())

    def fields(self, row: int) -> list[bytes]:
        """Return one frame as the fields of an entry of its own, for a dead letter; in its own encoding."""
        numbers = (self.seq[row], self.captured_ms[row], self.aspect[row], self.flags[row])
        meta = np.array([numbers], dtype=META)
        fields = [b"s", self.sessions[row], b"m", meta.tobytes()]
        name = self.reply_to.get(int(self.entry[row]))
        reply_to = [] if name is None else [REPLY_TO, name]
        if row in self.settings:
            reply_to += [SETTINGS, pack_settings({0: self.settings[row]})]
        landmarks = self.landmarks[row : row + 1]
        if self.without_z is not None and self.without_z[row]:
            compact = to_compact(landmarks, (meta["flags"] & HAND) != 0)
            if compact is not None:
                return [*fields, b"c", compact, *reply_to]
        return [*fields, b"l", landmarks.tobytes(), *reply_to]

    def take(self, rows: npt.NDArray[np.intp]) -> Frames:
        """Return the frames at `rows`, in that order."""
        sessions = [self.sessions[row] for row in rows.tolist()]
        columns = (self.seq[rows], self.captured_ms[rows], self.aspect[rows], self.flags[rows])
        without_z = None if self.without_z is None else self.without_z[rows]
        landmarks = self.landmarks[rows]
        settings = self.settings
        if settings:
            settings = {new: settings[row] for new, row in enumerate(rows.tolist()) if row in settings}
        beside = (self.reply_to, settings, self.traceparent)
        return Frames(self.entry[rows], sessions, *columns, landmarks, without_z, *beside)


@dataclass(frozen=True, slots=True)
class Reject:
    """An invalid frame, or a whole entry that cannot be decoded."""

    entry: int
    reason: RejectReason
    fields: RawFields


def decode(entries: Sequence[RawFields]) -> tuple[Frames, list[Reject]]:
    """Decode entries into frames and rejects. O(bytes). An invalid entry never raises an error."""
    rejects: list[Reject] = []
    frames = _single_frames(entries)
    if frames is None:
        beside = Beside()
        kept, packed, compact = _packed(entries, rejects, beside)
        counts = np.array([len(fields[1]) // META_BYTES for fields in packed], np.int64)
        frames = _join(packed, np.repeat(np.array(kept, np.int64), counts))
        frames.reply_to, frames.traceparent = beside.reply_to, beside.traceparent
        if beside.settings:
            firsts = zip(kept, (np.cumsum(counts) - counts).tolist(), strict=True)
            frames.settings = {
                first + at: one
                for entry, first in firsts
                for at, one in beside.settings.get(entry, {}).items()
            }
        if compact:
            _add_compact(frames, packed, counts, compact)
    valid = _valid(frames)
    if valid is not None:
        rejects.extend(_reject(frames, row) for row in np.flatnonzero(~valid).tolist())
        frames = frames.take(np.flatnonzero(valid))
    return frames, rejects


def _single_frames(entries: Sequence[RawFields]) -> Frames | None:
    """Decode entries of one packed frame each, all in the same encoding, column by column: a quarter of the
    time of the general way.

    Returns:
        The frames; None if any entry is anything else.
    """
    try:
        columns = tuple(zip(*entries, strict=True))
    except ValueError:
        return None
    if len(columns) != _FIELDS:
        return None
    name_s, s, name_m, m, name_l, landmarks = columns
    n = len(entries)
    compact = name_l[0] == b"c"
    if not (name_s.count(b"s") == name_m.count(b"m") == name_l.count(b"c" if compact else b"l") == n):
        return None
    size = COMPACT_BYTES if compact else LANDMARK_BYTES
    if set(map(len, m)) != {META_BYTES} or set(map(len, landmarks)) != {size}:
        return None
    joined = b" ".join(s)
    sessions = joined.split(b" ")
    if len(sessions) != n or len(joined) > MAX_ENTRY_BYTES - META_BYTES - LANDMARK_BYTES:
        return None  # an entry has no session or several, or may be too large
    if not compact:
        return _frames(np.arange(n), sessions, b"".join(m), b"".join(landmarks))
    frames = _frames(np.arange(n), sessions, b"".join(m), b"")
    frames.landmarks = from_compact(b"".join(landmarks), (frames.flags & HAND) != 0)
    frames.landmarks.flags.writeable = False
    frames.without_z = np.ones(n, np.bool_)
    return frames


def _packed(
    entries: Sequence[RawFields], rejects: list[Reject], beside: Beside
) -> tuple[list[int], list[PackedFields], list[int]]:
    """Return which entries were kept, their packed fields, and which of these are compact.

    Args:
        entries: all entries.
        rejects: gets the invalid frames and entries.
        beside: gets what stands beside the frames.
    """
    kept: list[int] = []
    packed: list[PackedFields] = []
    compact: list[int] = []
    for index, fields in enumerate(entries):
        landmark_bytes = LANDMARK_BYTES
        try:
            names = fields[::2]
            if names not in (_PACKED_NAMES, _COMPACT_NAMES):
                beside.take(index, fields)
                names = names[:3] if _BESIDE.issuperset(names[3:]) else names
            if names == _PACKED_NAMES:
                one: PackedFields | None = _values(fields)
            elif names == _COMPACT_NAMES:
                one, landmark_bytes = _values(fields), COMPACT_BYTES
            else:
                one, landmark_bytes = _other_encoding(fields, index, rejects, beside)
            if one is None:
                continue
            _check_lengths(one, landmark_bytes)
            if names in (_PACKED_NAMES, _COMPACT_NAMES):  # others were checked before they were packed
                _check_size(one)
            beside.check_settings(index, len(one[1]) // META_BYTES)
        except FrameError as error:
            rejects.append(Reject(index, RejectReason(error.reason), fields))
            continue
        if landmark_bytes == COMPACT_BYTES:
            compact.append(len(kept))
        kept.append(index)
        packed.append(one)
    return kept, packed, compact


def _check_lengths(packed: PackedFields, landmark_bytes: int) -> None:
    sessions, meta, landmarks = packed
    count, rest = divmod(len(meta), META_BYTES)
    if rest or len(landmarks) != count * landmark_bytes or sessions.count(b" ") + 1 != count:
        message = "s, m and l (or c) must describe the same number of frames"
        raise FrameError(RejectReason.BAD_LENGTH, message)


def _check_size(fields: Sequence[bytes]) -> None:
    """Check what arrived: a text entry without hands may take more once it is packed."""
    if sum(map(len, fields)) > MAX_ENTRY_BYTES:
        raise FrameError(RejectReason.TOO_LARGE, "the entry is over 1 MiB")


def _other_encoding(
    fields: RawFields, index: int, rejects: list[Reject], beside: Beside
) -> tuple[PackedFields | None, int]:
    """Return a text entry packed, or a packed one in another order, and the bytes of a frame's landmarks.

    The last three arguments are those of `_pack_text`.
    """
    named = dict(zip(fields[::2], fields[1::2], strict=True))
    _check_size(fields)
    if b"json" in named:
        return _pack_text(named[b"json"], index, rejects, beside), LANDMARK_BYTES
    if b"s" in named and b"m" in named and (b"l" in named) != (b"c" in named):
        if b"l" in named:
            return (named[b"s"], named[b"m"], named[b"l"]), LANDMARK_BYTES
        return (named[b"s"], named[b"m"], named[b"c"]), COMPACT_BYTES
    message = "expected the fields s, m and l (or c), or json"
    raise FrameError(RejectReason.UNKNOWN_ENCODING, message)


def _pack_text(raw: bytes, index: int, rejects: list[Reject], beside: Beside) -> PackedFields | None:
    """Return the frames of a text entry packed, or None if it has no valid frame.

    Args:
        raw: the text.
        index: of the entry.
        rejects: gets its invalid frames, each as a text entry of its own.
        beside: has the entry's reply channel, and gets the settings that its frames carry.
    """
    name = beside.reply_to.get(index)
    more = [] if name is None else [REPLY_TO, name]
    frames = []
    for one in parse_objects(raw):
        try:
            frames.append(frame_of(one))
        except FrameError as error:
            rejects.append(Reject(index, RejectReason(error.reason), [b"json", dump(one), *more]))
    settings = {at: one.settings for at, one in enumerate(frames) if one.settings is not None}
    if settings:
        beside.settings[index] = settings
    if not frames:
        return None
    # not `pack`, which refuses what is too large to be sent
    return join_arrays([one.session for one in frames], *frame_arrays(frames))


def _join(packed: Sequence[PackedFields], entry: npt.NDArray[np.int64]) -> Frames:
    """Return the frames of packed entries; landmarks as if all entries were in the full encoding."""
    if not packed:
        sessions, meta, landmarks = list[bytes](), b"", b""
    else:
        columns = tuple(zip(*packed, strict=True))
        sessions = b" ".join(columns[0]).split(b" ")
        meta, landmarks = b"".join(columns[1]), b"".join(columns[2])
    return _frames(entry, sessions, meta, landmarks)


def _frames(entry: npt.NDArray[np.int64], sessions: list[bytes], meta: bytes, landmarks: bytes) -> Frames:
    records = np.frombuffer(meta, META)
    numbers = (records["seq"], records["captured_ms"], records["aspect"], records["flags"])
    if len(landmarks) != len(records) * LANDMARK_BYTES:
        # some entries are compact: `_add_compact` puts their landmarks in
        points = np.zeros((len(records), LANDMARKS, 3), np.float32)
    else:
        points = np.frombuffer(landmarks, "<f4").reshape(-1, LANDMARKS, 3)
    return Frames(entry, sessions, *numbers, points)


def _add_compact(
    frames: Frames, packed: Sequence[PackedFields], counts: npt.NDArray[np.int64], compact: Sequence[int]
) -> None:
    """Fill in the landmarks of entries in both packed encodings; those at `compact` are compact."""
    is_compact = np.zeros(len(packed), np.bool_)
    is_compact[compact] = True
    rows = np.repeat(is_compact, counts)
    hand = (frames.flags[rows] & HAND) != 0
    if rows.all():
        frames.landmarks = from_compact(b"".join(one[2] for one in packed), hand)
    else:
        frames.landmarks[rows] = from_compact(b"".join(packed[at][2] for at in compact), hand)
        full = b"".join(one[2] for one, skip in zip(packed, is_compact.tolist(), strict=True) if not skip)
        frames.landmarks[~rows] = np.frombuffer(full, "<f4").reshape(-1, LANDMARKS, 3)
    frames.landmarks.flags.writeable = False
    frames.without_z = rows


def _valid(frames: Frames) -> npt.NDArray[np.bool_] | None:
    """Return which frames are valid, or None (the fast path) if all of them are."""
    if not len(frames):
        return None
    faulty = [row for row, one in frames.settings.items() if isinstance(one, BadSettings)]
    if not faulty and _all_valid(frames):
        return None
    aspect = frames.aspect
    good: npt.NDArray[np.bool_] = (
        (frames.seq <= MAX_SEQ)
        & (aspect >= MIN_ASPECT)
        & (aspect <= MAX_ASPECT)
        & (frames.flags <= KNOWN_FLAGS)
        & (np.abs(frames.landmarks).reshape(len(frames), -1).max(axis=1) <= MAX_MAGNITUDE)
    )
    good[faulty] = False
    return good


def _all_valid(frames: Frames) -> bool:
    """Return whether all numbers of all frames are valid. May return False if one is at a limit."""
    landmarks, aspect = frames.landmarks, frames.aspect
    # no coordinate is larger than the root of the sum of all squares; NaN makes each comparison false
    if not np.vdot(landmarks, landmarks) <= _MAX_SQUARES:  # unlike `dot`, it does not warn of an overflow
        return False
    if len(frames) <= FEW_FRAMES:
        return (
            all(MIN_ASPECT <= one <= MAX_ASPECT for one in aspect.tolist())
            and max(frames.flags.tolist()) <= KNOWN_FLAGS
            and max(frames.seq.tolist()) <= MAX_SEQ
        )
    return bool(
        aspect.max() <= MAX_ASPECT
        and aspect.min() >= MIN_ASPECT
        and frames.flags.max() <= KNOWN_FLAGS
        and frames.seq.max() <= MAX_SEQ
    )


def _fault(frames: Frames, row: int) -> RejectReason | None:
    if isinstance(frames.settings.get(row), BadSettings):
        return RejectReason.BAD_SETTINGS
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
