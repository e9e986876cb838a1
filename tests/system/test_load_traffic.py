"""Traffic's account of every frame's outcome, with a scripted producer."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gesture_maze.load.traffic import Traffic
from gesture_maze.producer import Reply
from gesture_maze.producer.errors import Backpressure, SendLost
from gesture_maze.simulator.crowd import Crowd
from gesture_maze.simulator.players import Labels
from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.gestures import Move
from tests.support.servers import wait_until

PLAYERS = 4
FPS = 50.0


class FakeReplies:
    def __init__(self) -> None:
        self.waiting: deque[Reply] = deque()
        self.closed = False

    def get(self, timeout_s: float | None = None) -> Reply | None:
        if self.waiting:
            return self.waiting.popleft()
        time.sleep(0.001)
        return None

    def __enter__(self) -> FakeReplies:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True


class FakeProducer:
    """A producer that answers every accepted frame; `act` may raise for a given send (1, 2, ...)."""

    def __init__(self, act: Callable[[int, list[str]], None] = lambda _send, _sessions: None) -> None:
        self.replies = FakeReplies()
        self.listened: tuple[str, ...] = ()
        self.frames = 0
        self.sends = 0
        self._act = act

    def actions(self, *sessions: str) -> FakeReplies:
        self.listened = sessions
        return self.replies

    def send_arrays(self, sessions: list[str], seq: Any, captured_ms: int, *_: Any, **__: Any) -> None:
        self.sends += 1
        self._act(self.sends, sessions)
        self.answer(sessions, seq)

    def answer(self, sessions: list[str], seq: Any) -> None:
        self.frames += len(sessions)
        for session, number in zip(sessions, seq.tolist(), strict=True):
            if session in self.listened:
                self.replies.waiting.append(reply(session, number))


def reply(session: str, seq: int, move: Move | None = "up") -> Reply:
    return Reply(v=1, session=session, seq=seq, t=0, gesture="like", label=16, confidence=1.0, action="up",
                 move=move, model="m")  # fmt: skip


class Recorder:
    def __init__(self) -> None:
        self.received: list[tuple[int, Move]] = []

    def targets(self, now_ms: int) -> Labels:
        return np.zeros(PLAYERS, np.int64)

    def receive(self, number: int, move: Move, now_ms: int) -> None:
        self.received.append((number, move))


def traffic(producer: FakeProducer, steer: Recorder | None = None, listen: int | None = None) -> Traffic:
    crowd = Crowd(PLAYERS, FPS, seed=1, name="p", groups=2)
    return Traffic(producer, crowd, steer or Recorder(), listen)  # type: ignore[arg-type]


def test_accepted_frames_are_answered_and_timed() -> None:
    producer, steer = FakeProducer(), Recorder()
    with traffic(producer, steer) as running:
        wait_until(lambda: producer.sends >= 10)
        running.stop_sending()
        wait_until(lambda: not producer.replies.waiting)
    account = running.account
    assert account.accepted == account.replies == producer.frames > 0
    assert account.latencies.total() == account.replies
    assert account.gestures == {"like": account.replies}
    assert len(steer.received) == account.replies
    assert {number for number, _ in steer.received} == set(range(PLAYERS))
    assert producer.replies.closed
    assert running.fault is None


def test_stop_added_by_the_listener_steers_and_answers_no_frame() -> None:
    producer, steer = FakeProducer(), Recorder()
    with traffic(producer, steer) as running:
        wait_until(lambda: producer.sends >= 3)
        running.stop_sending()
        producer.replies.waiting.append(reply(producer.listened[0], 1).released())
        wait_until(lambda: not producer.replies.waiting)
    account = running.account
    assert account.accepted == account.replies == producer.frames
    assert "no_hand" not in account.gestures
    assert (0, "stop") in steer.received


def test_refused_frames_are_counted_by_reason_and_the_rest_accepted() -> None:
    def refuse_the_first_of_each(_send: int, sessions: list[str]) -> None:
        if sessions:
            raise Backpressure("lag", "full", rows=(0,))

    producer = FakeProducer(refuse_the_first_of_each)
    with traffic(producer) as running:
        wait_until(lambda: producer.sends >= 6)
    assert running.account.refused["lag"] > 0
    assert running.account.refused["lag"] + running.account.accepted >= 6


def test_frames_in_doubt_count_as_accepted_once_answered() -> None:
    lost: list[tuple[list[str], Any]] = []

    def lose_the_first(send: int, sessions: list[str]) -> None:
        if send == 1:
            lost.append((sessions, np.ones(len(sessions), np.int64)))
            raise SendLost("connection", "gone", rows=tuple(range(len(sessions))))

    producer = FakeProducer(lose_the_first)
    with traffic(producer) as running:
        wait_until(lambda: producer.sends >= 3)
        assert running.account.unknown == len(lost[0][0])
        producer.answer(*lost[0])
        wait_until(lambda: running.account.unknown == 0)
        running.stop_sending()
        wait_until(lambda: not producer.replies.waiting)
    assert running.account.accepted == running.account.replies == producer.frames


def test_traffic_after_a_fault_stops_and_keeps_the_fault() -> None:
    def refuse(_send: int, _sessions: list[str]) -> None:
        raise SettingsError("topology", "another one")

    with traffic(FakeProducer(refuse)) as running:
        wait_until(lambda: running.fault is not None)
    assert str(running.fault) == "another one"
    assert running.account.accepted == 0


@pytest.mark.parametrize("listen", [0, 2])
def test_traffic_can_subscribe_to_some_of_the_players(listen: int) -> None:
    producer = FakeProducer()
    with traffic(producer, listen=listen) as running:
        wait_until(lambda: producer.sends >= 8)
        running.stop_sending()
        wait_until(lambda: not producer.replies.waiting)
    assert len(producer.listened) == running.listened == listen
    assert (running.account.replies > 0) == (listen > 0)
    assert running.account.accepted == producer.frames


def test_traffic_after_its_end_leaves_no_thread() -> None:
    before = threading.active_count()
    with traffic(FakeProducer()):
        pass
    assert threading.active_count() == before
