"""Messages from a browser: any input is either parsed or refused with a reason."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gesture_maze.gateway import messages
from gesture_maze.gateway.messages import FRAME_BYTES, MAX_NAME, Key, Start, TextFrame
from gesture_maze.gateway.poses import hands
from gesture_maze.gateway.refusals import CLOSE_CODES, GatewayError, Refusal
from gesture_maze.wire.frames import HAND, LEFT, META, MIRRORED
from tests.support.gateway import packed


def test_packed_frame_has_the_layout_of_the_wire() -> None:
    raw = packed(17, "four", t=1_700_000_000_000, flags=HAND | LEFT)
    found = messages.unpack_frame(raw)
    assert (found.seq, found.captured_ms, found.flags) == (17, 1_700_000_000_000, HAND | LEFT)
    meta = np.frombuffer(raw[:24], META)[0]
    assert (meta["seq"], meta["captured_ms"], meta["flags"]) == (17, 1_700_000_000_000, HAND | LEFT)
    points = np.frombuffer(found.landmarks, "<f4").reshape(21, 3)
    assert np.allclose(points, hands()["four"])


@given(st.binary(max_size=300) | st.binary(min_size=FRAME_BYTES, max_size=FRAME_BYTES))
def test_unpack_frame_of_any_bytes_returns_a_frame_or_refuses(raw: bytes) -> None:
    refusals = {Refusal.BAD_FRAME, Refusal.BAD_SEQ, Refusal.BAD_ASPECT}
    try:
        landmarks = messages.unpack_frame(raw).landmarks
    except GatewayError as error:
        refusals.remove(error.refusal)
    else:
        assert len(landmarks) == 252


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_arbitrary_text_is_refused_with_a_gateway_error(raw: bytes) -> None:
    for read in (messages.read_hello, messages.read_message):
        with pytest.raises(GatewayError):
            read(raw)


def message_of(**values: Any) -> bytes:
    return json.dumps(values).encode()


def test_messages_are_parsed_by_their_type() -> None:
    assert messages.read_message(message_of(type="start", size="large", seed=7)) == Start(
        type="start", size="large", seed=7
    )
    assert messages.read_message(message_of(type="key", move="up")) == Key(type="key", move="up")
    found = messages.read_message(message_of(seq=1, t=2, landmarks=[[1, 2]] * 21, hand="left", mirrored=True))
    assert isinstance(found, TextFrame)
    frame = messages.pack_text(found, 1.5)
    assert (frame.aspect, frame.flags) == (1.5, HAND | LEFT | MIRRORED)
    assert np.frombuffer(frame.landmarks, "<f4").reshape(21, 3).tolist() == [[1, 2, 0]] * 21


def test_text_frame_without_a_hand_is_accepted() -> None:
    found = messages.read_message(message_of(type="frame", seq=1, t=2, landmarks=[]))
    assert isinstance(found, TextFrame)
    frame = messages.pack_text(found, 1.0)
    assert frame.flags == 0
    assert not any(frame.landmarks)


@example("0" * (messages.MAX_NAME - 1) + " 0")
@given(st.text(max_size=100))
def test_clean_name_of_any_text_is_printable_and_idempotent(name: str) -> None:
    found = messages.clean_name(name)
    assert 1 <= len(found) <= MAX_NAME
    assert found.isprintable()
    assert messages.clean_name(found) == found


def test_close_codes_of_refusals_are_in_the_private_range() -> None:
    assert all(4000 <= code < 5000 for code in CLOSE_CODES.values())
