"""Sessions, the outbox and sockets of the gateway, with a stand-in producer and browser."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from picows import WSMsgType

from gesture_maze.game.mazes import solve
from gesture_maze.gateway.game import Game
from gesture_maze.gateway.logs import Sampled
from gesture_maze.gateway.messages import Packed
from gesture_maze.gateway.metrics import Metrics
from gesture_maze.gateway.outbox import Outbox
from gesture_maze.gateway.play import PlaySocket
from gesture_maze.gateway.refusals import GatewayError, Refusal
from gesture_maze.gateway.releases import Releases
from gesture_maze.gateway.sessions import Session, Sessions
from gesture_maze.producer.errors import Backpressure, SendLost
from gesture_maze.wire.gestures import Action
from gesture_maze.wire.session_settings import SessionSettings
from gesture_maze.worker.logs import Log

# --- sessions


class Clock:
    """Clock in seconds that a test sets."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_session_of_an_absent_player_is_kept_if_it_has_a_game_in_progress() -> None:
    clock = Clock()
    sessions = Sessions(30, 60, Metrics(), clock)
    idle, busy = sessions.open("idle", "a"), sessions.open("busy", "b")
    busy.game = Game.begin("small", 1)
    busy.game.step(solve(busy.game.maze)[0], "camera", 0.0)
    sockets: list[Any] = [object(), object()]
    idle.socket, busy.socket = sockets
    assert not sessions.leave(busy, sockets[0]), "the socket of another session"
    assert sessions.leave(idle, sockets[0])
    assert sessions.leave(busy, sockets[1])
    assert len(sessions) == 1
    assert sessions.open("busy", "b") is busy
    clock.now_s = 61
    sessions.sweep()
    assert len(sessions) == 0


def test_sessions_of_absent_players_are_limited_to_the_newest() -> None:
    sessions = Sessions(30, 60, Metrics(), Clock())
    for number in range(2000):
        session = sessions.open(f"s{number}", "a")
        session.game = Game.begin("small", 1)
        session.game.step(solve(session.game.maze)[0], "camera", 0.0)
        socket: Any = object()
        session.socket = socket
        sessions.leave(session, socket)
    assert len(sessions) == 500
    assert sessions.open("s1999", "a").game is not None


def test_session_without_a_socket_is_dropped() -> None:
    sessions = Sessions(30, 60, Metrics(), Clock())
    sessions.drop(sessions.open("s", "a"))
    assert len(sessions) == 0


def test_seqs_increase_across_resumptions_and_do_not_decrease_after_restart() -> None:
    outbox: Any = Recorder()
    session = Session("s", "n", 30, Clock())
    begin = session.begin_seq()
    with pytest.raises(GatewayError):
        session.send(frame(begin - 1), outbox)
    session.send(frame(begin), outbox)
    with pytest.raises(GatewayError):
        session.send(frame(begin), outbox)
    assert session.begin_seq() > begin
    assert Session("s", "n", 30, Clock()).begin_seq() >= begin


# --- the outbox


class Recorder:
    """Stand-in for a producer, a sender and an outbox that records its calls."""

    def __init__(self, name: str = "s", error: Exception | None = None) -> None:
        self.id = name
        self.error = error
        self.sent: list[tuple[list[str], list[int]]] = []
        self.refused: list[Refusal] = []
        self.put_frames: list[Packed] = []
        self.settings: SessionSettings | None = None
        self.settings_sent: list[Any] = []
        self.failures = 0

    def fail(self) -> None:
        self.failures += 1

    async def send_arrays(self, sessions: list[str], seq: Any, *_: Any, settings: Any, **__: Any) -> None:
        self.sent.append((sessions, seq.tolist()))
        self.settings_sent.append(settings)
        if self.error is not None:
            raise self.error

    def refuse(self, error: GatewayError) -> None:
        self.refused.append(error.refusal)

    def put(self, _sender: Any, one: Packed) -> None:
        self.put_frames.append(one)


def frame(seq: int, value: float = 0.5) -> Packed:
    return Packed(seq, 0, 1.0, 1, np.full(63, value, "<f4").tobytes())


def outbox_of(producer: Recorder) -> tuple[Outbox, Metrics]:
    metrics = Metrics()
    untyped: Any = producer
    return Outbox(untyped, metrics, 10, Sampled(Log("human", "error")), producer.fail), metrics


def outcome(metrics: Metrics, name: str) -> float | None:
    return metrics.registry.get_sample_value("maze_gateway_frames_total", {"outcome": name})


def test_outbox_sends_the_settings_of_a_session_with_its_first_frame() -> None:
    producer, (a, b) = Recorder(), (Recorder("a"), Recorder("b"))
    out, _ = outbox_of(producer)
    b.settings = eager = SessionSettings(settle_evidence=700)
    for seq in (1, 2):
        out.put(a, frame(seq))
        out.put(b, frame(seq))
        asyncio.run(out.flush())
    assert producer.settings_sent == [{1: eager}, {}]


