"""WS /play: frames, replies, the game, tokens, limits and refusals."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gesture_maze.game.mazes import generate, solve
from gesture_maze.gateway.poses import hands
from gesture_maze.gateway.tokens import Claim, Tokens, bearer_of
from gesture_maze.wire.keys import frames_key, partition_of
from tests.support.gateway import SECRET, Player, Served, packed, serving
from tests.support.servers import Server, wait_until

POINTS: list[Any] = hands()["like"]
NAN = float("nan")
LOST = (0.0, 0.0, NAN)


# --- sockets


def test_frames_sent_on_a_socket_are_answered(gateway: Served) -> None:
    with gateway.play(name="  Ann\u202e\n ") as ann:
        assert len(ann.welcome["session"]) == 32
        assert ann.welcome["name"] == "Ann"
        reply = ann.reply_to(ann.show("four"))
        assert (reply["gesture"], reply["action"]) == ("four", "right")
        ann.seq += 1
        ann.send_message({"seq": ann.seq, "t": 5, "landmarks": hands()["three"]})
        assert ann.reply_to(ann.seq)["action"] == "left"
        ann.seq += 1
        ann.send_message({"seq": ann.seq, "t": 6, "landmarks": []})
        assert ann.reply_to(ann.seq)["gesture"] is None


def test_frames_of_one_tick_share_entries(pool: Server) -> None:
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


def test_token_after_a_disconnect_resumes_the_session_and_its_maze(gateway: Served) -> None:
    with gateway.play() as ann:
        ann.send_message({"type": "start", "size": "small", "seed": 3})
        way = solve(generate(6, 5, 3))
        ann.receive_type("maze")
        ann.send_message({"type": "key", "move": way[0]})
        cell = ann.receive_type("at")["cell"]
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


def test_token_of_another_gateway_resumes_the_session(pool: Server, gateway: Served) -> None:
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
        ({"settings": {"settle_evidence": 99}}, "bad_settings"),
        ({"settings": {"actions": {"both:like": "up"}}}, "bad_settings"),
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
def test_hello_invalid_closes_the_socket(
    gateway: Served, hello: dict[str, Any], reason: str, bystander: Player
) -> None:
    before = gateway.refused(reason)
    with gateway.socket() as player:
        assert player.hello(**hello)["reason"] == reason
        assert player.closed()[0] in (4400, 4401, 4408)
    assert gateway.refused(reason) == before + 1
    assert bystander.still_plays()


def test_token_past_its_ttl_is_refused(pool: Server) -> None:
    assert pool.url is not None
    with serving(pool.url, token_ttl_s=1) as gateway, gateway.play() as ann:
        time.sleep(2.1)  # the signature counts whole seconds
        with gateway.socket() as again:
            assert again.hello(token=ann.welcome["token"])["reason"] == "expired_token"
        assert ann.still_plays()
        assert gateway.refused("expired_token") == 1


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
def test_invalid_message_is_refused_and_the_game_continues(
    gateway: Served, what: str, bystander: Player
) -> None:
    message, reason = BAD_MESSAGES[what]
    before = gateway.refused(reason)
    with gateway.play() as player:
        if isinstance(message, bytes):
            player.socket.send(message)
        else:
            player.send_message(message)
        assert player.receive_type("refused")["reason"] == reason
        player.seq = max(player.seq, 1 << 51)
        assert player.still_plays()
    assert gateway.refused(reason) == before + 1
    assert bystander.still_plays()


def test_flood_of_garbage_closes_only_its_socket(gateway: Served, bystander: Player) -> None:
    with gateway.play() as player:
        with suppress(ConnectionClosed):
            for _ in range(30):
                player.send_message("garbage")
        assert player.closed() == (4429, "flood")
    assert bystander.still_plays()


def test_flood_of_frames_is_thinned_and_then_closed(gateway: Served, bystander: Player) -> None:
    before = gateway.refused("too_fast")
    with gateway.play() as player:
        with suppress(ConnectionClosed):
            for _ in range(200):
                player.show()
        assert player.closed()[0] == 4429
    assert gateway.refused("too_fast") > before + 30
    assert bystander.still_plays()


def test_frames_at_30_fps_are_not_refused(gateway: Served) -> None:
    before = gateway.refused("too_fast")
    with gateway.play() as player:
        begin_s = time.monotonic()
        for frame in range(60):
            time.sleep(max(begin_s + frame / 30 - time.monotonic(), 0))
            seq = player.show()
        assert player.reply_to(seq)
    assert gateway.refused("too_fast") == before


@pytest.mark.parametrize(("size", "code"), [(5000, 4413), (200_000, 1009)])
def test_message_too_large_closes_the_socket(
    gateway: Served, size: int, code: int, bystander: Player
) -> None:
    before = gateway.refused("too_large")
    with gateway.play() as player:
        player.send_message("x" * size)
        assert player.closed()[0] == code
    wait_until(lambda: gateway.refused("too_large") == before + 1)
    assert bystander.still_plays()


def test_socket_from_a_foreign_origin_is_refused(gateway: Served) -> None:
    for number, origin in enumerate(("https://evil.example", "null", "http://["), 1):
        with pytest.raises(InvalidStatus) as refused:
            gateway.socket(Origin=origin)
        assert refused.value.response.status_code == 403
        assert gateway.refused("bad_origin") == number
    for origin in (f"http://{gateway.address}", "https://friend.example"):
        with gateway.socket(Origin=origin) as player:
            assert player.hello()["type"] == "welcome"


def test_sockets_of_one_address_are_limited(lonely: tuple[Served, Server]) -> None:
    gateway, _ = lonely
    with gateway.play(), gateway.play(), gateway.socket() as third:
        assert third.closed() == (4430, "too_many_sessions")
    wait_until(lambda: gateway.count("maze_gateway_sockets") == 0)
    with gateway.play():
        assert gateway.refused("too_many_sessions") == 1


def test_socket_without_a_hello_is_closed(lonely: tuple[Served, Server]) -> None:
    gateway, _ = lonely
    with gateway.socket() as silent:
        assert silent.closed() == (4408, "no_hello")


def test_replies_after_a_lost_subscription_resume(gateway: Served, pool: Server) -> None:
    with gateway.play() as ann:
        assert ann.still_plays()
        pool.client.client_kill_filter(_type="pubsub")

        def plays_again() -> bool:
            seq = ann.show("dislike")
            try:
                return bool(ann.receive(lambda one: one.get("seq") == seq, 0.3)["gesture"] == "dislike")
            except TimeoutError:
                return False

        wait_until(plays_again, 5)


# --- the game


def test_maze_walked_to_its_exit_enters_the_scoreboard(gateway: Served, pool: Server) -> None:
    with gateway.play(name="Walker") as player:
        player.send_message({"type": "start", "size": "small", "seed": 11})
        assert player.receive_type("maze")["cell"] == 0
        player.walk(*solve(generate(6, 5, 11)))
        finished = player.receive_type("finished")
        assert finished["rank"] >= 1
        assert finished["input"] == "keyboard"
        player.send_message({"type": "key", "move": "up"})
    places = gateway.http.get("/scores/small").json()
    assert ("Walker", finished["moves"]) in [(one["name"], one["moves"]) for one in places]
    assert gateway.http.get("/scores/huge").status_code == 422


def test_gesture_held_moves_the_player(gateway: Served) -> None:
    maze = generate(6, 5, 11)
    gesture = {"up": "like", "down": "dislike", "left": "three", "right": "four"}[solve(maze)[0]]
    with gateway.play() as player:
        player.send_message({"type": "input", "input": "simulated"})
        player.send_message({"type": "start", "size": "small", "seed": 11})
        player.receive_type("maze")
        for frame in range(5):
            player.show(gesture, t=frame * 50)
            time.sleep(0.04)  # frames of one tick would supersede each other
        at = player.receive_type("at")
        assert (at["cell"], at["by"]) == (maze.move(0, solve(maze)[0]), "simulated")
