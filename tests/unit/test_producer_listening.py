"""The listening scripts, run against simulated messages."""

from __future__ import annotations

from typing import Any

import pytest

from gesture_maze.producer.listening import SILENCE_S, Listening
from gesture_maze.producer.options import options_of
from gesture_maze.producer.replies import Inbox, reply_to_of
from gesture_maze.producer.steps import Disconnect, NoAnswer, Pause, PubSubCommand, ReadMessage, Steps
from gesture_maze.wire.errors import ConnectionLost, FrameError
from gesture_maze.wire.gestures import PUBLISHED
from gesture_maze.wire.keys import actions_channel, partition_of, reply_channel
from gesture_maze.wire.replies import MOVES, ReplyWriter, reply_head
from tests.support.answers import drive

WRITER = ReplyWriter(PUBLISHED, "test")


def channel(session: str) -> bytes:
    return actions_channel(partition_of(session, 16), session).encode()


def reply(session: str, seq: int, on: str | None = None, move: str | None = None) -> dict[str, Any]:
    text = WRITER.write(reply_head(session), seq, 5, 16, 900, 1, MOVES.index(move))
    return {"type": "message", "channel": channel(on or session), "data": text.encode()}


def confirmation(session: str) -> dict[str, Any]:
    return {"type": "subscribe", "channel": channel(session), "data": 1}


def taken(inbox: Inbox) -> list[tuple[str, int]]:
    return [(one.session, one.seq) for one in inbox.ready]


def test_inbox_drops_late_and_repeated_replies_per_session() -> None:
    inbox = Inbox(16)
    inbox.want(["p1", "p2"])
    for session, seq in [("p1", 3), ("p1", 3), ("p2", 1), ("p1", 2), ("p1", 4), ("p2", 0), ("p2", 9)]:
        inbox.take(reply(session, seq))
    assert taken(inbox) == [("p1", 3), ("p2", 1), ("p1", 4), ("p2", 9)]


def test_inbox_accepts_first_seq_zero() -> None:
    inbox = Inbox(16)
    inbox.want(["p1"])
    inbox.take(reply("p1", 0))
    assert taken(inbox) == [("p1", 0)]


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b"null", b'{"v":2}'])
def test_inbox_ignores_messages_that_are_not_replies(data: bytes) -> None:
    inbox = Inbox(16)
    inbox.want(["p1"])
    inbox.take({"type": "message", "channel": channel("p1"), "data": data})
    inbox.take(reply("p2", 1, on="p1"))
    inbox.take(reply("p2", 1))
    inbox.take({"type": "pong", "channel": None, "data": b""})
    assert not inbox.ready


def test_inbox_forgets_dropped_session() -> None:
    inbox = Inbox(16)
    inbox.want(["p1", "p2"])
    inbox.take(reply("p1", 5))
    inbox.take(reply("p2", 5))
    assert inbox.drop(["p1", "p3"]) == [channel("p1")]
    assert taken(inbox) == [("p2", 5)]
    inbox.take(reply("p1", 6))
    assert inbox.want(["p1"]) == [channel("p1")]
    inbox.take(reply("p1", 1))
    assert taken(inbox) == [("p2", 5), ("p1", 1)]


def shared(session: str, name: str = "me") -> bytes:
    return reply_channel(partition_of(session, 16), name).encode()


def several(channel: bytes, *texts: str) -> dict[str, Any]:
    return {"type": "message", "channel": channel, "data": f"[{','.join(texts)}]".encode()}


def test_inbox_takes_list_of_replies_on_its_reply_channel() -> None:
    inbox = Inbox(16, reply_to="me")
    assert inbox.want(["p1", "p2"]) == [channel("p1"), channel("p2"), shared("p1"), shared("p2")]
    texts = [reply(one, seq)["data"].decode() for one, seq in (("p1", 3), ("p3", 1), ("p1", 3), ("p1", 4))]
    inbox.take(several(shared("p1"), texts[0], '{"v":1}', *texts[1:]))
    inbox.take(several(channel("p2"), reply("p2", 1)["data"].decode()))  # a list on a session's channel
    inbox.take({"type": "message", "channel": shared("p1"), "data": reply("p1", 9)["data"]})
    assert taken(inbox) == [("p1", 3), ("p1", 4)]


