"""Frames of a crowd out, replies in: two threads, and the account of what became of every frame."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from gesture_maze.load.latencies import Latencies
from gesture_maze.producer import FrameProducer, Replies, Reply
from gesture_maze.producer.errors import Backpressure, SendLost, SendRefused
from gesture_maze.simulator.crowd import Crowd, Shot
from gesture_maze.simulator.players import Labels
from gesture_maze.wire.errors import MazeError
from gesture_maze.wire.gestures import Move

RING: Final = 512
"""Frames of a player of which the time of sending is kept: half a minute at 15 fps."""
LISTEN_S: Final = 0.1
"""Longest wait for a reply, before looking whether to stop."""
AWAY_S: Final = 0.25
"""Wait after Redis could not be reached."""

_NOT_WAITED_FOR: Final = 0.0
_UNKNOWN: Final = -1.0


class Steer(Protocol):
    """Decides what the players show, and receives their moves."""

    def targets(self, now_ms: int) -> Labels:
        """(players,) int64: labels of the gestures to show now."""

    def hear(self, number: int, move: Move, now_ms: int) -> None:
        """A reply to player `number` carried a move."""


@dataclass(slots=True)
class Account:
    """Counts of what happened to the frames, as their sender sees it.

    Attributes:
        accepted: frames that Redis took.
        refused: frames that it did not take (`Backpressure`), by reason.
        unknown: frames whose fate is unknown, because the connection was lost.
        heard: replies.
        late_turns: turns that could not begin in time, because this process was too slow.
        gestures: replies by gesture; `no_hand` where none was seen.
        latencies: from just before a frame is sent to its reply in our hands.
    """

    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    unknown: int = 0
    heard: int = 0
    late_turns: int = 0
    gestures: Counter[str] = field(default_factory=Counter)
    latencies: Latencies = field(default_factory=Latencies)


class Traffic:
    """Sends a crowd's frames until `stop_sending`, and hears the replies until the end of the `with` block.

    Args:
        producer: open, and used by nobody else.
        crowd: whose frames.
        steer: called under a lock, one call at a time.
        listen: hear the replies of so many players only: a subscriber that cannot keep up is cut off.
    """

    def __init__(
        self, producer: FrameProducer, crowd: Crowd, steer: Steer, listen: int | None = None
    ) -> None:
        self.account: Final = Account()
        self.fault: MazeError | None = None
        """Error that ended the sending, if any."""
        self._producer: Final = producer
        self._crowd: Final = crowd
        self._steer: Final = steer
        heard = crowd.sessions if listen is None else crowd.sessions[:listen]
        self._number_of: Final = {session: number for number, session in enumerate(heard)}
        self._sent_s: Final[NDArray[np.float64]] = np.zeros((len(crowd.sessions), RING))
        """When each frame was sent, on the clock of `perf_counter`; see `_NOT_WAITED_FOR` and `_UNKNOWN`."""
        self._lock: Final = threading.Lock()
        self._stop_sending: Final = threading.Event()
        self._stop: Final = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        replies = self._producer.actions(*self._number_of) if self._number_of else None
        sender = threading.Thread(target=self._send_all, name="sender", daemon=True)
        self._threads = [sender]
        if replies is not None:
            self._threads.append(threading.Thread(target=self._hear_all, args=(replies,), daemon=True))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._stop_sending.set()
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def hears(self) -> int:
        """Number of players whose replies are received."""
        return len(self._number_of)

    def stop_sending(self) -> None:
        """Send no more; replies are still heard. Returns when the last frame is out."""
        self._stop_sending.set()
        self._threads[0].join()

    def locked(self) -> threading.Lock:
        """Return the lock that protects what `steer` changes."""
        return self._lock

    def _send_all(self) -> None:
        turn_s = self._crowd.turn_s
        next_s = time.perf_counter()
        while not self._stop_sending.wait(max(next_s - time.perf_counter(), 0)):
            try:
                self._send_turn()
            except SendLost:
                self._stop_sending.wait(AWAY_S)
            except MazeError as fault:
                self.fault = fault
                return
            next_s += turn_s
            if time.perf_counter() > next_s + turn_s:
                # not to be made up for: cameras do not hurry either
                self.account.late_turns += 1
                next_s = time.perf_counter()

    def _send_turn(self) -> None:
        """look -> shoot -> send -> book."""
        now_ms = time.time_ns() // 1_000_000
        with self._lock:
            targets = self._steer.targets(now_ms)
        shot = self._crowd.shoot(now_ms, targets)
        self._sent_s[shot.players, shot.seq % RING] = time.perf_counter()
        try:
            self._send(shot)
            self.account.accepted += len(shot.sessions)
        except (Backpressure, SendRefused) as error:
            self.account.accepted += len(shot.sessions) - len(error.rows)
            self.account.refused[error.reason] += len(error.rows)
            if isinstance(error, SendRefused) and not error.momentary:
                raise
        except SendLost as error:
            self.account.accepted += len(shot.sessions) - len(error.rows)
            self._book_unknown(shot, error.rows)
            raise

    def _send(self, shot: Shot) -> None:
        self._producer.send_arrays(
            shot.sessions, shot.seq, shot.captured_ms, shot.landmarks, aspect=shot.aspect, flags=shot.flags
        )

    def _book_unknown(self, shot: Shot, rows: tuple[int, ...]) -> None:
        """A reply that has come, or is still to come, tells that its frame was accepted after all."""
        for row in rows:
            at = shot.players[row], shot.seq[row] % RING
            if self._sent_s[at] == _NOT_WAITED_FOR:
                self.account.accepted += 1
            else:
                self._sent_s[at] = _UNKNOWN
                self.account.unknown += 1

    def _hear_all(self, replies: Replies) -> None:
        with replies:
            while not self._stop.is_set():
                reply = replies.get(timeout_s=LISTEN_S)
                if reply is not None:
                    self._hear(reply, time.perf_counter())

    def _hear(self, reply: Reply, now_s: float) -> None:
        number = self._number_of[reply.session]
        at = number, reply.seq % RING
        sent_s = float(self._sent_s[at])
        self._sent_s[at] = _NOT_WAITED_FOR
        account = self.account
        account.heard += 1
        account.gestures[reply.gesture or "no_hand"] += 1
        if sent_s == _UNKNOWN:
            account.accepted += 1
            account.unknown -= 1
        elif sent_s != _NOT_WAITED_FOR:
            account.latencies.add(now_s - sent_s)
        if reply.move is not None:
            with self._lock:
                self._steer.hear(number, reply.move, time.time_ns() // 1_000_000)
