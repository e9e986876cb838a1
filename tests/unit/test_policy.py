"""The decision policy: a table of sequences, and properties of any sequence."""

from __future__ import annotations

import inspect
import math
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gesture_maze.wire.replies import MOVES
from gesture_maze.worker.policy import COSTS, ODDS, Hold, Policy
from gesture_maze.worker.rules import Rules

POLICY = Policy(Rules())
UP, DOWN, LEFT, RIGHT = (MOVES.index(name) for name in ("up", "down", "left", "right"))
NO_ACTION = 0

Shown = tuple[int, int, int]
"""Time in ms, action code, confidence in thousandths."""


def moves(frames: list[Shown], policy: Policy = POLICY, hold: Hold | None = None) -> list[tuple[int, str]]:
    """Return the moves made, each with its time in ms."""
    hold = hold or Hold()
    found = [(ms, MOVES[hold.decide(policy, ms, action, confidence)]) for ms, action, confidence in frames]
    return [(ms, move) for ms, move in found if move]


def shown(action: int, begin_ms: int, end_ms: int, confidence: int = 980, fps: float = 30) -> list[Shown]:
    """Return frames that show one action from `begin_ms` to `end_ms`, end excluded."""
    count = math.ceil((end_ms - begin_ms) * fps / 1000)
    return [(begin_ms + int(frame * 1000 / fps), action, confidence) for frame in range(count)]


def empty(begin_ms: int, end_ms: int, fps: float = 30) -> list[Shown]:
    """Return frames without a hand."""
    return shown(NO_ACTION, begin_ms, end_ms, 0, fps)


def without(frames: list[Shown], *times_ms: int) -> list[Shown]:
    return [frame for frame in frames if frame[0] not in times_ms]


