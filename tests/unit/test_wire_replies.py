"""Replies round-trip through JSON, for every combination that a worker can write."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gesture_maze.wire.gestures import (
    DEFAULT_ACTIONS,
    GESTURES,
    HANDS,
    LABELS,
    PUBLISHED,
    LabelSet,
    action_of,
    parse_action_key,
)
from gesture_maze.wire.replies import MOVES, Reply, ReplyWriter, reply_head

WRITER = ReplyWriter(PUBLISHED, "v1.2-a_b")


@given(st.integers(0, 2**63 - 1), st.integers(-(2**63) + 1, 2**63 - 1), st.integers(0, 1000))
def test_reply_numbers_round_trip(seq: int, t: int, confidence: int) -> None:
    text = WRITER.write(reply_head("p1"), seq, t, 16, confidence, 1, 1)
    reply = Reply.model_validate_json(text)
    assert (reply.seq, reply.t, reply.confidence) == (seq, t, confidence / 1000)
    assert json.loads(text)["seq"] == seq


@pytest.mark.parametrize("label", range(len(GESTURES) + 1))
def test_reply_labels_actions_and_moves_round_trip(label: int) -> None:
    gesture = GESTURES[label] if label < len(GESTURES) else None
    for action, move in product(range(5), range(6)):
        text = WRITER.write(reply_head("p1"), 1, 2, label, 500, action, move)
        reply = Reply.model_validate_json(text)
        assert (reply.gesture, reply.label) == (gesture, None if gesture is None else label)
        assert (reply.action, reply.move) == (MOVES[action], MOVES[move])
        assert reply.model == "v1.2-a_b"


@pytest.mark.parametrize(
    ("seen", "gesture", "label", "hand"),
    [
        (0, "like", 16, "right"), (1, "swipe", 19, "right"), (2, None, None, None),
        (3, "like", 16, "left"), (4, "swipe", 19, "left"), (5, None, None, None),
    ],
)  # fmt: skip
def test_reply_of_own_label_set_has_its_name_number_and_hand(
    seen: int, gesture: str | None, label: int | None, hand: str | None
) -> None:
    writer = ReplyWriter(LabelSet(("like", "swipe"), (16, 19)), "m")
    reply = Reply.model_validate_json(writer.write(reply_head("p1"), 1, 2, seen, 500, 0, 0))
    assert (reply.gesture, reply.label, reply.hand) == (gesture, label, hand)


def test_action_of_one_hand_comes_before_that_of_both() -> None:
    actions: Any = {"like": "up", "left:like": "left", "right:swipe": "down"}
    assert [action_of(actions, "like", hand) for hand in HANDS] == ["up", "left"]
    assert [action_of(actions, "swipe", hand) for hand in HANDS] == ["down", None]


@pytest.mark.parametrize("key", ["", "both:like", "left:", "left:right:like", "9lives", "like up"])
def test_action_key_that_names_no_gesture_is_refused(key: str) -> None:
    assert parse_action_key("left:swipe-2") == ("left", "swipe-2")
    assert parse_action_key("like") == (None, "like")
    with pytest.raises(ValueError, match="expected a gesture"):
        parse_action_key(key)


def test_reply_of_worker_without_hand_key_is_accepted() -> None:
    text = WRITER.write(reply_head("p1"), 1, 2, 16, 500, 1, 1).replace('"hand":"right",', "")
    assert Reply.model_validate_json(text).hand is None


def test_gesture_labels_match_published_numbers() -> None:
    assert {name: LABELS[name] for name in DEFAULT_ACTIONS} == {
        "like": 16,
        "dislike": 2,
        "four": 3,
        "three": 14,
    }
    assert len(GESTURES) == len(set(GESTURES)) == 19
    assert GESTURES[18] == "no_gesture"


def test_reply_of_other_wire_version_is_rejected() -> None:
    text = WRITER.write(reply_head("p1"), 1, 2, 16, 500, 1, 1).replace('"v":1', '"v":2')
    with pytest.raises(ValidationError):
        Reply.model_validate_json(text)


def test_reply_with_unknown_keys_ignores_them() -> None:
    text = WRITER.write(reply_head("p1"), 1, 2, 16, 500, 1, 1)
    assert Reply.model_validate_json(text[:-1] + ',"extra":1}').seq == 1
