"""The decision policy as a table of sequences, and what holds for any sequence."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.replies import MOVES
from gesture_maze.worker.policy import Hold, Policy, Rules

POLICY = Policy(Rules())
UP, DOWN, LEFT = (MOVES.index(name) for name in ("up", "down", "left"))


def moves(frames: list[tuple[int, int, int]], policy: Policy = POLICY) -> list[tuple[int, str]]:
    """(ms, action code, confidence in thousandths) -> the moves that were made and when."""
    hold = Hold()
    found = [(ms, MOVES[hold.decide(policy, ms, action, confidence)]) for ms, action, confidence in frames]
    return [(ms, move) for ms, move in found if move]


def shown(action: int, begin_ms: int, end_ms: int, confidence: int = 950, every_ms: int = 40):
    """Frames that show one action from `begin_ms` up to and without `end_ms`."""
    return [(ms, action, confidence) for ms in range(begin_ms, end_ms, every_ms)]


CASES = {
    "nothing shown": (shown(0, 0, 2000), []),
    "too short to settle": (shown(UP, 0, 100) + shown(0, 100, 1000), []),
    "settles after 120 ms": (shown(UP, 0, 200), [(120, "up")]),
    "repeats after 400 ms, then every 250 ms": (
        shown(UP, 0, 1200),
        [(120, "up"), (520, "up"), (800, "up"), (1040, "up")],
    ),
    "one stop, 250 ms after it was last seen": (
        shown(UP, 0, 200) + shown(0, 200, 1000),
        [(120, "up"), (440, "stop")],
    ),
    "unsure frames do not settle": (shown(UP, 0, 1000, confidence=690), []),
    "once held, less confidence is enough": (
        shown(UP, 0, 160) + shown(UP, 160, 500, confidence=510),
        [(120, "up")],
    ),
    "below the lower threshold it ends": (
        shown(UP, 0, 160) + shown(UP, 160, 500, confidence=490),
        [(120, "up"), (400, "stop")],
    ),
    "two empty frames while settling are bridged": (
        [(0, UP, 950), (40, 0, 0), (80, 0, 0), (120, UP, 950)],
        [(120, "up")],
    ),
    "three are not": ([(0, UP, 950), (40, 0, 0), (80, 0, 0), (110, 0, 0), (140, UP, 950)], []),
    "one wrong frame while held changes nothing": (
        [*shown(UP, 0, 200), (200, DOWN, 990), *shown(UP, 240, 400)],
        [(120, "up")],
    ),
    "a change of gesture takes over without a stop": (
        shown(UP, 0, 200) + shown(LEFT, 200, 400),
        [(120, "up"), (320, "left")],
    ),
    "bridging costs a real change nothing": (
        [(0, UP, 950), *shown(DOWN, 40, 240)],
        [(160, "down")],
    ),
    "up again after a stop": (
        shown(UP, 0, 200) + shown(0, 200, 500) + shown(UP, 520, 700),
        [(120, "up"), (440, "stop"), (640, "up")],
    ),
    "silence longer than 250 ms ends it": (
        [*shown(UP, 0, 200), *shown(UP, 700, 860)],
        [(120, "up"), (700, "stop"), (820, "up")],
    ),
    "a client's clock set back does not end it": (
        [*shown(UP, 10_000, 10_200), *shown(UP, 40, 240)],
        [(10_120, "up")],
    ),
    "15 frames per second": (
        shown(UP, 0, 900, every_ms=66),
        [(132, "up"), (528, "up"), (792, "up")],
    ),
    "a lost frame that would have settled it delays no repeat": (
        [frame for frame in shown(UP, 0, 900) if frame[0] != 120],
        [(160, "up"), (520, "up"), (800, "up")],
    ),
    "a gesture that leads when the time of another is up takes over without a stop": (
        shown(UP, 0, 200) + shown(0, 200, 360) + shown(LEFT, 360, 600),
        [(120, "up"), (480, "left")],
    ),
    "unless it does not settle": (
        shown(UP, 0, 200) + shown(0, 200, 360) + shown(LEFT, 360, 440) + shown(0, 440, 700),
        [(120, "up"), (520, "stop")],
    ),
    "one that comes too late follows a stop": (
        shown(UP, 0, 200) + shown(0, 200, 440) + shown(LEFT, 440, 700),
        [(120, "up"), (440, "stop"), (560, "left")],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_sequence_yields_its_moves(name: str) -> None:
    frames, expected = CASES[name]
    assert moves(frames) == expected


def test_silence_ends_a_gesture_that_settles_at_once_too() -> None:
    frames = [(0, UP, 950), (400, UP, 950), (440, UP, 950)]
    assert moves(frames, Policy(Rules(settle_ms=0))) == [(0, "up"), (400, "stop"), (440, "up")]


FRAMES = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 4), st.integers(0, 1000)), min_size=1, max_size=120
)


def timed(steps: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    now_ms, frames = 0, []
    for step_ms, action, confidence in steps:
        now_ms += step_ms
        frames.append((now_ms, action, confidence))
    return frames


@given(FRAMES)
def test_a_stop_follows_a_direction_and_never_another_stop(steps: list[tuple[int, int, int]]) -> None:
    held = False
    for _, move in moves(timed(steps)):
        assert held or move != "stop"
        held = move != "stop"


@given(FRAMES)
def test_directions_are_never_closer_than_a_gesture_takes_to_settle(
    steps: list[tuple[int, int, int]],
) -> None:
    made = [ms for ms, move in moves(timed(steps)) if move != "stop"]
    assert all(later - before >= Rules().settle_ms for before, later in pairwise(made))


@given(FRAMES, st.integers(-(10**6), 10**6))
def test_only_time_differences_count(steps: list[tuple[int, int, int]], shift_ms: int) -> None:
    frames = timed(steps)
    later = [(ms + shift_ms, action, confidence) for ms, action, confidence in frames]
    assert [(ms + shift_ms, move) for ms, move in moves(frames)] == moves(later)


@given(FRAMES)
def test_no_direction_without_two_sure_frames_of_it(steps: list[tuple[int, int, int]]) -> None:
    frames = timed(steps)
    for ms, move in moves(frames):
        if move != "stop":
            action = MOVES.index(move)
            assert sum(a == action and c >= 500 and t <= ms for t, a, c in frames) >= 2


@pytest.mark.parametrize(
    "wrong", [{"settle_ms": -1}, {"repeat_ms": 0}, {"enter": 0.4, "leave": 0.6}, {"enter": 1.5}]
)
def test_contradictory_rules_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError):
        Rules(**wrong)  # type: ignore[arg-type]
