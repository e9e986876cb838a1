"""Producer conveniences: numbering frames, and warnings about implausible input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gesture_maze.producer.input_check import FIRST_CHECKS, InputCheck
from gesture_maze.producer.numbering import MAX_KNOWN_SESSIONS, Numbering, SteadyClock
from gesture_maze.producer.outcome_watch import OUTCOMES, OutcomeWatch
from gesture_maze.producer.plan import Entry, Router, plan_frames
from gesture_maze.wire.frames import Frame
from gesture_maze.wire.keys import partition_of
from gesture_maze.wire.session_settings import SessionSettings

NOW_S = 1_700_000_000.0
HAND = np.random.default_rng(0).random((21, 3)).astype(np.float32)
GOOD = Frame("p1", 1, int(NOW_S * 1000), HAND, 4 / 3)


def entry(frame: Frame) -> Entry:
    (found,) = plan_frames([frame], Router(16))
    return found


# --- numbering


def test_seqs_with_stopped_clock_rise_per_session() -> None:
    numbering = Numbering(clock=lambda: 50)
    assert numbering.seqs(["a", "b", "a", "a"]) == [50, 50, 51, 52]
    assert numbering.seqs(["b"]) == [51]


def test_seqs_after_process_restart_continue_above_previous() -> None:
    now = [1000]
    first = Numbering(clock=lambda: now[0]).seqs(["a"] * 3)
    now[0] += 33
    assert Numbering(clock=lambda: now[0]).seqs(["a"])[0] > max(first)


def test_numbering_with_many_sessions_forgets_only_those_behind_clock() -> None:
    now = [1000]
    numbering = Numbering(clock=lambda: now[0])
    numbering.seqs(["busy"] * 100)
    now[0] += 50
    numbering.seqs([f"s{number}" for number in range(MAX_KNOWN_SESSIONS + 1)])
    assert len(numbering._last) <= MAX_KNOWN_SESSIONS + 2
    assert numbering.seqs(["busy"]) == [1100]
    now[0] += 100
    numbering.seqs([f"t{number}" for number in range(MAX_KNOWN_SESSIONS + 1)])
    assert "busy" not in numbering._last


def test_steady_clock_with_wall_clock_set_back_keeps_rising(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SteadyClock()
    first = clock()
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert 0 <= clock() - first < 5_000
    assert first > 1_600_000_000_000


# --- inputs


def checked(frame: Frame, times: int = 1) -> list[str]:
    found: list[str] = []
    check = InputCheck(found.append, wall_s=lambda: NOW_S)
    for _ in range(times):
        check.look(entry(frame), 0.0)
    return found


@pytest.mark.parametrize(
    "frame",
    [
        GOOD,
        replace(GOOD, landmarks=None),
        replace(GOOD, captured_ms=5),
        replace(GOOD, landmarks=HAND + 1),
        replace(GOOD, landmarks=HAND - 0.5),
        replace(GOOD, landmarks=HAND * 0.1),
        replace(GOOD, landmarks=(HAND - 0.5) * 0.2, aspect=1.0),
    ],
)
def test_input_check_with_plausible_frame_does_not_warn(frame: Frame) -> None:
    assert checked(frame) == []


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (replace(GOOD, captured_ms=int(NOW_S)), "looks like seconds"),
        (replace(GOOD, landmarks=np.full((21, 3), 0.5)), "the same point"),
        (replace(GOOD, landmarks=np.zeros((21, 3))), "the same point"),
        (replace(GOOD, landmarks=(HAND - 0.5) * 0.2), "world landmarks"),
        (replace(GOOD, landmarks=HAND * 480), "pass aspect=1.0"),
        (replace(GOOD, landmarks=HAND * 80, aspect=1.0), "one unit in x and y"),
    ],
)
def test_input_check_with_implausible_frame_warns_once(frame: Frame, words: str) -> None:
    (text,) = checked(frame, times=3)
    assert words in text
    assert "session 'p1'" in text


def test_input_check_after_first_frames_samples_once_per_second() -> None:
    found: list[str] = []
    check = InputCheck(found.append, wall_s=lambda: NOW_S)
    for _ in range(FIRST_CHECKS):
        check.look(entry(GOOD), 0.0)
    check.look(entry(replace(GOOD, landmarks=np.zeros((21, 3)))), 0.9)
    assert not found
    check.look(entry(replace(GOOD, landmarks=np.zeros((21, 3)))), 1.1)
    assert len(found) == 1


# --- frames without replies


class World:
    """Watch one partition whose counters the test sets."""

    def __init__(self, last_seq: int | None = None) -> None:
        self.found: list[str] = []
        self.last_seq = last_seq
        self.watch = OutcomeWatch(lambda _session: self.last_seq, self.found.append)
        self.partition = partition_of("p1", 16)
        self.now_s = 0.0

    def second(self, **counts: int) -> None:
        self.watch.sent([entry(GOOD)])
        assert self.watch.due(self.now_s) == [self.partition]
        assert self.watch.due(self.now_s + 0.5) == []
        self.watch.note(self.partition, [counts.get(name) for name in OUTCOMES], self.now_s)
        self.now_s += 1.0


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ("duplicate", "seq must rise"),
        ("rejected", "maze dead"),
        ("stale", "start more workers"),
        ("superseded", "start more workers"),
        ("buried", "maze dead"),
    ],
)
def test_outcome_watch_with_unanswered_partition_warns_once(outcome: str, words: str) -> None:
    world = World()
    for second in range(5):
        world.second(**{outcome: 30 * second})
    (text,) = world.found
    assert words in text
    assert f"ended as {outcome}" in text


def test_outcome_watch_with_some_answers_does_not_warn() -> None:
    world = World()
    for second in range(5):
        world.second(answered=second, duplicate=30 * second)
    assert not world.found


def test_outcome_watch_with_unanswered_listened_session_warns_once() -> None:
    world = World(last_seq=-1)
    for second in range(3):
        world.second(answered=30 * second, duplicate=30 * second)
    assert len(world.found) == 1


def test_outcome_watch_with_answered_listened_session_does_not_warn() -> None:
    world = World(last_seq=0)
    for second in range(5):
        world.second(answered=30 * second, stale=30 * second)
        world.last_seq = second + 1
    assert not world.found


def test_outcome_watch_with_few_duplicates_does_not_warn() -> None:
    world = World()
    for second in range(5):
        world.second(duplicate=2 * second)
    assert not world.found


def test_outcome_watch_without_worker_warns_after_several_seconds() -> None:
    world = World()
    for _ in range(5):
        world.second()
    assert not world.found
    for _ in range(5):
        world.second()
    (text,) = world.found
    assert "no worker" in text


@pytest.mark.parametrize(("per_ms", "unit"), [(1000, "microseconds"), (1_000_000, "nanoseconds")])
def test_input_check_of_finer_times_warns_once(per_ms: int, unit: str) -> None:
    found: list[str] = []
    check = InputCheck(found.append, lambda: NOW_S)
    for _ in range(2):
        check.look(entry(replace(GOOD, captured_ms=int(NOW_S * 1000) * per_ms)), 0.0)
    assert len(found) == 1
    assert f"looks like {unit}" in found[0]


def test_settings_with_unpublished_gestures_warn_once() -> None:
    found: list[str] = []
    check = InputCheck(found.append, lambda: NOW_S)
    for _ in range(2):
        check.look_at_settings([SessionSettings(actions={"thumbsup": "up", "left:like": "up"})])
    assert len(found) == 1
    assert "gestures thumbsup" in found[0]
