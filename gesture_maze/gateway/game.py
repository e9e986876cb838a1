"""The game of one session: a maze, a token, and the rules. Pure; time is passed in.

The gateway keeps it, not the browser: what stands on the scoreboard was walked here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from gesture_maze.game.mazes import STEPS, Maze, generate
from gesture_maze.wire.gestures import Action, Move

Size = Literal["small", "medium", "large"]
Input = Literal["camera", "simulated", "keyboard"]

SIZES: Final[dict[Size, tuple[int, int]]] = {"small": (6, 5), "medium": (9, 7), "large": (14, 10)}
"""Width and height in cells: half a minute, one minute and three for a person with a camera."""

_BIT: Final[dict[Action, int]] = {way: 1 << at for at, way in enumerate(STEPS)}
"""Open ways of a cell as one hexadecimal digit: 1 up, 2 down, 4 left, 8 right."""


def ways_of(maze: Maze) -> str:
    """The maze as one hexadecimal digit per cell, row by row."""
    return "".join(f"{sum(_BIT[way] for way in ways):x}" for ways in maze.open_ways)


@dataclass(slots=True)
class Game:
    """One maze being walked.

    Attributes:
        began_s: when the token first moved; None before.
        ended_s: when it reached the exit; None before.
        inputs: how it was moved.
    """

    size: Size
    seed: int
    maze: Maze
    cell: int = 0
    moves: int = 0
    bumps: int = 0
    began_s: float | None = None
    ended_s: float | None = None
    inputs: set[Input] = field(default_factory=set)

    @classmethod
    def begin(cls, size: Size, seed: int) -> Game:
        """A new maze; the same size and seed give the same one."""
        return cls(size, seed, generate(*SIZES[size], seed))

    @property
    def finished(self) -> bool:
        """The token has reached the exit."""
        return self.ended_s is not None

    def step(self, move: Move, by: Input, now_s: float) -> bool:
        """Walk one cell, wall permitting; whether anything changed. A finished game stays as it is."""
        if move == "stop" or self.finished:
            return False
        beyond = self.maze.move(self.cell, move)
        if beyond is None:
            self.bumps += 1
            return True
        self.began_s = now_s if self.began_s is None else self.began_s
        self.cell = beyond
        self.moves += 1
        self.inputs.add(by)
        if beyond == self.maze.exit:
            self.ended_s = now_s
        return True

    def time_ms(self, now_s: float) -> int:
        """Since the first step, until now or the exit."""
        if self.began_s is None:
            return 0
        end_s = now_s if self.ended_s is None else self.ended_s
        return round((end_s - self.began_s) * 1000)

    @property
    def input(self) -> Input:
        """What the scoreboard says about how it was played: the easiest of what was used."""
        order: tuple[Input, ...] = ("keyboard", "simulated", "camera")
        return next((one for one in order if one in self.inputs), "camera")

    def where(self, now_s: float) -> dict[str, Any]:
        """The part of the state that changes."""
        return {
            "cell": self.cell,
            "moves": self.moves,
            "bumps": self.bumps,
            "time_ms": self.time_ms(now_s),
            "running": self.began_s is not None and not self.finished,
            "finished": self.finished,
        }

    def picture(self, now_s: float) -> dict[str, Any]:
        """All that a browser needs to draw it."""
        maze = self.maze
        fixed = {"size": self.size, "seed": self.seed, "width": maze.width, "height": maze.height}
        return {**fixed, "ways": ways_of(maze), **self.where(now_s)}
