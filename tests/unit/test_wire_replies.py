"""Replies round-trip through JSON, for every combination that a worker can write."""

from __future__ import annotations

import json
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gesture_maze.wire.gestures import DEFAULT_ACTIONS, GESTURES, LABELS
from gesture_maze.wire.replies import MOVES, Reply, ReplyWriter, reply_head

WRITER = ReplyWriter(GESTURES, "v1.2-a_b")


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
