"""Errors of a send: each names the frames that are not known to be accepted."""

from __future__ import annotations

from collections.abc import Sequence

from gesture_maze.wire.errors import ConnectionLost, MazeError, RedisRefused
from gesture_maze.wire.frames import Frame


class SendError(MazeError):
    """A send that did not, or perhaps did not, add all of its frames to their streams.

    Args:
        reason: as the subclass lists.
        message: what happened and what to do.
        rows: see below.
        frames: see below.

    Attributes:
        rows: positions of the frames that are not known to be accepted in the arguments of the send,
            ascending. Every other frame of the send was accepted.
        frames: those frames; empty if frames were sent as arrays.
    """

    def __init__(
        self, reason: str, message: str, rows: Sequence[int] = (), frames: Sequence[Frame] = ()
    ) -> None:
        super().__init__(reason, message)
        self.rows = tuple(rows)
        self.frames = tuple(frames)


class ProducerClosed(MazeError):
    """A producer or its replies are used after they were closed. Nothing was sent. Reason: `closed`."""

    def __init__(self, what: str) -> None:
        super().__init__("closed", f"this {what} is closed: use it inside its with block, or open another")


class Backpressure(SendError):
    """The pool or Redis cannot take more frames now: `frames` were **not** accepted.

    A late gesture is worthless: drop these frames and send newer ones after a pause.

    Reasons: `lag` (the pool is too far behind) and `memory` (Redis is at its memory limit).
    """


class SendLost(SendError, ConnectionLost):
    """Redis could not be reached, or did not answer in time. Reason: `connection`.

    It is safe to send exactly `frames` again, before any newer frame of their sessions: the pool drops what
    it has already processed, by seq.

    Attributes:
        sent: False if no frame was sent, because there was no connection to begin with: `frames` were not
            accepted. True: whether they were accepted is unknown.
    """

    sent: bool = True


class SendRefused(SendError, RedisRefused):
    """Redis answered with an error: `frames` were **not** accepted. `reason` is a `RefusalReason`.

    `momentary` is whether newer frames may be accepted after a pause (a failover, a full disk) or a person
    has to change a right, a key or a setting first.
    """