def test_inbox_leaves_reply_channel_with_last_session_of_partition() -> None:
    inbox = Inbox(1, reply_to="me")
    first, second = (actions_channel(0, one).encode() for one in ("p1", "p2"))
    at = reply_channel(0, "me").encode()
    assert inbox.want(["p1"]) == [first, at]
    assert inbox.want(["p2"]) == [second]
    assert inbox.drop(["p1"]) == [first]
    assert inbox.channels() == [second, at]
    assert inbox.drop(["p2"]) == [second, at]
    assert inbox.want(["p1"]) == [first, at]


def test_reply_to_is_name_of_only_inbox_with_all_sessions_once_confirmed() -> None:
    mine, other = Inbox(1, reply_to="me"), Inbox(1, reply_to="other")
    mine.want(["p1", "p2"])
    assert reply_to_of([mine, other], 0, {"p1"}) == ""
    mine.take({"type": "subscribe", "channel": reply_channel(0, "me").encode(), "data": 1})
    assert reply_to_of([mine, other], 0, {"p1", "p2"}) == "me"
    assert reply_to_of([mine, other], 0, {"p1", "p3"}) == ""
    other.want(["p2"])
    assert reply_to_of([mine, other], 0, {"p1", "p2"}) == ""
    assert reply_to_of([mine, other], 0, {"p1"}) == "me"
    mine.disconnected()
    assert reply_to_of([mine, other], 0, {"p1"}) == ""


def test_inbox_with_bad_session_subscribes_to_nothing() -> None:
    inbox = Inbox(16)
    with pytest.raises(FrameError):
        inbox.want(["p1", "p*"])
    assert inbox.empty()


class Player:
    """Run scripts: a read returns the next message, or None after its timeout when there is none."""

    def __init__(self, *messages: Any, **words: Any) -> None:
        self.now_s = 0.0
        self.messages = list(messages)
        self.steps: list[Any] = []
        self.listening = Listening(
            16, options_of({"reply_channel": False, **words}), clock=lambda: self.now_s, jitter=lambda: 0.5
        )  # type: ignore[arg-type]

    def play(self, script: Steps[Any]) -> Any:
        return drive(script, self._answer)

    def _answer(self, step: Any) -> Any:
        self.steps.append(step)
        if isinstance(step, ReadMessage) and self.messages:
            return self.messages.pop(0)
        if isinstance(step, ReadMessage | Pause):
            self.now_s += step.seconds
        return None

    def kinds(self) -> list[type]:
        return [type(step) for step in self.steps]


def test_subscribe_returns_once_redis_confirms_all_channels() -> None:
    player = Player(confirmation("p1"), reply("p1", 1), confirmation("p2"), reply("p1", 2))
    player.play(player.listening.subscribe(["p1", "p2"]))
    assert player.steps[0] == PubSubCommand("SUBSCRIBE", [channel("p1"), channel("p2")])
    assert player.kinds() == [PubSubCommand, ReadMessage, ReadMessage, ReadMessage]
    assert player.play(player.listening.next(0)).seq == 1
    assert player.play(player.listening.next(0)).seq == 2


def test_subscribe_to_known_session_sends_nothing() -> None:
    player = Player(confirmation("p1"))
    player.play(player.listening.subscribe(["p1"]))
    player.steps.clear()
    player.play(player.listening.subscribe(["p1"]))
    assert not player.steps


def test_subscribe_without_confirmation_raises_connection_lost() -> None:
    player = Player(retries=1, timeout_s=1.0)
    with pytest.raises(ConnectionLost):
        player.play(player.listening.subscribe(["p1"]))
    assert [step.word for step in player.steps if isinstance(step, PubSubCommand)] == [
        "SUBSCRIBE",
        "SUBSCRIBE",
        "UNSUBSCRIBE",
    ]
    assert player.now_s == pytest.approx(2.0)
    assert player.listening.inbox.empty()


