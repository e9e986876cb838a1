"""The messages of a browser on /play, validated: frames in two encodings, and a few others. Pure."""

from __future__ import annotations

import struct
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from gesture_maze.gateway.refusals import GatewayError, Refusal
from gesture_maze.wire.frames import (
    HAND,
    KNOWN_FLAGS,
    LANDMARK_BYTES,
    LANDMARKS,
    LEFT,
    MAX_ASPECT,
    MAX_MAGNITUDE,
    META_BYTES,
    MIN_ASPECT,
    MIRRORED,
)
from gesture_maze.wire.gestures import Action
from gesture_maze.wire.session_settings import SessionSettings

FRAME_BYTES: Final = META_BYTES + LANDMARK_BYTES
"""A packed frame: `wire.frames.META`, then 63 little-endian float32."""
MAX_MESSAGE_BYTES: Final = 4096
"""21 triples written out in full precision are 1,400 bytes."""
MAX_BROWSER_INTEGER: Final = (1 << 53) - 1
"""The largest integer that JavaScript represents exactly."""
MAX_NAME: Final = 24

_HEAD: Final = struct.Struct("<QqfI")

Number = Annotated[float, Field(ge=-MAX_MAGNITUDE, le=MAX_MAGNITUDE, allow_inf_nan=False)]
Point = Annotated[list[Number], Field(min_length=2, max_length=3)]
Points = Annotated[list[Point], Field(min_length=LANDMARKS, max_length=LANDMARKS)]
Aspect = Annotated[float, Field(ge=MIN_ASPECT, le=MAX_ASPECT, allow_inf_nan=False)]
_Pixels = Annotated[int, Field(ge=1, le=20_000)]
_Integer = Annotated[int, Field(ge=0, le=MAX_BROWSER_INTEGER)]


class Packed(NamedTuple):
    """A frame as it is sent, without its session. `landmarks` are 252 bytes."""

    seq: int
    captured_ms: int
    aspect: float
    flags: int
    landmarks: bytes


class _Message(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class Hello(_Message):
    """The first message of a socket."""

    type: Literal["hello"]
    name: Annotated[str, Field(max_length=200)] = ""
    width: _Pixels = 640
    height: _Pixels = 480
    token: Annotated[str, Field(max_length=512)] | None = None
    settings: SessionSettings | None = None


class Start(_Message):
    """Begin a new maze."""

    type: Literal["start"]
    size: Literal["small", "medium", "large"]
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)]


class Key(_Message):
    """A step by keyboard."""

    type: Literal["key"]
    move: Action


class Shown(_Message):
    """The source of the frames, for the scoreboard: a camera or the simulated hand."""

    type: Literal["input"]
    input: Literal["camera", "simulated"]


class Pause(_Message):
    """Whether moves have no effect, because a menu is open."""

    type: Literal["pause"]
    on: bool


class RaceEntry(_Message):
    """Join a race by its id, or begin one of this size if no id is given.

    With `look`, a player who is not in the race does not join yet, and learns whose race it is.
    """

    type: Literal["race"]
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{4,32}$")] | None = None
    size: Literal["small", "medium", "large"] = "small"
    look: bool = False


class Name(_Message):
    """Change the player's name, in the race and on the scoreboard."""

    type: Literal["name"]
    name: Annotated[str, Field(max_length=200)]


class Go(_Message):
    """Start the race that the player is in."""

    type: Literal["go"]


class TextFrame(_Message):
    """A frame for clients without a packer."""

    type: Literal["frame"] = "frame"
    seq: _Integer
    t: _Integer
    landmarks: Points | Annotated[list[Point], Field(max_length=0)]
    aspect: Aspect | None = None
    hand: Literal["left", "right"] | None = None
    mirrored: bool = False


AnyMessage = Start | Key | Shown | Pause | Name | RaceEntry | Go | TextFrame
_MESSAGE: Final[TypeAdapter[AnyMessage]] = TypeAdapter(Annotated[AnyMessage, Field(discriminator="type")])

_REASON_OF_FIELD: Final = {
    "landmarks": Refusal.BAD_LANDMARKS,
    "aspect": Refusal.BAD_ASPECT,
    "width": Refusal.BAD_ASPECT,
    "height": Refusal.BAD_ASPECT,
    "seq": Refusal.BAD_SEQ,
    "token": Refusal.BAD_TOKEN,
    "settings": Refusal.BAD_SETTINGS,
}
_NOT_FINITE: Final = {"finite_number", "less_than_equal", "greater_than_equal"}


