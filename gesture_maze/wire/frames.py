"""Frames and how they are written into a stream entry, packed or as text.

A frame is one hand (or its absence) at one instant of one session. An entry carries one or more frames of one
partition, in one of two encodings:

* packed: field `s` = session ids joined by one space, `m` = `META` records, `l` = 63 little-endian float32
  per frame (x, y, z of the 21 landmarks), or in the place of `l` the field `c`, see `wire.compact`;
* text: field `json` = one object or a list of objects, see `wire.text`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gesture_maze.wire import mediapipe
from gesture_maze.wire.compact import to_compact
from gesture_maze.wire.errors import FrameError, RejectReason
from gesture_maze.wire.keys import check_session
from gesture_maze.wire.session_settings import SessionSettings

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

MetaArray = np.ndarray[tuple[int], np.dtype[np.void]] | npt.NDArray[np.void]
Float32 = npt.NDArray[np.float32]
PackedFields = tuple[bytes, bytes, bytes]
"""Values of the fields `s`, `m`, and `l` or, for compact landmarks, `c`."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as a game server knows it.

    Attributes:
        session: session id, `[A-Za-z0-9_-]{1,64}`.
        seq: 0 to 2**63-1, strictly rising for the life of the session id, also over restarts of the game
            server. None (the default) lets the producer take it from the clock.
        captured_ms: the client's clock in milliseconds; echoed in the reply, and the policy's only clock.
            None (the default) takes the time of the send.
        landmarks: (21, 2) or (21, 3) numbers, 21 points of MediaPipe (with `x`, `y` and `z`), or None where
            no hand is seen. Normalised image coordinates (x, y in units of image width and height, y down; z
            in units of the width), or any isotropic unit with `aspect` 1.
        aspect: image width / height.
        left: it is a left hand.
        mirrored: the image is mirrored.
        settings: of the session, from this frame on; give them with its first frame. A producer repeats them
            every few seconds by itself, for workers that take the session over.
    """

    session: str
    seq: int | None = None
    captured_ms: int | None = None
    landmarks: npt.ArrayLike | Sequence[Any] | None = None
    aspect: float = 1.0
    left: bool = False
    mirrored: bool = False
    settings: SessionSettings | None = None

    @classmethod
    def from_mediapipe(
        cls,
        result: Any,
        session: str,
        *,
        image_size: tuple[int, int],
        hand: int = 0,
        seq: int | None = None,
        captured_ms: int | None = None,
        mirrored: bool = False,
        label_of_mirrored: bool | None = None,
    ) -> Frame:
        """Return the frame of one hand of a MediaPipe result; without a hand if none was detected.

        Args:
            result: of HandLandmarker, GestureRecognizer or the legacy Hands, as Python objects, dicts or JSON
                of the JavaScript library; or the landmarks of one hand.
            session: session id.
            image_size: width and height, in pixels, of the picture that MediaPipe was given.
            hand: which of the detected hands, in MediaPipe's order, which may change from frame to frame.
            seq: as `Frame.seq`.
            captured_ms: as `Frame.captured_ms`.
            mirrored: the picture was mirrored, as a selfie camera shows it, before it was passed to
                MediaPipe.
            label_of_mirrored: MediaPipe's `Left` and `Right` are correct for mirrored pictures and have to be
                swapped for others. None decides: True for the legacy Hands, False for Tasks. Tasks before
                0.10.15 need True.

        Raises:
            FrameError: `bad_landmarks` or `bad_aspect`.
        """
        aspect = mediapipe.aspect_of(image_size)
        found = mediapipe.detected_hand(result, hand)
        if found is None:
            return cls(session, seq, captured_ms, None, aspect, mirrored=mirrored)
        left = found.is_left(mirrored=mirrored, label_of_mirrored=label_of_mirrored)
        return cls(session, seq, captured_ms, found.landmarks, aspect, left, mirrored)

    @property
    def flags(self) -> int:
        """Return the flag bits of the packed encoding."""
        return (
            HAND * (not _is_empty(self.landmarks)) | LEFT * bool(self.left) | MIRRORED * bool(self.mirrored)
        )


def landmark_array(landmarks: npt.ArrayLike | Sequence[Any] | None) -> Float32:
    """Return landmarks as (21, 3) float32: pairs get z = 0, no hand gives zeros.

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
        message = f"landmarks must be 21 pairs or triples, got an array of shape {points.shape}"
        raise FrameError(RejectReason.BAD_LANDMARKS, message)
    if not np.abs(points).max() <= MAX_MAGNITUDE:
        raise FrameError(RejectReason.NOT_FINITE, "a landmark is NaN, infinite or larger than 1e9")
    if points.shape[1] == 2:
        points = np.concatenate([points, np.zeros((LANDMARKS, 1), np.float32)], axis=1)
    return points


