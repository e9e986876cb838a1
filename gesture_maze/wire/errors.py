"""One tree of errors, `MazeError` at its root.

Every error carries a `reason` from a closed list. The same word is the metric label, the field of the dead
letter and the key in the log, so that a person can follow one fault through all three.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gesture_maze.wire.frames import Frame


class RejectReason(StrEnum):
    """Why a frame ended as `rejected` or `buried`. Closed: a new fault gets a new word here, nowhere else."""

    UNKNOWN_ENCODING = "unknown_encoding"
    """The entry has neither the packed fields `s`, `m`, `l` nor the text field `json`."""
    TOO_LARGE = "too_large"
    """The entry is over `wire.frames.MAX_ENTRY_BYTES`."""
    BAD_LENGTH = "bad_length"
    """The packed fields disagree about the number of frames, or are not whole frames."""
    BAD_JSON = "bad_json"
    """The text field is not a JSON object, nor a list of them."""
    BAD_SESSION = "bad_session"
    """The session id is missing or does not match `[A-Za-z0-9_-]{1,64}`."""
    WRONG_PARTITION = "wrong_partition"
    """The session belongs to another partition than the stream the entry was found on."""
    BAD_SEQ = "bad_seq"
    """The seq is missing, not an integer, or outside 0..2**63-1."""
    BAD_TIME = "bad_time"
    """`t` is missing or not an integer of 64 bits."""
    BAD_ASPECT = "bad_aspect"
    """The aspect is not a number from 0.01 to 100."""
    BAD_FLAGS = "bad_flags"
    """A flag bit is set that version 1 of the wire does not know."""
    BAD_LANDMARKS = "bad_landmarks"
    """Not 21 pairs or triples of numbers (nor an empty list: no hand)."""
    NOT_FINITE = "not_finite"
    """A landmark is NaN, infinite, or larger than 1e9 in magnitude."""
    PROCESSING_FAILED = "processing_failed"
    """Buried: classifying the frame raised an error three times."""
    KILLED_WORKER = "killed_worker"
    """Buried: three workers died while they held the frame."""


class MazeError(Exception):
    """Root of every error that this project raises on purpose.

    Args:
        reason: a word from the closed list of the subclass.
        message: a sentence for a person: what is wrong, where, and what to do.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = str(reason)


class FrameError(MazeError):
    """A frame breaks the contract. `reason` is a `RejectReason`."""


class SettingsError(MazeError):
    """A setting, option or input file is wrong; the program says so and does not start.

    Reasons: `settings`, `topology`, `capture`, `data`.
    """


class ModelError(MazeError):
    """A model bundle is broken, foreign or unfit; it is refused. Reasons are listed in `models.bundle`."""


class _NotSent(MazeError):
    """A send that did not, or perhaps did not, reach its streams in whole.

    Attributes:
        rows: positions, in what was handed to the send, of the frames that are not known to be accepted;
            rising. Every other frame was accepted.
        frames: those frames themselves; empty where frames were sent as arrays.
    """

    def __init__(
        self, reason: str, message: str, rows: Sequence[int] = (), frames: Sequence[Frame] = ()
    ) -> None:
        super().__init__(reason, message)
        self.rows = tuple(rows)
        self.frames = tuple(frames)


class ConnectionLost(_NotSent):
    """Redis cannot be reached or does not answer: wait, then try again. Reason: `connection`.

    After a send, the fate of `frames` is unknown. Sending exactly these again, before any newer frame of
    their sessions, doubles no effect: the pool drops what it has already seen by seq.
    """


class Refused(ConnectionLost):
    """Redis answers, but with an error (a read-only replica, a key put to another use): wait as well."""


class Backpressure(_NotSent):
    """The pool or Redis cannot take more frames now; `frames` were **not** accepted, all others were.

    A late gesture is worth nothing: forget these frames and send newer ones after a while.

    Reasons: `lag` (the pool is too far behind) and `memory` (Redis is at its memory limit).
    """