def refusal_of(first: Mapping[str, Any]) -> GatewayError:
    """Return the first fault that pydantic found, without repeating what the client sent."""
    path = [str(part) for part in first["loc"]]
    field = next((part for part in path if part in _REASON_OF_FIELD), None)
    reason = _REASON_OF_FIELD[field] if field else Refusal.BAD_MESSAGE
    if reason is Refusal.BAD_LANDMARKS and first["type"] in _NOT_FINITE:
        reason = Refusal.NOT_FINITE
    return GatewayError(reason, f"{'.'.join(path) or 'the message'}: {first['msg']}")


def _first(error: ValidationError) -> Mapping[str, Any]:
    return error.errors(include_url=False, include_input=False)[0]


def read_json(text: bytes) -> dict[str, Any]:
    """Return a message as a JSON object.

    Raises:
        GatewayError: `bad_json`.
    """
    try:
        found = from_json(text)
    except ValueError as error:
        raise GatewayError(Refusal.BAD_JSON, f"not JSON: {error}") from None
    if not isinstance(found, dict):
        raise GatewayError(Refusal.BAD_JSON, "a message must be a JSON object")
    return found


def read_hello(text: bytes) -> Hello:
    """Return the first message.

    Raises:
        GatewayError: `no_hello`, `own_session_id`, or the reason for which it is invalid.
    """
    found = read_json(text)
    if found.get("type") != "hello":
        raise GatewayError(Refusal.NO_HELLO, 'the first message must be {"type": "hello", ...}')
    if "session" in found:
        raise GatewayError(Refusal.OWN_SESSION_ID, "the gateway assigns session ids: leave `session` out")
    try:
        return Hello.model_validate(found)
    except ValidationError as error:
        raise refusal_of(_first(error)) from None


def read_message(text: bytes) -> AnyMessage:
    """Return any later message; one without a type is a frame.

    Raises:
        GatewayError: with the reason for which it is invalid.
    """
    found = read_json(text)
    if "session" in found:
        raise GatewayError(Refusal.OWN_SESSION_ID, "the gateway assigns session ids: leave `session` out")
    try:
        return _MESSAGE.validate_python({"type": "frame"} | found)
    except ValidationError as error:
        raise refusal_of(_first(error)) from None


def unpack_frame(raw: bytes) -> Packed:
    """Return a packed frame; its landmarks are checked later, together with all others of the tick.

    Raises:
        GatewayError: `bad_frame`, `bad_seq` or `bad_aspect`.
    """
    if len(raw) != FRAME_BYTES:
        message = f"a packed frame must have {FRAME_BYTES} bytes, got {len(raw)}"
        raise GatewayError(Refusal.BAD_FRAME, message)
    seq, captured_ms, aspect, flags = _HEAD.unpack_from(raw)
    if seq > MAX_BROWSER_INTEGER:
        raise GatewayError(Refusal.BAD_SEQ, "seq must be at most 2**53 - 1")
    if not 0 <= captured_ms <= MAX_BROWSER_INTEGER or flags > KNOWN_FLAGS:
        raise GatewayError(Refusal.BAD_FRAME, "unknown flags, or a time out of range")
    if not MIN_ASPECT <= aspect <= MAX_ASPECT:
        raise GatewayError(Refusal.BAD_ASPECT, f"aspect must be from {MIN_ASPECT} to {MAX_ASPECT}")
    return Packed(seq, captured_ms, aspect, flags, raw[META_BYTES:])


def pack_points(points: list[list[float]]) -> bytes:
    """Return 21 pairs or triples as packed landmarks, with z = 0 if it is missing, or zeros for no
    hand."""
    if not points:
        return bytes(LANDMARK_BYTES)
    return np.array([(*point, 0.0)[:3] for point in points], "<f4").tobytes()


def pack_text(frame: TextFrame, aspect: float) -> Packed:
    """Return a text frame in packed form; `aspect` is that of the hello."""
    flags = HAND * bool(frame.landmarks) | LEFT * (frame.hand == "left") | MIRRORED * frame.mirrored
    return Packed(frame.seq, frame.t, frame.aspect or aspect, flags, pack_points(frame.landmarks))


def clean_name(name: str) -> str:
    """Return a nickname without control or invisible characters, at most `MAX_NAME` long."""
    shown = "".join(" " if char.isspace() else char for char in name if unicodedata.category(char)[0] != "C")
    return " ".join(shown.split())[:MAX_NAME].rstrip() or "player"


def encoded(kind: str, **values: Any) -> bytes:
    """Return a message to a browser."""
    return to_json({"type": kind, **values})
