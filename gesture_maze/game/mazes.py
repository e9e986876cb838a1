"""Mazes: generated from a seed, walked cell by cell, drawn for a terminal. Pure.

A maze is perfect: exactly one path connects any two cells. Cells are numbered row by row from the upper left,
`row * width + column`. The entrance is cell 0 and the exit is the last cell.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Final, cast

from gesture_maze.wire.gestures import Action

STEPS: Final[dict[Action, tuple[int, int]]] = {
    "up": (-1, 0),
    "down": (1, 0),
    "left": (0, -1),
    "right": (0, 1),
}
"""Direction -> change of row and column."""
BACK: Final[dict[Action, Action]] = {"up": "down", "down": "up", "left": "right", "right": "left"}

MAX_SIDE: Final = 200
"""Most cells along one side. A maze of 40,000 cells takes half a second."""


@dataclass(frozen=True)
class Maze:
    """A maze of `width` x `height` cells.

    Attributes:
        width, height: in cells.
        open_ways: per cell, the directions in which there is no wall.
    """

    width: int
    height: int
    open_ways: tuple[frozenset[Action], ...]

    @property
    def start(self) -> int:
        """The cell of the entrance."""
        return 0

    @property
    def exit(self) -> int:
        """The cell of the exit."""
        return len(self.open_ways) - 1

    @property
    def passages(self) -> int:
        """Number of pairs of neighbours without a wall between them."""
        return sum(map(len, self.open_ways)) // 2

    def neighbour(self, cell: int, direction: Action) -> int | None:
        """Return the adjacent cell in `direction`, regardless of walls, or None outside the maze."""
        row, column = divmod(cell, self.width)
        down, right = STEPS[direction]
        row, column = row + down, column + right
        inside = 0 <= row < self.height and 0 <= column < self.width
        return row * self.width + column if inside else None

    def move(self, cell: int, direction: Action) -> int | None:
        """Return the cell after one step in `direction`, or None if there is a wall."""
        return self.neighbour(cell, direction) if direction in self.open_ways[cell] else None

    @cached_property
    def way_out(self) -> tuple[Action | None, ...]:
        """For each cell, the first step of the shortest path to the exit; None at the exit. O(cells)."""
        toward: list[Action | None] = [None] * len(self.open_ways)
        seen = {self.exit}
        edge = deque(seen)
        while edge:
            cell = edge.popleft()
            for direction in self.open_ways[cell]:
                beyond = cast(int, self.neighbour(cell, direction))
                if beyond not in seen:
                    seen.add(beyond)
                    toward[beyond] = BACK[direction]
                    edge.append(beyond)
        return tuple(toward)


def generate(width: int, height: int, seed: int) -> Maze:
    """Return a perfect maze made by depth-first search. The same arguments give the same maze. O(cells).

    Args:
        width, height: in cells, 2 to `MAX_SIDE`.
        seed: any integer.
    """
    assert 2 <= min(width, height) <= max(width, height) <= MAX_SIDE
    rng = random.Random(seed)
    ways: list[set[Action]] = [set() for _ in range(width * height)]
    walled = Maze(width, height, tuple(frozenset() for _ in ways))
    trail, seen = [rng.randrange(len(ways))], set[int]()
    seen.update(trail)
    while trail:
        cell = trail[-1]
        beyond = {way: walled.neighbour(cell, way) for way in STEPS}
        fresh = [(way, at) for way, at in beyond.items() if at is not None and at not in seen]
        if not fresh:
            trail.pop()
            continue
        way, at = rng.choice(fresh)
        ways[cell].add(way)
        ways[at].add(BACK[way])
        seen.add(at)
        trail.append(at)
    return Maze(width, height, tuple(map(frozenset, ways)))


def solve(maze: Maze, cell: int = 0) -> list[Action]:
    """Return the steps of the shortest path from `cell` to the exit."""
    steps: list[Action] = []
    while (step := maze.way_out[cell]) is not None:
        steps.append(step)
        cell = cast(int, maze.move(cell, step))
    return steps


_JOINTS: Final = " ╵╷│╴┘┐┤╶└┌├─┴┬┼"
"""Box drawing characters by the sum of the walls that meet: 1 up, 2 down, 4 left, 8 right."""


def draw(maze: Maze, token: int | None = None, trail: Collection[int] = ()) -> str:
    """Return the maze as text, 4 columns and 2 lines a cell: `●` token, `·` trail, `★` exit."""
    lines = []
    for row in range(maze.height + 1):
        lines.append("".join(_joint_and_wall(maze, row, column) for column in range(maze.width + 1)).rstrip())
        if row < maze.height:
            cells = range(row * maze.width, (row + 1) * maze.width)
            lines.append("".join(_cell(maze, cell, token, trail) for cell in cells) + "│")
    return "\n".join(lines)


def _cell(maze: Maze, cell: int, token: int | None, trail: Collection[int]) -> str:
    mark = "●" if cell == token else "★" if cell == maze.exit else "·" if cell in trail else " "
    return f"{' ' if 'left' in maze.open_ways[cell] else '│'} {mark} "


def _joint_and_wall(maze: Maze, row: int, column: int) -> str:
    """Return the corner above and left of a cell, and the wall above the cell."""
    up, down = _wall_beside(maze, row - 1, column), _wall_beside(maze, row, column)
    left, right = _wall_above(maze, row, column - 1), _wall_above(maze, row, column)
    return _JOINTS[up + 2 * down + 4 * left + 8 * right] + ("───" if right else "   ")


def _wall_above(maze: Maze, row: int, column: int) -> bool:
    """Return whether there is a wall above the cell, which may be one row below the last."""
    if not 0 <= column < maze.width:
        return False
    if row in (0, maze.height):
        return True
    return "up" not in maze.open_ways[row * maze.width + column]


def _wall_beside(maze: Maze, row: int, column: int) -> bool:
    """Return whether there is a wall left of the cell, which may be one column right of the last."""
    if not 0 <= row < maze.height:
        return False
    if column in (0, maze.width):
        return True
    return "left" not in maze.open_ways[row * maze.width + column]
