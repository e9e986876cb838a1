"""The text encoding of frames: JSON for clients without a packer and for people at redis-cli.

One object, or a list of them:
`{"session": "p1", "seq": 17, "t": 1700000000000, "aspect": 1.3333, "landmarks": [[x, y, z], ... 21]}`.
`aspect` may be left out (1.0), points may be pairs (z = 0), `landmarks: []` means that no hand is seen,
`"hand": "left"` and `"mirrored": true` set the flags, `settings` those of the session. Other keys are
ignored.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json, to_json

from gesture_maze.wire.errors import FrameError, RejectReason
from gesture_maze.wire.frames import (
    MAX_ASPECT,
    MAX_MAGNITUDE,
    MAX_SEQ,
    MIN_ASPECT,
    Frame,
    check_frame,
    landmark_array,
)
from gesture_maze.wire.session_settings import SessionSettings

LEAST_FRAME_BYTES: Final = 40
"""Shorter than any text frame, in bytes: a list with more items than fit at this length cannot hold
frames."""
FEW_ITEMS: Final = 8
"""Up to this many items, a list may be of any length: its faulty frames are rejected one by one."""

_Number = Annotated[float, Field(ge=-MAX_MAGNITUDE, le=MAX_MAGNITUDE, allow_inf_nan=False)]
_Point = Annotated[list[_Number], Field(min_length=2, max_length=3)]


class _Text(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    session: Annotated[str, Field(pattern=r"\A[A-Za-z0-9_-]{1,64}\z")]
    seq: Annotated[int, Field(ge=0, le=MAX_SEQ)]
    t: Annotated[int, Field(ge=-MAX_SEQ, le=MAX_SEQ)]
    aspect: Annotated[float, Field(ge=MIN_ASPECT, le=MAX_ASPECT, allow_inf_nan=False)] = 1.0
    landmarks: list[_Point]
    hand: Literal["left", "right"] | None = None
    mirrored: bool = False
    settings: SessionSettings | None = None


_REASON_OF_FIELD: Final = {
    "session": RejectReason.BAD_SESSION,
    "seq": RejectReason.BAD_SEQ,
    "t": RejectReason.BAD_TIME,
    "aspect": RejectReason.BAD_ASPECT,
    "landmarks": RejectReason.BAD_LANDMARKS,
    "hand": RejectReason.BAD_FLAGS,
    "mirrored": RejectReason.BAD_FLAGS,
    "settings": RejectReason.BAD_SETTINGS,
}
_NOT_FINITE: Final = {"finite_number", "less_than_equal", "greater_than_equal"}


def parse_objects(raw: bytes) -> list[Any]:
    """Return the frame objects of a text entry, not yet checked one by one.

    Raises:
        FrameError: `bad_json`.
    """
    try:
        parsed = from_json(raw)
    except ValueError as error:
        raise FrameError(RejectReason.BAD_JSON, f"not JSON: {error}") from None
    objects = parsed if isinstance(parsed, list) else [parsed]
    if not objects:
        raise FrameError(RejectReason.BAD_JSON, "an empty list carries no frame")
    if len(objects) > FEW_ITEMS + len(raw) // LEAST_FRAME_BYTES:
        # 1 MiB of `[0,0,...` would give half a million dead letters
        message = f"{len(objects)} items in {len(raw)} bytes cannot be frames"
        raise FrameError(RejectReason.BAD_JSON, message)
    return objects


def frame_of(parsed: Any) -> Frame:
    """Return one parsed JSON value as a frame.

    Raises:
        FrameError: with the reason of the first fault found.
    """
    try:
        text = _Text.model_validate(parsed)
    except ValidationError as error:
        raise FrameError(*_fault(error)) from None
    landmarks = landmark_array(text.landmarks) if text.landmarks else None
    left = text.hand == "left"
    return Frame(text.session, text.seq, text.t, landmarks, text.aspect, left, text.mirrored, text.settings)


def object_of(frame: Frame) -> dict[str, Any]:
    """Return a frame as the JSON object of the text encoding, after checking it. Inverse of `frame_of`."""
    check_frame(frame)
    hand = frame.flags & 1
    found: dict[str, Any] = {
        "session": frame.session,
        "seq": frame.seq,
        "t": frame.captured_ms,
        "aspect": frame.aspect,
        "landmarks": landmark_array(frame.landmarks).tolist() if hand else [],
    }
    if frame.left:
        found["hand"] = "left"
    if frame.mirrored:
        found["mirrored"] = True
    if frame.settings is not None:
        found["settings"] = frame.settings.values()
    return found


def dump(value: Any) -> bytes:
    """Return a JSON value as compact UTF-8 bytes."""
    return to_json(value)


def _fault(error: ValidationError) -> tuple[RejectReason, str]:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    if not first["loc"]:
        return RejectReason.BAD_JSON, "a frame must be a JSON object"
    reason = _REASON_OF_FIELD[str(first["loc"][0])]
    if reason is RejectReason.BAD_LANDMARKS and first["type"] in _NOT_FINITE:
        reason = RejectReason.NOT_FINITE
    return reason, f"{where}: {first['msg']}"