def check_frame(frame: Frame) -> Frame:
    """Check a frame and return it.

    Raises:
        FrameError: `bad_session`, `bad_seq`, `bad_time`, `bad_aspect` or `bad_settings`.
    """
    check_session(frame.session)
    if not _is_integer(frame.seq) or not 0 <= frame.seq <= MAX_SEQ:  # type: ignore[operator]
        message = f"seq must be an integer from 0 to 2**63-1, got {frame.seq!r:.80}"
        raise FrameError(RejectReason.BAD_SEQ, message)
    if not _is_integer(frame.captured_ms) or not -MAX_SEQ <= frame.captured_ms <= MAX_SEQ:  # type: ignore[operator]
        message = f"captured_ms must be a 64-bit integer, got {frame.captured_ms!r:.80}"
        raise FrameError(RejectReason.BAD_TIME, message)
    if not _is_number(frame.aspect) or not MIN_ASPECT <= frame.aspect <= MAX_ASPECT:
        message = f"aspect must be a number from 0.01 to 100, got {frame.aspect!r:.80}"
        raise FrameError(RejectReason.BAD_ASPECT, message)
    if not isinstance(frame.settings, SessionSettings | None):
        message = f"settings must be SessionSettings or None, got {type(frame.settings).__name__}"
        raise FrameError(RejectReason.BAD_SETTINGS, message)
    return frame


def _as_float32(landmarks: Any) -> Float32:
    if isinstance(landmarks, np.ndarray) and landmarks.dtype == np.float32:
        return landmarks
    if not isinstance(landmarks, np.ndarray) and mediapipe.is_point(landmarks[0]):
        landmarks = mediapipe.points(landmarks)
    # a number too large for float32 becomes infinite, which the caller refuses
    with np.errstate(over="ignore"):
        return np.asarray(landmarks, dtype=np.float32)


def _is_empty(landmarks: npt.ArrayLike | Sequence[Any] | None) -> bool:
    try:
        return landmarks is None or len(landmarks) == 0  # type: ignore[arg-type]
    except TypeError:
        return False


def _is_integer(value: object) -> bool:
    # by type, because packing would silently cut 1.5 to 1
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, float | np.floating) or _is_integer(value)


def pack(frames: Sequence[Frame]) -> PackedFields:
    """Check and pack frames: the values of the fields `s`, `m` and `l`.

    Raises:
        FrameError: with the reason the worker would have given, before anything is sent.
    """
    meta, landmarks = frame_arrays(frames)
    return pack_arrays([frame.session for frame in frames], meta, landmarks)


def frame_arrays(frames: Sequence[Frame]) -> tuple[MetaArray, Float32]:
    """Return checked frames as (n,) `META` and (n, 21, 3) float32.

    Raises:
        FrameError: for the first invalid frame.
    """
    meta = np.empty(len(frames), META)
    landmarks = np.empty((len(frames), LANDMARKS, 3), np.float32)
    for row, frame in enumerate(map(check_frame, frames)):
        meta[row] = (frame.seq, frame.captured_ms, frame.aspect, frame.flags)
        landmarks[row] = landmark_array(frame.landmarks)
    return meta, landmarks


def pack_arrays(sessions: Sequence[str], meta: MetaArray, landmarks: Float32) -> PackedFields:
    """Pack frames that are arrays already: the values of the fields `s`, `m` and `l`. Not checked.

    Args:
        sessions: n session ids.
        meta: (n,) `META`.
        landmarks: (n, 21, 3) float32.

    Raises:
        FrameError: `too_large`.
    """
    return _sized(join_arrays(sessions, meta, landmarks))


def join_arrays(sessions: Sequence[str], meta: MetaArray, landmarks: Float32) -> PackedFields:
    """Pack frames as `pack_arrays` does, but of any size."""
    return " ".join(sessions).encode(), meta.tobytes(), landmarks.astype("<f4", copy=False).tobytes()


def pack_compact(sessions: Sequence[str], meta: MetaArray, landmarks: Float32) -> PackedFields | None:
    """Pack frames as `pack_arrays` does, but with compact landmarks: the values of the fields `s`, `m` and
    `c`.

    Returns:
        None if a coordinate is outside -1 to 3, which only the full encoding can carry.
    """
    compact = to_compact(landmarks, (meta["flags"] & HAND) != 0)
    return None if compact is None else _sized((" ".join(sessions).encode(), meta.tobytes(), compact))


def _sized(packed: PackedFields) -> PackedFields:
    if sum(map(len, packed)) > MAX_ENTRY_BYTES:
        frames = len(packed[1]) // META_BYTES
        message = f"an entry of {frames} frames is over {MAX_ENTRY_BYTES} bytes: send fewer at a time"
        raise FrameError(RejectReason.TOO_LARGE, message)
    return packed
