"""Validation of frames before a producer sends them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gesture_maze.wire.errors import FrameError, SettingsError
from gesture_maze.wire.frames import HAND, LEFT, MIRRORED, Frame, check_frame, landmark_array, pack
from gesture_maze.wire.keys import check_partitions, check_session, is_session, partition_of

GOOD = Frame("p1", 1, 2, np.full((21, 3), 0.5), 4 / 3)
NO_SESSIONS = ["", "x" * 65, "p 1", "p1\n", "\np1", "p1\x00", "ä", "p{1}", "p:1", "p*", "\u202ep1", "\uff11"]


@pytest.mark.parametrize("session", NO_SESSIONS)
def test_session_id_illegal_is_rejected(session: str) -> None:
    assert not is_session(session)
    assert not is_session(session.encode())
    with pytest.raises(FrameError) as caught:
        check_session(session)
    assert caught.value.reason == "bad_session"


@pytest.mark.parametrize("session", ["a", "Z" * 64, "-", "_", "0", "Az09_-"])
def test_session_id_legal_is_accepted(session: str) -> None:
    assert is_session(session)
    assert is_session(session.encode())
    assert check_session(session) == session


def test_session_id_as_bytes_is_rejected() -> None:
    not_text: Any = b"p1"
    with pytest.raises(FrameError):
        check_session(not_text)


BAD: list[tuple[str, dict[str, Any]]] = [
    ("bad_session", {"session": "p 1"}),
    ("bad_session", {"session": None}),
    ("bad_seq", {"seq": -1}),
    ("bad_seq", {"seq": 2**63}),
    ("bad_seq", {"seq": 1.5}),
    ("bad_seq", {"seq": "1"}),
    ("bad_seq", {"seq": True}),
    ("bad_time", {"captured_ms": 2**63}),
    ("bad_time", {"captured_ms": 1.5}),
    ("bad_time", {"captured_ms": None}),
    ("bad_aspect", {"aspect": 0.0}),
    ("bad_aspect", {"aspect": 100.5}),
    ("bad_aspect", {"aspect": float("nan")}),
    ("bad_aspect", {"aspect": "1.0"}),
    ("bad_landmarks", {"landmarks": np.zeros((20, 3))}),
    ("bad_landmarks", {"landmarks": np.zeros((21, 4))}),
    ("bad_landmarks", {"landmarks": "x"}),
    ("bad_landmarks", {"landmarks": 17}),
    ("bad_landmarks", {"landmarks": np.zeros((21, 0))}),
    ("not_finite", {"landmarks": [[None, 1.0]] * 21}),
    ("bad_landmarks", {"landmarks": [[0.0, 1.0]] * 20 + [[0.0]]}),
    ("bad_landmarks", {"landmarks": [[10**400, 0]] * 21}),
    ("not_finite", {"landmarks": np.full((21, 3), np.nan)}),
    ("not_finite", {"landmarks": np.full((21, 3), 1e300)}),
    ("not_finite", {"landmarks": [[1e300, 0.0]] * 21}),
]


@pytest.mark.parametrize(("reason", "change"), BAD)
def test_pack_with_bad_frame_raises_with_reason(reason: str, change: dict[str, Any]) -> None:
    with pytest.raises(FrameError) as caught:
        pack([GOOD, replace(GOOD, **change)])
    assert caught.value.reason == reason
    assert str(caught.value)


def test_frame_with_numpy_numbers_is_accepted() -> None:
    one = replace(GOOD, seq=np.uint64(7), captured_ms=np.int64(8), aspect=np.float32(1.5))  # type: ignore[arg-type]
    assert check_frame(one) is one


def test_frame_flags_follow_hand_side_and_mirroring() -> None:
    assert GOOD.flags == HAND
    assert replace(GOOD, left=True, mirrored=True).flags == HAND | LEFT | MIRRORED
    assert replace(GOOD, landmarks=None).flags == 0
    assert replace(GOOD, landmarks=[]).flags == 0


def test_landmark_pairs_get_zero_depth() -> None:
    points = landmark_array([[0.25, 0.75]] * 21)
    assert points.shape == (21, 3)
    assert points.dtype == np.float32
    assert points[0].tolist() == [0.25, 0.75, 0.0]


def test_pack_over_one_mebibyte_is_rejected() -> None:
    with pytest.raises(FrameError) as caught:
        pack([GOOD] * 4000)
    assert caught.value.reason == "too_large"


@pytest.mark.parametrize("partitions", [0, -1, 3, 17, 2048])
def test_partitions_not_power_of_two_in_range_are_rejected(partitions: int) -> None:
    with pytest.raises(SettingsError):
        check_partitions(partitions)


def test_partition_of_many_sessions_is_balanced() -> None:
    found = [partition_of(f"player-{number}", 16) for number in range(16_000)]
    counts = np.bincount(found, minlength=16)
    assert counts.min() > 800
    assert counts.max() < 1200