CASES = {
    "no hand": (empty(0, 2000), []),
    "another gesture": (shown(NO_ACTION, 0, 2000), []),
    "two sure frames": (shown(UP, 0, 66) + empty(66, 1000), []),
    "confidence 0.98 settles with the third frame": (shown(UP, 0, 100), [(66, "up")]),
    "confidence 0.9 settles with the fifth": (shown(UP, 0, 300, 900), [(133, "up")]),
    "confidence 0.7 settles with the twelfth": (shown(UP, 0, 500, 700), [(366, "up")]),
    "confidence 0.5 never settles": (shown(UP, 0, 5000, 500), []),
    "repeats come after 400 ms, then every 250 ms": (
        shown(UP, 0, 1200),
        [(66, "up"), (466, "up"), (700, "up"), (966, "up")],
    ),
    "one stop comes 250 ms after it was last seen": (
        shown(UP, 0, 200) + empty(200, 1000),
        [(66, "up"), (433, "stop")],
    ),
    "once held, less confidence is enough": (
        shown(UP, 0, 100) + shown(UP, 100, 400, 510),
        [(66, "up")],
    ),
    "below the lower threshold it ends": (
        shown(UP, 0, 100) + shown(UP, 100, 500, 490),
        [(66, "up"), (333, "stop")],
    ),
    "an empty frame costs 150": (
        [(0, UP, 980), (33, 0, 0), (66, UP, 980), (99, UP, 980)],  # 389 - 150 + 389 + 389 = 1017
        [(99, "up")],
    ),
    "a sure frame of another gesture costs 300": (
        [(0, UP, 980), (33, 0, 990), *shown(UP, 66, 200)],  # 89, 478, 867, 1256
        [(132, "up")],
    ),
    "an unsure one costs 50": (
        [(0, UP, 980), (33, 0, 400), *shown(UP, 66, 200)],  # 339, 728, 1117
        [(99, "up")],
    ),
    "one wrong frame while held changes nothing": (
        [*shown(UP, 0, 200), (200, DOWN, 990), *shown(UP, 233, 400)],
        [(66, "up")],
    ),
    "a change of gesture takes over without a stop": (
        shown(UP, 0, 200) + shown(LEFT, 200, 400),
        [(66, "up"), (266, "left")],
    ),
    "the frame that uses a leader's evidence up leads": (
        [(0, UP, 700), *shown(DOWN, 33, 200)],
        [(99, "down")],
    ),
    "it comes again after a stop": (
        shown(UP, 0, 200) + empty(200, 500) + shown(UP, 500, 600),
        [(66, "up"), (433, "stop"), (566, "up")],
    ),
    "silence longer than 250 ms ends it": (
        [*shown(UP, 0, 200), *shown(UP, 700, 800)],
        [(66, "up"), (700, "stop"), (766, "up")],
    ),
    "a client's clock that is set back does not end it": (
        [*shown(UP, 10_000, 10_200), *shown(UP, 40, 240)],
        [(10_066, "up")],
    ),
    "at 15 frames/s the second frame settles": (
        shown(UP, 0, 800, fps=15),
        [(66, "up"), (466, "up"), (733, "up")],
    ),
    "a lost frame that would have settled it delays no repeat": (
        without(shown(UP, 0, 900), 66),
        [(100, "up"), (466, "up"), (700, "up")],
    ),
    "one that settles late repeats no sooner than 250 ms later": (
        shown(UP, 0, 700, 700),
        [(366, "up"), (633, "up")],
    ),
    "a gesture that leads when another runs out takes over without a stop": (
        shown(UP, 0, 200) + empty(200, 400) + shown(LEFT, 400, 600),
        [(66, "up"), (466, "left")],
    ),
    "unless it does not settle": (
        shown(UP, 0, 200) + empty(200, 366) + shown(LEFT, 366, 430) + empty(430, 800),
        [(66, "up"), (596, "stop")],
    ),
    "one that comes too late follows a stop": (
        shown(UP, 0, 200) + empty(200, 440) + shown(LEFT, 440, 600),
        [(66, "up"), (433, "stop"), (506, "left")],
    ),
    "an unsure gesture does not put a stop off for long": (
        shown(UP, 0, 200) + shown(LEFT, 200, 3000, 520),
        [(66, "up"), (666, "stop")],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_policy_with_frame_sequence_makes_expected_moves(name: str) -> None:
    frames, expected = CASES[name]
    assert moves(frames) == expected


def test_settle_evidence_700_1000_1400_settles_at_frame_2_3_4() -> None:
    at_ms = {bound: moves(shown(UP, 0, 300), Policy(Rules(bound)))[0] for bound in (700, 1000, 1400)}
    assert at_ms == {700: (33, "up"), 1000: (66, "up"), 1400: (100, "up")}


def test_settle_evidence_smallest_needs_two_frames() -> None:
    assert moves(shown(UP, 0, 200), Policy(Rules(settle_evidence=1)))[0] == (33, "up")


def test_silence_with_smallest_settle_evidence_ends_gesture() -> None:
    frames = [(0, UP, 950), (33, UP, 950), (440, UP, 950), (473, UP, 950)]
    assert moves(frames, Policy(Rules(settle_evidence=1))) == [(33, "up"), (440, "stop"), (473, "up")]


def test_odds_are_scaled_log_odds_away_from_rounding_ties() -> None:
    assert [ODDS[q] for q in (0, 300, 500, 700, 900, 980, 1000)] == [-400, -85, 0, 85, 220, 389, 400]
    exact = [100 * math.log(q / (1000 - q)) for q in range(1, 1000)]
    assert min(abs(odds % 1 - 0.5) for odds in exact) > 1e-6
    assert [COSTS[q] for q in (0, 1, 500, 700, 900, 1000)] == [150, 50, 50, 85, 220, 300]


@pytest.mark.parametrize("fps", [3, 4, 5, 6, 7, 8, 10])
def test_held_gesture_at_low_frame_rate_does_not_flap(fps: float) -> None:
    made = moves(shown(UP, 0, 6000, fps=fps) + empty(6000, 9000, fps))
    assert [move for move, _ in groupby(move for _, move in made)] == ["up", "stop"]
    stop_ms = made[-1][0]
    assert stop_ms <= 6000 + 3 * 1000 / fps


@pytest.mark.parametrize("fps", [3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("lost", ["dropped", "empty"])
def test_held_gesture_at_low_frame_rate_survives_lost_frame(fps: float, lost: str) -> None:
    frames = shown(UP, 0, 6000, fps=fps)
    for row in (9, 13, 16):
        frames[row] = (frames[row][0], 0, 0)
    if lost == "dropped":
        frames = [frame for frame in frames if frame[1]]
    assert {move for _, move in moves(frames)} == {"up"}


@given(st.lists(st.integers(140, 340), min_size=10, max_size=60))
def test_held_gesture_with_uneven_gaps_does_not_flap(gaps_ms: list[int]) -> None:
    times_ms = [sum(gaps_ms[:row]) for row in range(len(gaps_ms))]
    assert {move for _, move in moves([(ms, UP, 980) for ms in times_ms])} == {"up"}


def test_sure_frame_after_unsure_one_at_low_frame_rate_does_not_settle() -> None:
    frames = [(0, UP, 490), (125, UP, 1000)]
    assert moves([*frames, (250, 0, 0)]) == []
    assert moves([*frames, (250, UP, 980)]) == [(250, "up")]


FRAMES = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 4), st.integers(0, 1000)), min_size=1, max_size=120
)


def timed(steps: list[tuple[int, int, int]]) -> list[Shown]:
    now_ms, frames = 0, []
    for step_ms, action, confidence in steps:
        now_ms += step_ms
        frames.append((now_ms, action, confidence))
    return frames


@given(FRAMES)
def test_stop_for_any_frames_follows_direction_only(steps: list[tuple[int, int, int]]) -> None:
    held = False
    for _, move in moves(timed(steps)):
        assert held or move != "stop"
        held = move != "stop"


@given(FRAMES)
def test_directions_for_any_frames_are_at_least_49_ms_apart(
    steps: list[tuple[int, int, int]],
) -> None:
    made = [ms for ms, move in moves(timed(steps)) if move != "stop"]
    assert all(later - before >= 49 for before, later in pairwise(made))


@given(FRAMES, st.integers(-(10**6), 10**6))
def test_moves_with_shifted_times_are_shifted_equally(
    steps: list[tuple[int, int, int]], shift_ms: int
) -> None:
    frames = timed(steps)
    later = [(ms + shift_ms, action, confidence) for ms, action, confidence in frames]
    assert [(ms + shift_ms, move) for ms, move in moves(frames)] == moves(later)


@given(FRAMES)
def test_direction_for_any_frames_needs_two_frames_of_it(steps: list[tuple[int, int, int]]) -> None:
    frames = timed(steps)
    for ms, move in moves(frames):
        if move != "stop":
            action = MOVES.index(move)
            assert sum(a == action and c >= 500 and t <= ms for t, a, c in frames) >= 2


def state(hold: Hold) -> dict[str, object]:
    # a compiled class has no __slots__
    names = [name for name, value in vars(Hold).items() if inspect.isdatadescriptor(value)]
    assert {"held", "leading", "place"} <= set(names)
    return {name: getattr(hold, name) for name in names}


@given(FRAMES)
def test_session_rebuilt_after_pause_decides_as_original(steps: list[tuple[int, int, int]]) -> None:
    """Frames before one second without a hand must not affect later decisions."""
    before, frames = timed(steps), timed([(33, UP, 980)] * 20)
    pause = empty(before[-1][0] + 33, before[-1][0] + 3000)
    later = [(ms + pause[-1][0], action, confidence) for ms, action, confidence in frames]
    seen_all, rebuilt = Hold(), Hold()
    moves(before + pause, hold=seen_all)
    moves(pause, hold=rebuilt)
    assert moves(later, hold=seen_all) == moves(later, hold=rebuilt)
    assert state(seen_all) == state(rebuilt)


Seen = tuple[int, int, int, complex]
"""Time in ms, action code, confidence in thousandths, place of the hand."""
HERE, THERE = 0.25 + 0.5j, 0.75 + 0.5j
SIZE = 0.1


def followed(hands: list[Seen], size: float = SIZE) -> list[tuple[int, str]]:
    hold = Hold()
    found = [(hand[0], MOVES[hold.decide(POLICY, *hand, size)]) for hand in hands]
    return [(ms, move) for ms, move in found if move]


def two_people(one: int, other: int, turn: int, frames: int = 180) -> list[Seen]:
    """Return two hands that alternate every `turn` frames at two places."""
    hands = [(one, HERE), (other, THERE)]
    times = [ms for ms, _, _ in shown(one, 0, frames * 1000 // 30)]
    turns = [hands[row // turn % 2] for row in range(len(times))]
    return [(ms, action, 980, place) for ms, (action, place) in zip(times, turns, strict=True)]


def at(place: complex, frames: list[Shown]) -> list[Seen]:
    return [(*frame, place) for frame in frames]


@pytest.mark.parametrize("turn", [3, 6, 10, 13])
def test_alternating_people_follow_first_hand_only(turn: int) -> None:
    hands = two_people(UP, RIGHT, turn)
    assert {move for _, move in followed(hands)} == {"up"}
    assert {move for _, move in followed(hands, size=0)} == {"up", "right"}


def test_first_person_leaving_follows_second_hand() -> None:
    hands = [
        *two_people(UP, RIGHT, 6, 12),
        *at(HERE, shown(UP, 400, 600)),
        *at(THERE, shown(RIGHT, 600, 1200)),
    ]
    directions = [move for move, _ in groupby(move for _, move in followed(hands))]
    assert directions == ["up", "right"]


def test_hand_jumping_before_settling_restarts_evidence() -> None:
    hands = at(HERE, shown(UP, 0, 66)) + at(THERE, shown(UP, 66, 200))
    assert followed(hands)[0] == (132, "up")


def test_hand_jumping_with_held_gesture_keeps_holding() -> None:
    hands = at(HERE, shown(UP, 0, 200)) + at(THERE, shown(UP, 200, 1000))
    assert followed(hands) == moves(shown(UP, 0, 1000))


def test_hand_moving_between_frames_settles_as_hand_at_rest() -> None:
    hands = [(ms, UP, 980, HERE + SIZE * row) for row, (ms, _, _) in enumerate(shown(UP, 0, 1000))]
    assert followed(hands) == moves(shown(UP, 0, 1000))


def test_frame_of_slow_camera_counts_for_99_ms_at_most() -> None:
    at_ms = {
        fps: moves(shown(UP, 0, 2000, 900, fps))[0][0] for fps in (30, 15, 10, 8, 5)
    }  # 220 a frame of 33 ms
    assert at_ms == {30: 133, 15: 133, 10: 200, 8: 250, 5: 400}
    assert moves(shown(UP, 0, 2000, 980, fps=8))[0] == (125, "up")


@pytest.mark.parametrize(
    "wrong",
    [{"settle_evidence": 0}, {"repeat_ms": 0}, {"release_ms": -1}, {"leave": 1.5}, {"leave": -0.1}],
)
def test_rules_out_of_range_are_rejected(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Rules(**wrong)  # type: ignore[arg-type]
