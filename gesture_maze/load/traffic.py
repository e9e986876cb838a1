"""Sends the frames of a crowd and receives the replies, in two threads, and accounts for every frame."""

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
"""Frames per player whose send time is kept: half a minute at 15 fps."""
LISTEN_S: Final = 0.1
"""Longest wait for a reply before checking whether to stop."""
AWAY_S: Final = 0.25
"""Pause after Redis could not be reached."""

_NOT_WAITED_FOR: Final = 0.0
_UNKNOWN: Final = -1.0


class Steer(Protocol):
    """Chooses the gestures of the players and receives their moves."""

    def targets(self, now_ms: int) -> Labels:
        """Return the labels of the gestures to show now, (players,) int64."""

    def receive(self, number: int, move: Move, now_ms: int) -> None:
        """Take the move of a reply to player `number`."""


@dataclass(slots=True)
class Account:
    """Counts of frames and replies, from the sender's point of view.

    Attributes:
        accepted: frames that Redis accepted.
        refused: frames that were refused (`Backpressure`), by reason.
        unknown: frames that may or may not have been accepted, because the connection was lost.
        replies: replies received.
        late_turns: turns that began late because this process was too slow.
        gestures: replies by gesture, with `no_hand` for frames without a hand.
        latencies: time from just before a frame is sent until its reply is received.
    """

    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    unknown: int = 0
    replies: int = 0
    late_turns: int = 0
    gestures: Counter[str] = field(default_factory=Counter)
    latencies: Latencies = field(default_factory=Latencies)


class Traffic:
    """Sends a crowd's frames until `stop_sending`, and receives replies until the end of the `with` block.

    Args:
        producer: open, and used only here.
        crowd: the players.
        steer: called under a lock, one call at a time.
        listen: number of players whose replies are received; None for all. Redis disconnects a subscriber
            that cannot keep up.
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
        sessions = crowd.sessions if listen is None else crowd.sessions[:listen]
        self._number_of: Final = {session: number for number, session in enumerate(sessions)}
        self._sent_s: Final[NDArray[np.float64]] = np.zeros((len(crowd.sessions), RING))
        """When each frame was sent, by `perf_counter`, or one of `_NOT_WAITED_FOR` and `_UNKNOWN`."""
        self._lock: Final = threading.Lock()
        self._stop_sending: Final = threading.Event()
        self._stop: Final = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        replies = self._producer.actions(*self._number_of) if self._number_of else None
        sender = threading.Thread(target=self._send_all, name="sender", daemon=True)
        self._threads = [sender]
        if replies is not None:
            self._threads.append(threading.Thread(target=self._receive_all, args=(replies,), daemon=True))
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
    def listened(self) -> int:
        """Number of players whose replies are received."""
        return len(self._number_of)

    def stop_sending(self) -> None:
        """Stop sending, and return when the last frame is sent. Replies are still received."""
        self._stop_sending.set()
        self._threads[0].join()

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
                # lost time is not made up for, because a camera does not speed up either
                self.account.late_turns += 1
                next_s = time.perf_counter()

    def _send_turn(self) -> None:
        """Send the frames of the next group of players, and count the result."""
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
            self._count_unknown(shot, error.rows)
            raise

    def _send(self, shot: Shot) -> None:
        self._producer.send_arrays(
            shot.sessions, shot.seq, shot.captured_ms, shot.landmarks, aspect=shot.aspect, flags=shot.flags
        )

    def _count_unknown(self, shot: Shot, rows: tuple[int, ...]) -> None:
        """Count frames as unknown, or as accepted if their reply has arrived."""
        for row in rows:
            at = shot.players[row], shot.seq[row] % RING
            if self._sent_s[at] == _NOT_WAITED_FOR:
                self.account.accepted += 1
            else:
                self._sent_s[at] = _UNKNOWN
                self.account.unknown += 1

    def _receive_all(self, replies: Replies) -> None:
        with replies:
            while not self._stop.is_set():
                reply = replies.get(timeout_s=LISTEN_S)
                if reply is not None:
                    self._receive(reply, time.perf_counter())

    def _receive(self, reply: Reply, now_s: float) -> None:
        number = self._number_of[reply.session]
        if not reply.synthetic:  # a stop that the SDK adds answers no frame
            self._account(number, reply, now_s)
        if reply.move is not None:
            with self._lock:
                self._steer.receive(number, reply.move, time.time_ns() // 1_000_000)

    def _account(self, number: int, reply: Reply, now_s: float) -> None:
        """Count the reply to a player's frame and its latency."""
        at = number, reply.seq % RING
        sent_s = float(self._sent_s[at])
        self._sent_s[at] = _NOT_WAITED_FOR
        account = self.account
        account.replies += 1
        account.gestures[reply.gesture or "no_hand"] += 1
        if sent_s == _UNKNOWN:
            account.accepted += 1
            account.unknown -= 1
        elif sent_s != _NOT_WAITED_FOR:
            account.latencies.add(now_s - sent_s)
