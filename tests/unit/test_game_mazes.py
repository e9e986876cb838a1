"""Generated mazes: each cell is reachable by exactly one path."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesture_maze.game.mazes import BACK, STEPS, Maze, draw, generate, solve

mazes = st.builds(generate, st.integers(2, 14), st.integers(2, 14), st.integers())


def reached(maze: Maze) -> dict[int, int]:
    """Return the number of steps from the start to each reachable cell."""
    steps, edge = {maze.start: 0}, deque([maze.start])
    while edge:
        cell = edge.popleft()
        for direction in STEPS:
            beyond = maze.move(cell, direction)
            if beyond is not None and beyond not in steps:
                steps[beyond] = steps[cell] + 1
                edge.append(beyond)
    return steps


@given(mazes)
def test_maze_cells_are_connected_by_exactly_one_path(maze: Maze) -> None:
    cells = maze.width * maze.height
    assert len(reached(maze)) == cells
    assert maze.passages == cells - 1


@given(mazes)
def test_passage_is_open_from_both_sides_and_stays_inside(maze: Maze) -> None:
    for cell, ways in enumerate(maze.open_ways):
        for direction in ways:
            beyond = maze.move(cell, direction)
            assert beyond is not None
            assert maze.move(beyond, BACK[direction]) == cell


@given(mazes, st.data())
def test_solution_leads_to_the_exit_by_the_shortest_path(maze: Maze, data: st.DataObject) -> None:
    cell = data.draw(st.integers(0, maze.exit))
    steps = solve(maze, cell)
    for direction in steps:
        beyond = maze.move(cell, direction)
        assert beyond is not None, "the solution runs into a wall"
        cell = beyond
    assert cell == maze.exit
    assert len(solve(maze)) == reached(maze)[maze.exit]


@given(st.integers(2, 9), st.integers(2, 9), st.integers())
def test_generate_with_the_same_seed_returns_the_same_maze(width: int, height: int, seed: int) -> None:
    assert generate(width, height, seed) == generate(width, height, seed)


def test_generate_with_different_seeds_returns_different_mazes() -> None:
    assert len({generate(6, 6, seed).open_ways for seed in range(20)}) == 20


@given(mazes)
def test_move_into_a_wall_or_over_the_edge_returns_none(maze: Maze) -> None:
    for cell, ways in enumerate(maze.open_ways):
        for direction in STEPS.keys() - ways:
            assert maze.move(cell, direction) is None
    assert maze.neighbour(0, "up") is None
    assert maze.neighbour(0, "left") is None
    assert maze.neighbour(maze.exit, "down") is None
    assert maze.neighbour(maze.exit, "right") is None


@given(mazes)
def test_drawing_shows_every_passage_and_wall(maze: Maze) -> None:
    lines = draw(maze).splitlines()
    assert len(lines) == 2 * maze.height + 1
    assert {len(line) for line in lines} == {4 * maze.width + 1}
    for cell, ways in enumerate(maze.open_ways):
        row, column = divmod(cell, maze.width)
        above, beside = lines[2 * row][4 * column + 1 : 4 * column + 4], lines[2 * row + 1][4 * column]
        assert (above == "   ") == ("up" in ways)
        assert (beside == " ") == ("left" in ways)


def test_drawing_of_a_small_maze_shows_token_trail_and_exit() -> None:
    maze = Maze(2, 2, (frozenset({"right"}), frozenset({"left", "down"}), frozenset({"right"}),
                       frozenset({"up", "left"})))  # fmt: skip
    assert draw(maze, token=1, trail={0}).splitlines() == [
        "┌───────┐",
        "│ ·   ● │",
        "├───╴   │",
        "│     ★ │",
        "└───────┘",
    ]


@pytest.mark.parametrize("side", [1, 201])
def test_generate_with_a_side_out_of_range_fails_an_assertion(side: int) -> None:
    with pytest.raises(AssertionError):
        generate(side, 5, 0)
