"""The rules of the demo's game, move by move."""

from __future__ import annotations

import pytest

from gesture_maze.demo.players import GESTURE_OF, LOWERED, PATIENCE_MS, REST_MS, Player, Players
from gesture_maze.game.mazes import STEPS, solve
from gesture_maze.wire.gestures import DEFAULT_ACTIONS, LABELS


@pytest.fixture
def players() -> Players:
    return Players(3, seed=5, side=5, now_ms=1000)


def walk_out(players: Players, number: int, now_ms: int) -> int:
    """Move a player to the exit along the solution and return the number of steps."""
    steps = solve(players.all[number].maze, players.all[number].cell)
    for step in steps:
        players.receive(number, step, now_ms)
    return len(steps)


def test_player_shows_the_gesture_of_the_next_step(players: Players) -> None:
    for player, label in zip(players.all, players.targets(1000).tolist(), strict=True):
        assert player.wants is not None
        assert label == LABELS[GESTURE_OF[player.wants]]
        assert DEFAULT_ACTIONS[GESTURE_OF[player.wants]] == player.wants


def test_move_along_the_solution_is_counted_and_leaves_a_trail(players: Players) -> None:
    player = players.all[1]
    wants = player.wants
    assert wants is not None
    players.receive(1, wants, 1200)
    assert player.cell == player.maze.move(0, wants)
    assert player.trail == {0}
    assert (players.score.moves, players.score.wrong, players.score.bumped) == (1, 0, 0)
    assert players.all[0].cell == 0


def test_move_into_a_wall_leaves_the_token_in_place(players: Players) -> None:
    players.receive(0, "up", 1200)
    assert players.all[0].cell == 0
    assert (players.score.moves, players.score.bumped) == (0, 1)


def test_step_off_the_solution_is_counted_as_wrong_and_player_turns_back(players: Players) -> None:
    player = next(one for one in players.all if _step_off(one))
    step = _step_off(player)
    assert step is not None
    cell = player.cell
    players.receive(players.all.index(player), step, 1200)
    assert players.score.wrong == 1
    back = player.wants
    assert back is not None
    assert player.maze.move(player.cell, back) == cell


def _step_off(player: Player) -> str | None:
    """Move a player to a cell with a step off the solution and return that step, or None."""
    for step in solve(player.maze):
        off = [way for way in STEPS if way != player.wants and player.maze.move(player.cell, way) is not None]
        if off:
            return off[0]
        player.cell = player.maze.move(player.cell, step) or 0
    return None


def test_solved_maze_is_counted_and_replaced(players: Players) -> None:
    before = players.all[2].maze
    steps = walk_out(players, 2, 2000)
    player = players.all[2]
    assert (players.score.solved, player.solved, players.score.moves) == (1, 1, steps)
    assert (player.cell, player.trail) == (0, set())
    assert player.maze != before


def test_hand_after_a_solved_maze_is_lowered_until_stop(players: Players) -> None:
    walk_out(players, 0, 2000)
    assert players.targets(2000)[0] == LOWERED
    assert players.targets(2000)[1] != LOWERED
    players.receive(0, "stop", 2300)
    assert players.targets(2300)[0] != LOWERED


def test_rest_without_a_stop_ends_after_its_duration(players: Players) -> None:
    walk_out(players, 0, 2000)
    assert players.targets(2000 + REST_MS - 1)[0] == LOWERED
    assert players.targets(2000 + REST_MS)[0] != LOWERED


def test_player_without_replies_retries_after_a_rest(players: Players) -> None:
    late_ms = 1000 + PATIENCE_MS + 1
    assert set(players.targets(late_ms)) == {LOWERED}
    assert players.score.retries == 3
    assert LOWERED not in players.targets(late_ms + REST_MS)


def test_players_with_the_same_seed_get_the_same_mazes() -> None:
    one, two, other = (Players(4, seed, 5, 0) for seed in (1, 1, 2))
    assert [player.maze for player in one.all] == [player.maze for player in two.all]
    assert [player.maze for player in one.all] != [player.maze for player in other.all]
    assert len({player.maze for player in one.all}) == 4
