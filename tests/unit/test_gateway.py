"""The gateway's pure parts, and its outbox and sockets with a stand-in producer and browser."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from picows import WSMsgType

from gesture_maze.game.mazes import STEPS, generate, solve
from gesture_maze.gateway.forwarded import address_of, encrypted, network_of
from gesture_maze.gateway.game import SIZES, Game, ways_of
from gesture_maze.gateway.limits import MOST_FAULTS, Allowance, Doorkeeper, Patience, Rates
from gesture_maze.gateway.logs import LibraryHandler, Sampled
from gesture_maze.gateway.messages import Packed
from gesture_maze.gateway.metrics import Metrics
from gesture_maze.gateway.outbox import Outbox
from gesture_maze.gateway.play import PlaySocket
from gesture_maze.gateway.poses import ASPECT, hands
from gesture_maze.gateway.refusals import GatewayError, Refusal
from gesture_maze.gateway.releases import Releases
from gesture_maze.gateway.sessions import Session, Sessions
from gesture_maze.gateway.settings import Settings, secret_of
from gesture_maze.gateway.tokens import Claim, Tokens, bearer_of, new_session
from gesture_maze.models.bundle import bundled_path, load_bundle
from gesture_maze.models.classifier import Classifier
from gesture_maze.producer.errors import Backpressure, SendLost
from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.gestures import DEFAULT_ACTIONS, GESTURES, NO_GESTURE
from gesture_maze.worker.logs import Log

# --- limits


def test_allowance_passes_a_steady_camera_and_limits_a_flood() -> None:
    steady = Allowance(30, 0.0)
    assert all(steady.take(frame / 30) for frame in range(300))
    flood = Allowance(30, 0.0)
    passed = sum(flood.take(frame / 1000) for frame in range(2000))
    assert 60 <= passed <= 30 * 1.1 * 2 + 16


def test_patience_ends_after_frequent_faults_and_not_after_rare_ones() -> None:
    often, rare = Patience(0.0), Patience(0.0)
    assert [often.ends(6, 0.01 * n) for n in range(11)].index(True) == MOST_FAULTS / 6
    assert not any(rare.ends(6, 5.0 * n) for n in range(1000))


def test_doorkeeper_limits_sockets_per_network_and_in_total() -> None:
    door = Doorkeeper(per_network=2, in_all=3)
    for address in ("a", "a", "b"):
        door.enter(address)
    with pytest.raises(GatewayError, match="full"):
        door.enter("c")
    door.leave("b")
    with pytest.raises(GatewayError, match="open already"):
        door.enter("a")
    door.enter("c")
    assert len(door) == 3


def test_doorkeeper_with_an_empty_network_limits_the_total_only() -> None:
    door = Doorkeeper(per_network=1, in_all=2)
    door.enter("")
    door.enter("")
    with pytest.raises(GatewayError, match="full"):
        door.enter("")


def test_rates_are_separate_for_each_network_and_bounded_in_memory() -> None:
    rates = Rates(1, 3)
    assert [rates.take("a", 0.0) for _ in range(5)] == [True] * 3 + [False] * 2
    assert rates.take("b", 0.0)
    assert rates.take("a", 1.0)
    for number in range(20_000):
        rates.take(str(number), 1.0)
    assert len(rates._buckets) == 10_000


@pytest.mark.parametrize(
    ("said", "address", "network"),
    [
        ("10.0.0.1", "10.0.0.1", "10.0.0.1"),
        ("10.0.0.1:4711", "10.0.0.1", "10.0.0.1"),
        (" 10.0.0.1 ", "10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]:443", "2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("[fe80::1%eth0]:443", "fe80::1", "fe80::/64"),
        ("unknown", "unknown", "unknown"),
        ("x" * 1000, "x" * 64, "x" * 64),
    ],
)
def test_address_is_read_without_port_and_limited_by_network(said: str, address: str, network: str) -> None:
    assert address_of(said) == address
    assert network_of(said) == network


@pytest.mark.parametrize(
    ("values", "expected"),
    [(["https"], True), (["http, wss"], True), (["https", "http"], False), ([], False), (["WSS"], True)],
)
def test_encrypted_uses_the_scheme_of_the_last_proxy(values: list[str], expected: bool) -> None:
    assert encrypted(values) is expected


# --- tokens and settings


def test_tokens_return_the_signed_claim_and_refuse_other_bearers() -> None:
    tokens = Tokens("x" * 32, 60)
    claim = Claim(session=new_session(), name="Ann", bearer=bearer_of("cookie", "10.0.0.1"))
    token = tokens.issue(claim)
    assert tokens.check(token, bearer_of("cookie", "10.0.0.2")) == claim, "the address may change"
    with pytest.raises(GatewayError) as stolen:
        tokens.check(token, bearer_of(None, "cookie"))
    assert stolen.value.refusal is Refusal.STOLEN_TOKEN
    for wrong in (token[:-1], token + "a", "", "a.b.c", token.replace(".", "", 1)):
        with pytest.raises(GatewayError) as bad:
            tokens.check(wrong, claim.bearer)
        assert bad.value.refusal is Refusal.BAD_TOKEN


def test_new_session_is_128_random_bits() -> None:
    assert len({new_session() for _ in range(1000)}) == 1000
    assert len(bytes.fromhex(new_session())) == 16


def library_lines(count: int, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Log one library message `count` times and return the lines of the gateway's log."""
    handler = LibraryHandler(Log("json", "info"))
    try:
        int("no")
    except ValueError:
        fault = sys.exc_info()
    for _ in range(count):
        handler.handle(logging.LogRecord("uvicorn", logging.WARNING, "", 7, "bad %s\n", ("x" * 9999,), fault))
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_library_log_is_one_event_in_the_log_format_of_the_worker(capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = library_lines(1, capsys)
    assert (found["level"], found["event"], found["logger"]) == ("warning", "library_logged", "uvicorn")
    assert found["time"].endswith("Z")
    assert len(found["message"]) <= 500
    assert "ValueError: invalid" in found["traceback"]


def test_library_log_of_repeated_messages_is_sampled(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(library_lines(1000, capsys)) == 1


def test_settings_error_lists_every_fault_and_shows_no_secret(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as faults:
        Settings.of(fps=0, secret="short", colour="red", log_level="loud")
    assert all(word in str(faults.value) for word in ("fps", "secret", "colour", "log_level"))
    assert "short" not in str(faults.value).replace("shorter", "")
    assert Settings.of().secret != Settings.of().secret
    assert "secret" not in repr(Settings.of())
    file = tmp_path / "secret"
    file.write_text("of sixteen letters\n")
    assert secret_of(file) == "of sixteen letters"
    assert secret_of(None) is None
    with pytest.raises(SettingsError, match="secret-file"):
        secret_of(tmp_path / "none")


# --- games and poses


@pytest.mark.parametrize("size", SIZES)
def test_game_ends_at_the_exit(size: Any) -> None:
    game = Game.begin(size, 5)
    way = solve(game.maze)
    for at, step in enumerate(way):
        assert not game.finished
        assert game.step(step, "camera", 10.0 + at)
    assert game.finished
    assert game.time_ms(999.0) == (len(way) - 1) * 1000
    assert not game.step("up", "camera", 99.0)
    assert (game.moves, game.input) == (len(way), "camera")


def test_game_does_not_move_at_walls_or_stops_and_records_easiest_input() -> None:
    game = Game.begin("small", 5)
    wall = next(way for way in STEPS if way not in game.maze.open_ways[0])
    assert game.step(wall, "keyboard", 0.0)
    assert (game.cell, game.moves, game.bumps, game.time_ms(5.0)) == (0, 0, 1, 0)
    assert not game.step("stop", "camera", 0.0)
    way = solve(game.maze)
    game.step(way[0], "camera", 0.0)
    assert game.input == "camera"
    game.step(way[1], "keyboard", 1.0)
    assert game.input == "keyboard"


def test_ways_are_one_hex_digit_per_cell() -> None:
    maze = generate(6, 5, 1)
    bits = [int(digit, 16) for digit in ways_of(maze)]
    assert [{way for at, way in enumerate(STEPS) if bit & 1 << at} for bit in bits] == list(maze.open_ways)


def test_hands_of_the_page_are_classified_as_their_gesture_left_or_right() -> None:
    classifier = Classifier.from_bundle(load_bundle(bundled_path()))
    shown = {name: points for name, points in hands().items() if name in DEFAULT_ACTIONS or name == "fist"}
    right = np.array(list(shown.values()), np.float32)
    left = right * np.float32([-1, 1, 1]) + np.float32([1, 0, 0])
    for points in (right, left):
        labels, sure = classifier.classify(points, np.full(len(points), ASPECT, np.float32))
        assert [GESTURES[label] for label in labels] == list(shown)
        assert sure.min() > 0.9
    rest = np.array([hands()["rest"]], np.float32)
    labels, _ = classifier.classify(rest, np.full(1, ASPECT, np.float32))
    assert GESTURES[labels[0]] == NO_GESTURE


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
    assert not sessions.leave(busy, sockets[0]), "somebody else's socket"
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
    outbox: Any = Straw()
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


class Straw:
    """Stand-in for a producer, a sender and an outbox that records its calls."""

    def __init__(self, name: str = "s", error: Exception | None = None) -> None:
        self.id = name
        self.error = error
        self.sent: list[tuple[list[str], list[int]]] = []
        self.refused: list[Refusal] = []
        self.put_frames: list[Packed] = []
        self.failures = 0

    def fail(self) -> None:
        self.failures += 1

    async def send_arrays(self, sessions: list[str], seq: Any, *_: Any, **__: Any) -> None:
        self.sent.append((sessions, seq.tolist()))
        if self.error is not None:
            raise self.error

    def refuse(self, error: GatewayError) -> None:
        self.refused.append(error.refusal)

    def put(self, _sender: Any, one: Packed) -> None:
        self.put_frames.append(one)


def frame(seq: int, value: float = 0.5) -> Packed:
    return Packed(seq, 0, 1.0, 1, np.full(63, value, "<f4").tobytes())


def outbox_of(producer: Straw) -> tuple[Outbox, Metrics]:
    metrics = Metrics()
    straw: Any = producer
    return Outbox(straw, metrics, 10, Sampled(Log("human", "error")), producer.fail), metrics


def outcome(metrics: Metrics, name: str) -> float | None:
    return metrics.registry.get_sample_value("maze_gateway_frames_total", {"outcome": name})


def test_outbox_sends_the_newest_frame_of_each_session_per_flush() -> None:
    producer, (a, b) = Straw(), (Straw("a"), Straw("b"))
    outbox, metrics = outbox_of(producer)
    for sender, seq in ((a, 1), (b, 5), (a, 2), (a, 3)):
        outbox.put(sender, frame(seq))
    asyncio.run(outbox.flush())
    assert producer.sent == [(["a", "b"], [3, 5])]
    assert (outcome(metrics, "sent"), outcome(metrics, "superseded")) == (2, 2)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e10])
def test_outbox_refuses_only_the_frame_with_invalid_coordinates(value: float) -> None:
    producer, (a, b) = Straw(), (Straw("a"), Straw("b"))
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
    senders = [Straw("a"), Straw("b")]
    producer = Straw(error=error)
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
    hearer = releases.following(
        lambda raw, answer: found.append((clock.now_s, answer["seq"])) if b"synthetic" in raw else None
    )
    left = list(replies)
    for tick in range(round(until_s * 100) + 1):
        clock.now_s = tick / 100
        while left and left[0][0] <= clock.now_s:
            _, seq, move = left.pop(0)
            hearer(b"{}", {"v": 1, "seq": seq, "t": seq, "move": move, "gesture": "like"})
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
        self.said: list[bytes] = []

    def send(self, kind: WSMsgType, raw: bytes) -> None:
        assert kind is WSMsgType.TEXT
        self.said.append(raw)


@pytest.fixture
def slow() -> tuple[PlaySocket, Wire]:
    """Return a socket whose browser does not read, and its transport."""
    room: Any = type("Room", (), {"metrics": Metrics()})()
    socket, wire = PlaySocket(room, "address", "bearer"), Wire()
    socket._transport = wire  # type: ignore[assignment]
    socket._session = Session("s", "n", 30, Clock())
    return socket, wire


def test_slow_browser_gets_only_the_newest_message_of_each_kind(slow: tuple[PlaySocket, Wire]) -> None:
    socket, wire = slow
    socket.pause_writing()
    for seq in range(100):
        socket.hear(b"reply %d" % seq, {"seq": seq, "move": None})
    socket._send("at", b"at")
    assert not wire.said
    socket.resume_writing()
    assert wire.said == [b"reply 99", b"at"]
    socket.hear(b"reply 100", {"seq": 100, "move": None})
    assert wire.said[-1] == b"reply 100"
