"""The gateway with a real server and a real worker: REST, sockets, limits, and everything that is refused."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from maze.gateway.poses import hands
from maze.gateway.tokens import Claim, Tokens, bearer_of
from maze.mazes import generate, solve
from tests.gateway import SECRET, Player, Served, packed, serving
from tests.servers import Server, running_valkey, wait_until
from tests.system.processes import Workers
from wire.keys import frames_key, partition_of

ACTIONS = {
    "like": (16, "up"),
    "dislike": (2, "down"),
    "four": (3, "right"),
    "three": (14, "left"),
    "fist": (1, None),
}
POINTS: list[Any] = hands()["like"]
NAN = float("nan")
LOST = (0.0, 0.0, NAN)


@pytest.fixture(scope="module")
def pool(embedded_valkey: Server) -> Iterator[Server]:
    """A server with one worker."""
    embedded_valkey.client.flushall()
    assert embedded_valkey.url is not None
    workers = Workers(embedded_valkey.url, embedded_valkey.client)
    workers.start("gateway-worker")
    yield embedded_valkey
    workers.close()
    embedded_valkey.client.flushall()


@pytest.fixture(scope="module")
def gateway(pool: Server) -> Iterator[Served]:
    """A gateway beside it."""
    assert pool.url is not None
    with serving(pool.url, origins=("https://friend.example",)) as found:
        yield found


@pytest.fixture
def lonely(tmp_path: Any) -> Iterator[tuple[Served, Server]]:
    """A gateway beside a server without any worker."""
    with running_valkey(tmp_path) as server:
        assert server.url is not None
        with serving(
            server.url, predict_timeout_ms=150, lanes=2, sessions_per_address=2, hello_s=0.3
        ) as found:
            yield found, server


# --- REST


@pytest.mark.parametrize("gesture", ACTIONS)
def test_a_hand_is_predicted_as_by_the_original_service(gateway: Served, gesture: str) -> None:
    answer = gateway.http.post("/predict", json={"landmarks": hands()[gesture], "aspect": 4 / 3})
    assert answer.status_code == 200
    found = answer.json()
    assert (found["predicted_class_index"], found["action"]) == ACTIONS[gesture]
    assert found["gesture"] == gesture
    assert found["confidence"] > 0.7


def test_pairs_in_pixels_need_no_aspect(gateway: Served) -> None:
    pixels = [[x * 640, y * 480] for x, y, _ in hands()["dislike"]]
    assert gateway.http.post("/predict", json={"landmarks": pixels}).json()["action"] == "down"


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (json.dumps({"landmarks": POINTS[:20]}), 422, "bad_landmarks"),
        (json.dumps({"landmarks": [*POINTS, [0, 0, 0]]}), 422, "bad_landmarks"),
        (json.dumps({"landmarks": []}), 422, "bad_landmarks"),
        (json.dumps({"landmarks": "hello"}), 422, "bad_landmarks"),
        (json.dumps({"landmarks": [["1", "2"]] * 21}), 422, "bad_landmarks"),
        (json.dumps({"landmarks": [[1]] * 21}), 422, "bad_landmarks"),
        (json.dumps({"landmarks": [[1, 2, 3, 4]] * 21}), 422, "bad_landmarks"),
        (json.dumps({"landmarks": [*POINTS[:20], LOST]}), 422, "not_finite"),
        (json.dumps({"landmarks": [[1e39, 0]] * 21}), 422, "not_finite"),
        (json.dumps({"landmarks": POINTS, "aspect": 0}), 422, "bad_aspect"),
        (json.dumps({"landmarks": POINTS, "aspect": "wide"}), 422, "bad_aspect"),
        (json.dumps({}), 422, "bad_landmarks"),
        ("[1, 2", 400, "bad_json"),
        ("[]", 422, "bad_message"),
        ("null", 422, "bad_message"),
        ("[" * 5000, 400, "bad_json"),
    ],
)
def test_a_body_that_is_no_hand_is_refused_with_a_sentence(
    gateway: Served, body: str, status: int, reason: str
) -> None:
    before = gateway.refused(reason)
    answer = gateway.http.post("/predict", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert len(answer.json()["detail"]) > 10
    assert gateway.refused(reason) == before + 1


@pytest.mark.parametrize("said", [True, False])
def test_a_body_of_10_mb_is_refused_without_being_read(gateway: Served, said: bool) -> None:
    body: Any = b"x" * 10_000_000 if said else (b"x" * 100_000 for _ in range(100))
    before = gateway.refused("too_large")
    try:
        status = gateway.http.post("/predict", content=body).status_code
    except httpx.TransportError:
        status = 413  # it hung up while we were still sending
    assert status == 413
    assert gateway.refused("too_large") == before + 1
    assert gateway.http.post("/predict", json={"landmarks": POINTS}).status_code == 200


def test_without_a_worker_one_is_told_when_to_come_again(lonely: tuple[Served, Server]) -> None:
    gateway, _ = lonely
    answer = gateway.http.post("/predict", json={"landmarks": POINTS})
    assert (answer.status_code, answer.json()["reason"]) == (503, "no_answer")
    assert int(answer.headers["retry-after"]) >= 1


def test_not_ready_while_redis_is_away(lonely: tuple[Served, Server]) -> None:
    gateway, server = lonely
    server.client.shutdown(nosave=True)
    wait_until(lambda: gateway.http.get("/readyz").status_code == 503)
    assert gateway.http.get("/livez").status_code == 200
    answer = gateway.http.post("/predict", json={"landmarks": POINTS})
    assert (answer.status_code, answer.json()["reason"]) == (503, "unavailable")


def test_information_and_metrics(gateway: Served) -> None:
    welcome = gateway.http.get("/").json()
    assert welcome["actions"]["like"] == "up"
    gateway.http.post("/predict", json={"landmarks": POINTS})
    text = gateway.http.get("/metrics").text
    assert 'http_requests_total{handler="/predict",method="POST"' in text
    assert 'http_request_duration_seconds_count{handler="/predict"' in text
    assert "maze_gateway_reply_seconds_bucket" in text
    assert gateway.http.get("/docs").status_code == 200


def test_the_original_front_end_calls_at_30_fps(gateway: Served) -> None:
    waits_ms = []
    begin_s = time.monotonic()
    origin = {"Origin": "https://front.example"}
    for frame in range(60):
        time.sleep(max(begin_s + frame / 30 - time.monotonic(), 0))
        sent_s = time.monotonic()
        answer = gateway.http.post("/predict", json={"landmarks": POINTS}, headers=origin)
        waits_ms.append((time.monotonic() - sent_s) * 1000)
        assert answer.json()["action"] == "up"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert np.median(waits_ms) < 100, np.quantile(waits_ms, [0.5, 0.9, 1])


# --- pages


def test_pages_bear_a_policy_and_the_game_a_cookie(gateway: Served) -> None:
    game = gateway.http.get("/game")
    policy = game.headers["content-security-policy"]
    assert "'wasm-unsafe-eval' 'unsafe-eval'" in policy
    assert "frame-ancestors 'none'" in policy
    cookie = game.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    watch = gateway.http.get("/watch").headers["content-security-policy"]
    assert "unsafe-eval" not in watch
    assert gateway.http.get("/static/js/game.js").headers["x-content-type-options"] == "nosniff"
    assert gateway.http.get("/static/../settings.py").status_code == 404


def test_the_demo_is_handed_on_to_those_who_watch(gateway: Served, pool: Server) -> None:
    with gateway.http.stream("GET", "/watch/stream") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "retry: 1000"
        pool.client.publish("maze:demo", b'{"count": 3}')
        assert next(line for line in lines if line.startswith("data")) == 'data: {"count": 3}'


# --- sockets


def test_frames_go_up_and_replies_come_down(gateway: Served) -> None:
    with gateway.play(name="  Ann\u202e\n ") as ann:
        assert len(ann.welcome["session"]) == 32
        assert ann.welcome["name"] == "Ann"
        reply = ann.reply_to(ann.show("four"))
        assert (reply["gesture"], reply["action"]) == ("four", "right")
        ann.seq += 1
        ann.say({"seq": ann.seq, "t": 5, "landmarks": hands()["three"]})
        assert ann.reply_to(ann.seq)["action"] == "left"
        ann.seq += 1
        ann.say({"seq": ann.seq, "t": 6, "landmarks": []})
        assert ann.reply_to(ann.seq)["gesture"] is None


def test_the_frames_of_a_tick_share_entries(pool: Server) -> None:
    assert pool.url is not None
    with serving(pool.url, tick_ms=200) as gateway:
        players = [gateway.play() for _ in range(16)]
        partitions = {partition_of(one.welcome["session"], 8) for one in players}
        before = {p: pool.client.xlen(frames_key(p)) for p in partitions}
        wait_until(lambda: gateway.count("maze_gateway_sockets") == 16)
        sent = [one.show() for one in players]
        for one, seq in zip(players, sent, strict=True):
            assert one.reply_to(seq)["action"] == "up"
        entries = sum(pool.client.xlen(frames_key(p)) - before[p] for p in partitions)
        assert len(partitions) <= entries < 16, "one entry per partition and tick, two ticks at most"
        for one in players:
            one.close()


def test_a_token_resumes_the_session_and_its_maze(gateway: Served) -> None:
    with gateway.play() as ann:
        ann.say({"type": "start", "size": "small", "seed": 3})
        way = solve(generate(6, 5, 3))
        ann.hear_type("maze")
        ann.say({"type": "key", "move": way[0]})
        cell = ann.hear_type("at")["cell"]
        seq = ann.show()
        ann.reply_to(seq)
    with gateway.play(token=ann.welcome["token"]) as again:
        assert again.welcome["session"] == ann.welcome["session"]
        assert again.welcome["seq"] > seq
        assert again.welcome["game"]["cell"] == cell
        assert again.still_plays()
        with gateway.play(token=again.welcome["token"]) as third:
            assert again.closed() == (4409, "replaced")
            assert third.still_plays()


def test_a_token_outlives_its_gateway(pool: Server, gateway: Served) -> None:
    assert pool.url is not None
    with gateway.play() as ann:
        seq = ann.show()
        ann.reply_to(seq)
    with serving(pool.url) as another, another.play(token=ann.welcome["token"]) as again:
        assert again.welcome["session"] == ann.welcome["session"]
        assert again.seq > seq
        assert again.still_plays()


def foreign_token(secret: str = SECRET, bearer: str | None = None, session: str = "f" * 32) -> str:
    return Tokens(secret, 60).issue(
        Claim(session=session, name="x", bearer=bearer or bearer_of(None, "127.0.0.1"))
    )


@pytest.mark.parametrize(
    ("hello", "reason"),
    [
        ({"token": "rubbish"}, "bad_token"),
        ({"token": foreign_token("another secret of another gateway")}, "bad_token"),
        ({"token": foreign_token()[:-4] + "AAAA"}, "bad_token"),
        ({"token": foreign_token(bearer=bearer_of("another browser", ""))}, "stolen_token"),
        ({"token": 17}, "bad_token"),
        ({"session": "of-my-own-making"}, "own_session_id"),
        ({"width": 0}, "bad_aspect"),
        ({"name": ["a"]}, "bad_message"),
        ({"type": "start"}, "no_hello"),
    ],
)
def test_a_hello_that_is_none_ends_the_socket(
    gateway: Served, hello: dict[str, Any], reason: str, bystander: Player
) -> None:
    before = gateway.refused(reason)
    with gateway.socket() as player:
        assert player.hello(**hello)["reason"] == reason
        assert player.closed()[0] in (4400, 4401, 4408)
    assert gateway.refused(reason) == before + 1
    assert bystander.still_plays()


def test_a_token_expires(pool: Server) -> None:
    assert pool.url is not None
    with serving(pool.url, token_ttl_s=1) as gateway, gateway.play() as ann:
        time.sleep(2.1)  # the signature counts whole seconds
        with gateway.socket() as again:
            assert again.hello(token=ann.welcome["token"])["reason"] == "expired_token"
        assert ann.still_plays()
        assert gateway.refused("expired_token") == 1


@pytest.fixture
def bystander(gateway: Served) -> Iterator[Player]:
    """Somebody who plays by the rules."""
    with gateway.play(name="bystander") as found:
        yield found


BAD_MESSAGES: dict[str, tuple[Any, str]] = {
    "another length": (b"\0" * 275, "bad_frame"),
    "nothing": (b"", "bad_frame"),
    "an unknown flag": (packed(1 << 50, flags=8), "bad_frame"),
    "a seq beyond counting": (packed((1 << 63) - 1), "bad_seq"),
    "a seq of the past": (packed(1), "bad_seq"),
    "no aspect": (packed(1 << 50, aspect=NAN), "bad_aspect"),
    "no number": (packed(1 << 50, points=[LOST] * 21), "not_finite"),
    "too large a number": (packed(1 << 50, points=[(3e38, 0, 0)] * 21), "not_finite"),
    "words": ("hello", "bad_json"),
    "a list": ("[]", "bad_json"),
    "an unknown message": ('{"type": "cheat"}', "bad_message"),
    "20 points": ({"seq": 1, "t": 1, "landmarks": POINTS[:20]}, "bad_landmarks"),
    "strings": ({"seq": 1, "t": 1, "landmarks": [["a", "b"]] * 21}, "bad_landmarks"),
    "NaN": ({"seq": 1, "t": 1, "landmarks": [[NAN, 1]] * 21}, "not_finite"),
    "a session of one's own": ({"session": "me", "seq": 1, "t": 1, "landmarks": []}, "own_session_id"),
    "a maze without end": ({"type": "start", "size": "huge", "seed": 1}, "bad_message"),
    "a way out of the maze": ({"type": "key", "move": "through"}, "bad_message"),
}


@pytest.mark.parametrize("what", BAD_MESSAGES)
def test_a_bad_message_is_refused_and_the_game_goes_on(gateway: Served, what: str, bystander: Player) -> None:
    message, reason = BAD_MESSAGES[what]
    before = gateway.refused(reason)
    with gateway.play() as player:
        if isinstance(message, bytes):
            player.socket.send(message)
        else:
            player.say(message)
        assert player.hear_type("refused")["reason"] == reason
        player.seq = max(player.seq, 1 << 51)
        assert player.still_plays()
    assert gateway.refused(reason) == before + 1
    assert bystander.still_plays()


def test_garbage_is_cut_off_alone(gateway: Served, bystander: Player) -> None:
    with gateway.play() as player:
        with suppress(ConnectionClosed):
            for _ in range(30):
                player.say("garbage")
        assert player.closed() == (4429, "flood")
    assert bystander.still_plays()


def test_a_flood_of_frames_is_thinned_and_then_cut_off(gateway: Served, bystander: Player) -> None:
    before = gateway.refused("too_fast")
    with gateway.play() as player:
        with suppress(ConnectionClosed):
            for _ in range(200):
                player.show()
        assert player.closed()[0] == 4429
    assert gateway.refused("too_fast") > before + 30
    assert bystander.still_plays()


def test_30_fps_are_not_too_fast(gateway: Served) -> None:
    before = gateway.refused("too_fast")
    with gateway.play() as player:
        begin_s = time.monotonic()
        for frame in range(60):
            time.sleep(max(begin_s + frame / 30 - time.monotonic(), 0))
            seq = player.show()
        assert player.reply_to(seq)
    assert gateway.refused("too_fast") == before


@pytest.mark.parametrize(("size", "code"), [(5000, 4413), (200_000, 1009)])
def test_a_large_message_ends_the_socket(gateway: Served, size: int, code: int, bystander: Player) -> None:
    before = gateway.refused("too_large")
    with gateway.play() as player:
        player.say("x" * size)
        assert player.closed()[0] == code
    wait_until(lambda: gateway.refused("too_large") == before + 1)
    assert bystander.still_plays()


def test_pages_from_elsewhere_open_no_socket(gateway: Served) -> None:
    with pytest.raises(InvalidStatus) as refused:
        gateway.socket(Origin="https://evil.example")
    assert refused.value.response.status_code == 403
    assert gateway.refused("bad_origin") == 1
    for origin in (f"http://{gateway.address}", "https://friend.example"):
        with gateway.socket(Origin=origin) as player:
            assert player.hello()["type"] == "welcome"


def test_an_address_has_so_many_sockets(lonely: tuple[Served, Server]) -> None:
    gateway, _ = lonely
    with gateway.play(), gateway.play(), gateway.socket() as third:
        assert third.closed() == (4430, "too_many_sessions")
    wait_until(lambda: gateway.count("maze_gateway_sockets") == 0)
    with gateway.play():
        assert gateway.refused("too_many_sessions") == 1


def test_who_says_nothing_is_shown_out(lonely: tuple[Served, Server]) -> None:
    gateway, _ = lonely
    with gateway.socket() as silent:
        assert silent.closed() == (4408, "no_hello")


def test_replies_are_heard_again_after_the_subscription_was_lost(gateway: Served, pool: Server) -> None:
    with gateway.play() as ann:
        assert ann.still_plays()
        pool.client.client_kill_filter(_type="pubsub")

        def plays_again() -> bool:
            seq = ann.show("dislike")
            try:
                return bool(ann.hear(lambda one: one.get("seq") == seq, 0.3)["gesture"] == "dislike")
            except TimeoutError:
                return False

        wait_until(plays_again, 5)


# --- the game


def test_a_maze_is_walked_to_its_exit_and_onto_the_scoreboard(gateway: Served, pool: Server) -> None:
    with gateway.play(name="Walker") as player:
        player.say({"type": "start", "size": "small", "seed": 11})
        assert player.hear_type("maze")["cell"] == 0
        for step in solve(generate(6, 5, 11)):
            player.say({"type": "key", "move": step})
        finished = player.hear_type("finished")
        assert finished["rank"] == 1
        assert finished["input"] == "keyboard"
        player.say({"type": "key", "move": "up"})
    places = gateway.http.get("/scores/small").json()
    assert [(one["name"], one["moves"]) for one in places] == [("Walker", finished["moves"])]
    assert gateway.http.get("/scores/huge").status_code == 422


def test_gestures_move_the_token_by_the_pools_moves(gateway: Served) -> None:
    maze = generate(6, 5, 11)
    gesture = {"up": "like", "down": "dislike", "left": "three", "right": "four"}[solve(maze)[0]]
    with gateway.play() as player:
        player.say({"type": "input", "input": "simulated"})
        player.say({"type": "start", "size": "small", "seed": 11})
        player.hear_type("maze")
        for frame in range(5):
            player.show(gesture, t=frame * 50)
            time.sleep(0.04)  # frames of one tick would supersede each other
        at = player.hear_type("at")
        assert (at["cell"], at["by"]) == (maze.move(0, solve(maze)[0]), "simulated")
