"""Planning of frames into entries: one per partition and tick; a bad frame rejects its tick."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesture_maze.producer import plan
from gesture_maze.producer.options import options_of
from gesture_maze.producer.plan import Entry, Router, columns, plan_arrays, plan_frames
from gesture_maze.wire.decode import decode
from gesture_maze.wire.errors import FrameError, SettingsError
from gesture_maze.wire.frames import MAX_ENTRY_BYTES, Frame
from gesture_maze.wire.keys import partition_of

HANDS = np.linspace(0, 1, 63, dtype=np.float32).reshape(21, 3)


def frames_of(sessions: list[str]) -> list[Frame]:
    return [Frame(one, seq, 5, HANDS + seq, 1.25) for seq, one in enumerate(sessions)]


def decoded(entry: Entry) -> list[tuple[str, int]]:
    s, m, landmarks = entry.fields
    found, rejects = decode([[b"s", s, b"m", m, b"c" if entry.compact else b"l", landmarks]])
    assert not rejects
    return [(one.decode(), seq) for one, seq in zip(found.sessions, found.seq.tolist(), strict=True)]


def by_arrays(frames: list[Frame], router: Router) -> list[Entry]:
    sessions = [one.session for one in frames]
    seq = [one.seq for one in frames]
    landmarks = np.array([one.landmarks for one in frames], np.float32).reshape(-1, 21, 3)
    return plan_arrays(sessions, columns(sessions, np.array(seq, np.int64), 5, 1.25, 1, landmarks), router)


@given(st.lists(st.text("abc1", min_size=1, max_size=3), max_size=40), st.sampled_from([1, 4, 16]))
def test_plan_frames_gives_each_partition_one_entry_in_order(sessions: list[str], partitions: int) -> None:
    frames = frames_of(sessions)
    entries = plan_frames(frames, Router(partitions))
    assert [one.partition for one in entries] == sorted({partition_of(one, partitions) for one in sessions})
    for entry in entries:
        assert list(entry.rows) == sorted(entry.rows)
        assert decoded(entry) == [(frames[row].session, row) for row in entry.rows]
        assert {partition_of(frames[row].session, partitions) for row in entry.rows} == {entry.partition}
    assert sorted(row for one in entries for row in one.rows) == list(range(len(frames)))


@given(st.lists(st.text("abc1", min_size=1, max_size=3), max_size=40))
def test_plan_arrays_gives_same_entries_as_plan_frames(sessions: list[str]) -> None:
    frames = frames_of(sessions)
    by_frames, arrays = plan_frames(frames, Router(8)), by_arrays(frames, Router(8))
    assert [(one.partition, list(one.rows), one.fields) for one in by_frames] == [
        (one.partition, list(one.rows), one.fields) for one in arrays
    ]


def test_plan_of_oversized_tick_is_split_in_order() -> None:
    frames = frames_of(["x" * 64] * 2500)
    for entries in (plan_frames(frames, Router(1)), by_arrays(frames, Router(1))):
        assert [len(one.rows) for one in entries] == [1024, 1024, 452]
        assert [row for one in entries for row in one.rows] == list(range(2500))
        assert all(sum(map(len, one.fields)) <= MAX_ENTRY_BYTES for one in entries)


def test_plan_with_bad_frame_rejects_whole_tick() -> None:
    frames = frames_of(["a", "b", "c"])
    frames[2] = replace(frames[2], landmarks=np.full((21, 3), np.inf))
    with pytest.raises(FrameError) as caught:
        plan_frames(frames, Router(16))
    assert caught.value.reason == "not_finite"


ONE = {"sessions": ["p1", "p2"], "seq": [1, 2], "captured_ms": 5, "aspect": 1.0, "flags": 1}
BAD: list[tuple[str, dict[str, Any]]] = [
    ("bad_seq", {"seq": [1, -1]}),
    ("bad_seq", {"seq": np.array([1, 2**63], np.uint64)}),
    ("bad_seq", {"seq": [1.0, 2.0]}),
    ("bad_time", {"captured_ms": [0.5, 1.0]}),
    ("bad_aspect", {"aspect": [1.0, 0.0]}),
    ("bad_aspect", {"aspect": float("nan")}),
    ("bad_flags", {"flags": [1, 8]}),
    ("bad_length", {"seq": [1, 2, 3]}),
    ("bad_length", {"landmarks": np.zeros((2, 20, 3))}),
    ("bad_length", {"landmarks": np.zeros((3, 21, 3))}),
    ("not_finite", {"landmarks": np.full((2, 21, 3), np.nan)}),
    ("not_finite", {"landmarks": np.full((2, 21, 3), 1e300)}),
    ("bad_session", {"sessions": ["p1", "p 2"]}),
]


@pytest.mark.parametrize(("reason", "change"), BAD)
def test_plan_arrays_with_bad_values_raises_with_reason(reason: str, change: dict[str, Any]) -> None:
    given_arrays: dict[str, Any] = {**ONE, "landmarks": np.zeros((2, 21, 3)), **change}
    with pytest.raises(FrameError) as caught:
        plan_arrays(given_arrays["sessions"], columns(**given_arrays), Router(16))
    assert caught.value.reason == reason


def test_router_cache_with_many_sessions_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "MAX_KNOWN_SESSIONS", 3)
    router = Router(16)
    for number in range(10):
        assert router[f"p{number}"] == partition_of(f"p{number}", 16)
    assert len(router) <= 3


def test_options_with_several_faults_are_reported_together() -> None:
    with pytest.raises(SettingsError) as caught:
        options_of({"max_lag": -1, "timeout_s": 0.0, "colour": "red"})  # type: ignore[typeddict-unknown-key]
    assert all(word in str(caught.value) for word in ("max_lag", "timeout_s", "colour"))


def test_options_with_partitions_not_power_of_two_are_rejected() -> None:
    with pytest.raises(SettingsError, match="power of two"):
        options_of({"partitions": 12})


@pytest.mark.parametrize("plan_them", [plan_frames, by_arrays])
def test_plan_is_compact_only_when_pool_and_landmark_range_allow(plan_them: Any) -> None:
    router = Router(1)
    router.compact = True
    frames = [Frame("a", 0, 5, HANDS), Frame("a", 1, 5, HANDS * 3)]
    (entry,) = plan_them(frames, router)
    assert entry.compact
    assert len(entry.fields[2]) == 2 * 84
    assert decoded(entry) == [("a", 0), ("a", 1)]
    np.testing.assert_allclose(entry.landmarks[1, :, :2], HANDS[:, :2] * 3, atol=3.1e-5)
    (full,) = plan_them([frames[0], Frame("a", 1, 5, HANDS * 3.1)], router)
    assert not full.compact
    assert decoded(full) == [("a", 0), ("a", 1)]
    np.testing.assert_array_equal(full.landmarks[0], HANDS)
