"""Sessions of players, with or without a socket."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol

from gesture_maze.gateway.fan import Answer
from gesture_maze.gateway.game import Game
from gesture_maze.gateway.limits import Allowance
from gesture_maze.gateway.messages import MAX_BROWSER_INTEGER, Packed
from gesture_maze.gateway.metrics import Metrics
from gesture_maze.gateway.outbox import Outbox
from gesture_maze.gateway.refusals import GatewayError, Refusal
from gesture_maze.wire.session_settings import SessionSettings

WAITED_FOR: Final = 64
"""Most unanswered frames whose arrival time is kept: two seconds at 30 fps."""

Clock = Callable[[], float]


class Listener(Protocol):
    """The socket of a session."""

    def receive(self, raw: bytes, answer: Answer) -> None:
        """Handle a reply to one of the session's frames."""

    def refuse(self, error: GatewayError) -> None:
        """Handle the refusal of a frame that was accepted at first."""

    def cut(self, error: GatewayError) -> None:
        """End the socket."""


class Session:
    """One player.

    The seq of a session must rise while any worker remembers it, even if the player returns through another
    or a restarted gateway. So each welcome message tells the client where to begin: at the time in
    milliseconds, which rises faster than any camera counts.

    Attributes:
        id: 128 random bits.
        name: as shown on the scoreboard.
        game: the maze being walked, if one was begun.
        socket: where it is played; None while the player is away.
        left_s: when the last socket left.
        settings: to send with the next frame; None if they were sent, or if there are none.
    """

    def __init__(self, session: str, name: str, fps: int, clock: Clock) -> None:
        self.id: Final = session
        self.name = name
        self.game: Game | None = None
        self.socket: Listener | None = None
        self.left_s = clock()
        self.settings: SessionSettings | None = None
        self._clock: Final = clock
        self._last_seq = -1
        self._allowance: Final = Allowance(fps, clock())
        self._arrived_s: Final[dict[int, float]] = {}

    def begin_seq(self) -> int:
        """Return the first seq that the client may use now; lower ones are refused from here on."""
        self._last_seq = max(self._last_seq, time.time_ns() // 1_000_000)
        return self._last_seq + 1

    def send(self, frame: Packed, outbox: Outbox) -> None:
        """Send a frame that came from the socket.

        Raises:
            GatewayError: `bad_seq` or `too_fast`.
        """
        if not self._last_seq < frame.seq <= MAX_BROWSER_INTEGER:
            raise GatewayError(
                Refusal.BAD_SEQ, "seq must rise, beginning with the one in the welcome message"
            )
        now_s = self._clock()
        if not self._allowance.take(now_s):
            raise GatewayError(Refusal.TOO_FAST, "too many frames per second")
        self._last_seq = frame.seq
        if len(self._arrived_s) >= WAITED_FOR:
            self._arrived_s.pop(next(iter(self._arrived_s)))
        self._arrived_s[frame.seq] = now_s
        outbox.put(self, frame)

    def receive(self, raw: bytes, answer: Answer) -> None:
        """Pass on a reply to one of the frames."""
        if self.socket is not None:
            self.socket.receive(raw, answer)

    def waited_s(self, seq: int) -> float | None:
        """Return how long this frame's reply has taken, or None if the frame is not known."""
        arrived_s = self._arrived_s.pop(seq, None)
        return None if arrived_s is None else self._clock() - arrived_s

    def refuse(self, error: GatewayError) -> None:
        """See `gateway.outbox.Sender`."""
        if self.socket is not None:
            self.socket.refuse(error)


MOST_ABSENT: Final = 500
"""Most absent players whose sessions are kept here; the game of any other is restored from Redis."""


class Sessions:
    """All sessions of present players, and those of absent players for a while.

    Args:
        fps: frames per second that each may send.
        keep_s: how long the session of an absent player is kept.
        metrics: counts them.
        clock: monotonic seconds.
    """

    def __init__(self, fps: int, keep_s: float, metrics: Metrics, clock: Clock = time.monotonic) -> None:
        self._fps: Final = fps
        self._keep_s: Final = keep_s
        self._metrics: Final = metrics
        self._clock: Final = clock
        self._by_id: Final[dict[str, Session]] = {}
        # in the order in which they left; used as an ordered set
        self._absent: Final[dict[str, None]] = {}

    def open(self, session: str, name: str) -> Session:
        """Return the session, or a new one if it is not known."""
        found = self._by_id.get(session)
        self._absent.pop(session, None)
        if found is None:
            found = self._by_id[session] = Session(session, name, self._fps, self._clock)
            self._metrics.sessions(len(self._by_id))
        return found

    def leave(self, session: Session, socket: Listener) -> bool:
        """Note that a socket was closed, and return whether the session has none left."""
        if session.socket is not socket:
            return False
        session.socket, session.left_s = None, self._clock()
        if session.game is None or session.game.began_s is None:
            # not worth keeping: its token recreates it, so that clients that come and go fill no memory
            self._by_id.pop(session.id, None)
        else:
            self._absent[session.id] = None
            if len(self._absent) > MOST_ABSENT:
                oldest = next(iter(self._absent))
                del self._absent[oldest], self._by_id[oldest]
        self._metrics.sessions(len(self._by_id))
        return True

    def drop(self, session: Session) -> None:
        """Forget a session that was opened and then got no socket."""
        if session.socket is None and session.game is None:
            self._by_id.pop(session.id, None)
            self._metrics.sessions(len(self._by_id))

    def sweep(self) -> None:
        """Forget players who have been away for too long."""
        oldest_s = self._clock() - self._keep_s
        gone = [one.id for one in self._by_id.values() if one.socket is None and one.left_s < oldest_s]
        for session in gone:
            del self._by_id[session]
            self._absent.pop(session, None)
        self._metrics.sessions(len(self._by_id))

    def present(self) -> list[Session]:
        """Return the sessions that have a socket."""
        return [one for one in self._by_id.values() if one.socket is not None]

    def __len__(self) -> int:
        """Return the number of sessions kept."""
        return len(self._by_id)