def test_outbox_sends_the_newest_frame_of_each_session_per_flush() -> None:
    producer, (a, b) = Recorder(), (Recorder("a"), Recorder("b"))
    outbox, metrics = outbox_of(producer)
    for sender, seq in ((a, 1), (b, 5), (a, 2), (a, 3)):
        outbox.put(sender, frame(seq))
    asyncio.run(outbox.flush())
    assert producer.sent == [(["a", "b"], [3, 5])]
    assert (outcome(metrics, "sent"), outcome(metrics, "superseded")) == (2, 2)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e10])
def test_outbox_refuses_only_the_frame_with_invalid_coordinates(value: float) -> None:
    producer, (a, b) = Recorder(), (Recorder("a"), Recorder("b"))
    outbox, _ = outbox_of(producer)
    outbox.put(a, frame(1, value))
    outbox.put(b, frame(1))
    asyncio.run(outbox.flush())
    assert (a.refused, b.refused) == ([Refusal.NOT_FINITE], [])
    assert producer.sent == [(["b"], [1])]


@pytest.mark.parametrize(
    ("error", "refused", "failures"),
    [
        (Backpressure("lag", "behind", rows=[1]), [[], [Refusal.BUSY]], 0),
        (SendLost("connection", "one partition", rows=[1]), [[], [Refusal.UNAVAILABLE]], 0),
        (SendLost("connection", "gone", rows=[0, 1]), [[Refusal.UNAVAILABLE]] * 2, 1),
    ],
)
def test_outbox_refuses_frames_that_the_producer_did_not_accept(
    error: Any, refused: Any, failures: int
) -> None:
    senders = [Recorder("a"), Recorder("b")]
    producer = Recorder(error=error)
    outbox, _ = outbox_of(producer)
    for sender in senders:
        outbox.put(sender, frame(1))
    asyncio.run(outbox.flush())
    assert [sender.refused for sender in senders] == refused
    assert producer.failures == failures


# --- held moves


def followed(*replies: tuple[float, int, str | None], until_s: float) -> list[tuple[float, Any]]:
    """Pass on replies of (second, seq, move) and return the time and seq of each synthetic `stop`."""
    clock, found = Clock(), []
    releases = Releases(250, clock)
    listener = releases.following(
        lambda raw, answer: found.append((clock.now_s, answer["seq"])) if b"synthetic" in raw else None
    )
    left = list(replies)
    for tick in range(round(until_s * 100) + 1):
        clock.now_s = tick / 100
        while left and left[0][0] <= clock.now_s:
            _, seq, move = left.pop(0)
            listener(b"{}", {"v": 1, "seq": seq, "t": seq, "move": move, "gesture": "like"})
        releases.step()
    return found


def test_held_move_without_replies_ends_with_one_stop() -> None:
    assert followed((0.0, 1, "up"), (0.1, 2, None), until_s=3.0) == [(0.45, 2)]


def test_held_move_that_the_pool_ends_gets_no_additional_stop() -> None:
    assert followed((0.0, 1, "up"), (0.1, 2, "stop"), until_s=3.0) == []


def test_replies_without_a_move_are_not_followed_by_a_stop() -> None:
    assert followed((0.0, 1, None), (0.1, 2, None), until_s=3.0) == []


# --- slow browsers


class Wire:
    """Transport that records what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, kind: WSMsgType, raw: bytes) -> None:
        assert kind is WSMsgType.TEXT
        self.sent.append(raw)


@pytest.fixture
def slow() -> tuple[PlaySocket, Wire]:
    """Return a socket whose browser does not read, and its transport."""
    room: Any = SimpleNamespace(metrics=Metrics(), mapping=SimpleNamespace(actions={"like": "up"}))
    socket, wire = PlaySocket(room, "address", "bearer"), Wire()
    socket._actions()  # as the welcome does
    socket._transport = wire  # type: ignore[assignment]
    socket._session = Session("s", "n", 30, Clock())
    return socket, wire


def test_slow_browser_gets_only_the_newest_message_of_each_kind(slow: tuple[PlaySocket, Wire]) -> None:
    socket, wire = slow
    socket.pause_writing()
    for seq in range(100):
        socket.receive(b"reply %d" % seq, {"seq": seq, "move": None})
    socket._send("at", b"at")
    assert not wire.sent
    socket.resume_writing()
    assert wire.sent == [b"reply 99", b"at"]
    socket.receive(b"reply 100", {"seq": 100, "move": None})
    assert wire.sent[-1] == b"reply 100"


@pytest.mark.parametrize("own", [None, {"ok": "down"}])
def test_changed_mapping_of_the_pool_is_sent_once(
    slow: tuple[PlaySocket, Wire], own: dict[str, Action] | None
) -> None:
    socket, wire = slow
    socket._settings = SessionSettings(actions=own)
    socket._room.mapping.actions = {"swipe": "up"}
    for seq in range(3):
        socket.receive(b"reply", {"seq": seq, "move": None})
    found = [json.loads(raw) for raw in wire.sent if raw != b"reply"]
    assert found == [{"type": "actions", "actions": own or {"swipe": "up"}}]