def test_next_without_messages_returns_none_at_timeout() -> None:
    player = Player(confirmation("p1"))
    player.play(player.listening.subscribe(["p1"]))
    assert player.play(player.listening.next(0.6)) is None
    assert player.now_s == pytest.approx(0.6)


def test_next_after_lost_connection_resubscribes_with_growing_pauses() -> None:
    player = Player(confirmation("p1"))
    player.play(player.listening.subscribe(["p1"]))
    player.messages = [NoAnswer("gone"), NoAnswer("gone"), confirmation("p1"), reply("p1", 7)]
    player.steps.clear()
    assert player.play(player.listening.next(None)).seq == 7
    assert player.kinds() == [ReadMessage, Pause, ReadMessage, Pause, Pause, ReadMessage, ReadMessage]
    assert player.now_s == pytest.approx(0.05 + 0.1)
    reads = [step for step in player.steps if isinstance(step, ReadMessage)]
    assert reads[0].channels() == [channel("p1")]


def test_replies_after_lost_connection_keep_rising() -> None:
    player = Player(
        confirmation("p1"),
        reply("p1", 7),
        NoAnswer("gone"),
        confirmation("p1"),
        reply("p1", 7),
        reply("p1", 8),
    )
    player.play(player.listening.subscribe(["p1"]))
    assert [player.play(player.listening.next(None)).seq for _ in range(2)] == [7, 8]


def test_silent_connection_is_pinged_then_replaced() -> None:
    player = Player(confirmation("p1"))
    player.play(player.listening.subscribe(["p1"]))
    player.steps.clear()
    player.play(player.listening.next(3 * SILENCE_S))
    assert [step for step in player.steps if not isinstance(step, ReadMessage)] == [
        PubSubCommand("PING", []),
        Disconnect(),
    ]


def test_silent_connection_with_pong_is_kept() -> None:
    player = Player(confirmation("p1"))
    player.play(player.listening.subscribe(["p1"]))
    player.play(player.listening.next(SILENCE_S + 1))
    player.messages = [{"type": "pong", "channel": None, "data": b""}]
    player.steps.clear()
    player.play(player.listening.next(SILENCE_S - 1))
    assert Disconnect() not in player.steps


def test_next_when_closed_returns_none() -> None:
    player = Player(confirmation("p1"), reply("p1", 1))
    player.play(player.listening.subscribe(["p1"]))
    player.listening.closed = True
    assert player.play(player.listening.next(None)) is None


def test_next_without_sessions_reads_nothing() -> None:
    player = Player()
    assert player.play(player.listening.next(0.5)) is None
    assert set(player.kinds()) == {Pause}


def moves_of(player: Player, timeout_s: float) -> list[tuple[int, str | None, bool]]:
    player.play(player.listening.subscribe(["p1"]))
    found = []
    while (one := player.play(player.listening.next(timeout_s))) is not None:
        found.append((one.seq, one.move, one.synthetic))
    return found


def test_held_move_without_replies_ends_with_one_synthetic_stop() -> None:
    player = Player(confirmation("p1"), reply("p1", 1, move="up"), reply("p1", 2))
    assert moves_of(player, 2.0) == [(1, "up", False), (2, None, False), (2, "stop", True)]
    assert 0.35 <= player.now_s - 2.0 <= 0.45


def test_held_move_stopped_by_pool_gets_no_synthetic_stop() -> None:
    player = Player(confirmation("p1"), reply("p1", 1, move="up"), reply("p1", 2, move="stop"))
    assert moves_of(player, 2.0) == [(1, "up", False), (2, "stop", False)]


def test_reply_after_synthetic_stop_is_delivered() -> None:
    player = Player(confirmation("p1"), reply("p1", 1, move="up"))
    assert len(moves_of(player, 1.0)) == 2
    player.messages = [reply("p1", 2, move="up")]
    assert player.play(player.listening.next(0)).seq == 2
