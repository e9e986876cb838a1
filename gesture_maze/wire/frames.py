"""Frames and how they are written into a stream entry, packed or as text.

A frame is one hand (or its absence) at one instant of one session. An entry carries one or more frames of one
partition, in one of two encodings:

* packed: field `s` = session ids joined by one space, `m` = `META` records, `l` = 63 little-endian float32
  per frame (x, y, z of the 21 landmarks);
* text: field `json` = one object or a list of objects, see `wire.text`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gesture_maze.wire.errors import FrameError, RejectReason
from gesture_maze.wire.keys import check_session

LANDMARKS: Final = 21
"""Landmarks of a hand, in MediaPipe's order (0 = wrist)."""

HAND: Final = 1
"""Flag: a hand is present."""
LEFT: Final = 2
"""Flag: it is a left hand."""
MIRRORED: Final = 4
"""Flag: the image is mirrored, as a selfie camera shows it."""
KNOWN_FLAGS: Final = HAND | LEFT | MIRRORED

META: Final = np.dtype([("seq", "<u8"), ("captured_ms", "<i8"), ("aspect", "<f4"), ("flags", "<u4")])
"""One packed frame without its landmarks: 24 bytes."""
META_BYTES: Final = 24
LANDMARK_BYTES: Final = LANDMARKS * 3 * 4

MAX_ENTRY_BYTES: Final = 1 << 20
"""Larger entries are rejected: one of them would hold up its partition for milliseconds."""
MAX_SEQ: Final = (1 << 63) - 1
MIN_ASPECT: Final = 0.01
MAX_ASPECT: Final = 100.0
MAX_MAGNITUDE: Final = 1e9
"""Largest landmark coordinate; its square must stay far inside float32."""

Float32 = npt.NDArray[np.float32]
PackedFields = tuple[bytes, bytes, bytes]


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as a game server knows it.

    Attributes:
        session: session id, `[A-Za-z0-9_-]{1,64}`.
        seq: 0 to 2**63-1, strictly rising for the life of the session id.
        captured_ms: the client's clock in milliseconds; echoed in the reply, and the policy's only clock.
        landmarks: (21, 2) or (21, 3) numbers, or None where no hand is seen. MediaPipe's normalised image
            coordinates (x, y in units of image width and height, y down; z in units of the width), or any
            isotropic unit with `aspect` 1.
        aspect: image width / height.
        left: it is a left hand.
        mirrored: the image is mirrored.
    """

    session: str
    seq: int
    captured_ms: int
    landmarks: npt.ArrayLike | None
    aspect: float = 1.0
    left: bool = False
    mirrored: bool = False

    @property
    def flags(self) -> int:
        """The flag bits of the packed encoding."""
        return (
            HAND * (not _is_empty(self.landmarks)) | LEFT * bool(self.left) | MIRRORED * bool(self.mirrored)
        )


def landmark_array(landmarks: npt.ArrayLike | None) -> Float32:
    """Landmarks as (21, 3) float32; pairs get z = 0, no hand gives zeros.

    Raises:
        FrameError: `bad_landmarks` or `not_finite`.
    """
    if _is_empty(landmarks):
        return np.zeros((LANDMARKS, 3), np.float32)
    try:
        points = _as_float32(landmarks)
    except (TypeError, ValueError, OverflowError) as error:
        raise FrameError(RejectReason.BAD_LANDMARKS, f"landmarks are not numbers: {error}") from None
    if points.shape not in ((LANDMARKS, 2), (LANDMARKS, 3)):
        message = f"landmarks must be 21 pairs or triples, not an array of shape {points.shape}"
        raise FrameError(RejectReason.BAD_LANDMARKS, message)
    if not np.abs(points).max() <= MAX_MAGNITUDE:
        raise FrameError(RejectReason.NOT_FINITE, "a landmark is NaN, infinite or larger than 1e9")
    if points.shape[1] == 2:
        points = np.concatenate([points, np.zeros((LANDMARKS, 1), np.float32)], axis=1)
    return points


def check_frame(frame: Frame) -> Frame:
    """The frame itself; raises `FrameError` if its session, seq, time or aspect breaks the contract."""
    check_session(frame.session)
    if not _is_integer(frame.seq) or not 0 <= frame.seq <= MAX_SEQ:
        raise FrameError(RejectReason.BAD_SEQ, f"seq {frame.seq!r:.80} is no integer of 0..2**63-1")
    if not _is_integer(frame.captured_ms) or not -MAX_SEQ <= frame.captured_ms <= MAX_SEQ:
        message = f"captured_ms {frame.captured_ms!r:.80} is no integer of 64 bits"
        raise FrameError(RejectReason.BAD_TIME, message)
    if not _is_number(frame.aspect) or not MIN_ASPECT <= frame.aspect <= MAX_ASPECT:
        raise FrameError(RejectReason.BAD_ASPECT, f"aspect {frame.aspect!r:.80} is no number of 0.01..100")
    return frame


def _as_float32(landmarks: npt.ArrayLike | None) -> Float32:
    if isinstance(landmarks, np.ndarray) and landmarks.dtype == np.float32:
        return landmarks
    # what is too large for float32 becomes infinite, which is for the caller to notice
    with np.errstate(over="ignore"):
        return np.asarray(landmarks, dtype=np.float32)


def _is_empty(landmarks: npt.ArrayLike | None) -> bool:
    try:
        return landmarks is None or len(landmarks) == 0  # type: ignore[arg-type]
    except TypeError:
        return False


def _is_integer(value: object) -> bool:
    # by type, because a 1.5 would be cut to 1 without a word when it is packed
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, float | np.floating) or _is_integer(value)


def pack(frames: Sequence[Frame]) -> PackedFields:
    """Check and pack frames: the values of the fields `s`, `m` and `l`.

    Raises:
        FrameError: with the reason the worker would have given, before anything is sent.
    """
    meta = np.empty(len(frames), META)
    landmarks = np.empty((len(frames), LANDMARKS, 3), np.float32)
    for row, frame in enumerate(map(check_frame, frames)):
        meta[row] = (frame.seq, frame.captured_ms, frame.aspect, frame.flags)
        landmarks[row] = landmark_array(frame.landmarks)
    return pack_arrays([frame.session for frame in frames], meta, landmarks)


def pack_arrays(
    sessions: Sequence[str], meta: np.ndarray[tuple[int], np.dtype[np.void]], landmarks: Float32
) -> PackedFields:
    """Pack frames that are already arrays: n session ids, (n,) `META`, (n, 21, 3) float32. Unchecked."""
    packed = (" ".join(sessions).encode(), meta.tobytes(), landmarks.astype("<f4", copy=False).tobytes())
    if sum(map(len, packed)) > MAX_ENTRY_BYTES:
        message = f"an entry of {len(sessions)} frames is over {MAX_ENTRY_BYTES} bytes: send fewer at a time"
        raise FrameError(RejectReason.TOO_LARGE, message)
    return packed
