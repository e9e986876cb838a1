"""Why the gateway refuses something: the closed list of metric labels, messages and log keys."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from gesture_maze.wire.errors import MazeError


class Refusal(StrEnum):
    """Closed: a new kind of fault gets a new member here."""

    BAD_LANDMARKS = "bad_landmarks"
    """Not 21 pairs or triples of numbers."""
    NOT_FINITE = "not_finite"
    """A landmark is NaN, infinite, or larger than 1e9 in magnitude."""
    BAD_ASPECT = "bad_aspect"
    """The aspect, or the image size, is out of range."""
    BAD_JSON = "bad_json"
    """Not JSON, or not a JSON object."""
    BAD_FRAME = "bad_frame"
    """A frame of another length, with unknown flags or times, or a message in pieces."""
    BAD_SEQ = "bad_seq"
    """The seq does not rise, or is beyond what a browser can count."""
    BAD_MESSAGE = "bad_message"
    """JSON, but not a message of the game."""
    TOO_LARGE = "too_large"
    """The body or message is larger than anything the game needs."""
    TOO_FAST = "too_fast"
    """Too many frames or messages per second."""
    TOO_SLOW = "too_slow"
    """A request did not end in time, or the client does not read its response."""
    TOO_MANY_REQUESTS = "too_many_requests"
    """The address has reached its limit of requests or connections, concurrent or per second."""
    BAD_METHOD = "bad_method"
    """The HTTP method is not supported."""
    FLOOD = "flood"
    """So many refusals in a row that the socket was closed."""
    BAD_ORIGIN = "bad_origin"
    """The page that opened the socket has another origin."""
    TOO_MANY_SESSIONS = "too_many_sessions"
    """The address, or all addresses together, have reached their limit of sockets."""
    NO_HELLO = "no_hello"
    """The socket did not send a hello in time, or sent something else first."""
    BAD_SETTINGS = "bad_settings"
    """The settings in the hello are unknown or outside their bounds."""
    BAD_TOKEN = "bad_token"  # noqa: S105 - a word, not a secret
    """The token was not signed by this gateway."""
    EXPIRED_TOKEN = "expired_token"  # noqa: S105
    """The token is too old."""
    STOLEN_TOKEN = "stolen_token"  # noqa: S105
    """The token was given to another browser."""
    OWN_SESSION_ID = "own_session_id"
    """The client sent a session id of its own."""
    REPLACED = "replaced"
    """The session was resumed on another socket."""
    NO_RACE = "no_race"
    """The race is unknown, or over."""
    RACE_FULL = "race_full"
    """The race has reached its limit of players."""
    NO_ANSWER = "no_answer"
    """No worker answered in time."""
    BUSY = "busy"
    """The pool, Redis or the gateway cannot take more frames now."""
    UNAVAILABLE = "unavailable"
    """Redis cannot be reached."""


class GatewayError(MazeError):
    """A client's message or request is refused. `reason` is a `Refusal`."""

    def __init__(self, reason: Refusal, message: str) -> None:
        super().__init__(reason, message)
        self.refusal: Final = reason


CLOSE_CODES: Final[dict[Refusal, int]] = {
    Refusal.TOO_LARGE: 4413,
    Refusal.FLOOD: 4429,
    Refusal.TOO_MANY_SESSIONS: 4430,
    Refusal.TOO_MANY_REQUESTS: 4430,
    Refusal.NO_HELLO: 4408,
    Refusal.BAD_TOKEN: 4401,
    Refusal.EXPIRED_TOKEN: 4401,
    Refusal.STOLEN_TOKEN: 4401,
    Refusal.REPLACED: 4409,
    Refusal.UNAVAILABLE: 4503,
}
"""WebSocket close code of refusals that end the socket; 4400 for the others."""
BAD_REQUEST: Final = 4400
