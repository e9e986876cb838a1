"""Frames sent by the cameras of a simulated crowd."""

from __future__ import annotations

import numpy as np
import pytest

from gesture_maze.simulator.crowd import Crowd
from gesture_maze.wire.gestures import LABELS

LIKE = np.full(10, LABELS["like"], np.int64)


def test_crowd_groups_alternate_and_cover_every_player_once() -> None:
    crowd = Crowd(10, 15, seed=1, name="p", groups=4)
    assert crowd.turn_s == pytest.approx(1 / 60)
    seen = [set[int](), set[int](), set[int](), set[int]()]
    for turn in range(80):  # enough rounds that a dropped frame does not hide a player
        seen[turn % 4] |= set(crowd.shoot(turn * 17, LIKE).players.tolist())
    assert sorted(player for group in seen for player in group) == list(range(10))


def test_crowd_seqs_rise_by_one_per_player() -> None:
    crowd = Crowd(10, 15, seed=1, name="p")
    seqs: dict[str, list[int]] = {}
    for turn in range(60):
        shot = crowd.shoot(turn * 17, LIKE)
        assert (
            len(shot.sessions) == len(shot.seq) == len(shot.landmarks) == len(shot.aspect) == len(shot.flags)
        )
        assert [f"p-{player}" for player in shot.players.tolist()] == shot.sessions
        for session, seq in zip(shot.sessions, shot.seq.tolist(), strict=True):
            seqs.setdefault(session, []).append(seq)
    assert all(found == list(range(1, len(found) + 1)) for found in seqs.values())


def test_crowd_with_same_seed_sends_same_frames() -> None:
    one, two = Crowd(10, 15, 3, "p"), Crowd(10, 15, 3, "p")
    for turn in range(8):
        assert np.array_equal(one.shoot(turn * 17, LIKE).landmarks, two.shoot(turn * 17, LIKE).landmarks)


def test_crowd_with_one_player_has_one_group() -> None:
    crowd = Crowd(1, 15, seed=1, name="p", groups=4)
    assert crowd.groups == 1
    assert crowd.turn_s == pytest.approx(1 / 15)
