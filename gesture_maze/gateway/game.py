"""The game of one session: a maze, a token, and the rules. Pure; time is passed in.

It runs in the gateway, not in the browser, so that a browser cannot invent results for the scoreboard.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from gesture_maze.game.mazes import STEPS, Maze, generate, solve
from gesture_maze.wire.gestures import Action, Move

Size = Literal["small", "medium", "large"]
Input = Literal["camera", "simulated", "keyboard"]

SIZES: Final[dict[Size, tuple[int, int]]] = {"small": (6, 5), "medium": (9, 7), "large": (14, 10)}
"""Width and height in cells. A player with a camera takes about half a minute, one minute or three
minutes."""

_BIT: Final[dict[Action, int]] = {way: 1 << at for at, way in enumerate(STEPS)}
"""Open ways of a cell as one hexadecimal digit: 1 up, 2 down, 4 left, 8 right."""


def ways_of(maze: Maze) -> str:
    """Return the maze as one hexadecimal digit per cell, row by row."""
    return "".join(f"{sum(_BIT[way] for way in ways):x}" for ways in maze.open_ways)


class SavedGame(BaseModel):
    """A game as stored in Redis: everything that cannot be derived from its seed. Times are ms of the wall
    clock."""

    model_config = ConfigDict(frozen=True, strict=True)

    size: Size
    seed: int = Field(ge=0)
    cell: int = Field(ge=0)
    moves: int = Field(ge=0)
    bumps: int = Field(ge=0)
    began_ms: int | None
    ended_ms: int | None
    inputs: list[Input]
    race: str | None = None
    opens_ms: int | None = None


@dataclass(slots=True)
class Game:
    """One maze being walked. Times are monotonic seconds.

    Attributes:
        shortest: number of moves of the shortest way out.
        began_s: when the token first moved; None before.
        ended_s: when it reached the exit; None before.
        inputs: the kinds of input that moved the token.
        race: id of the race that it belongs to, if any.
        opens_s: when a race starts: no move counts before, and its clock starts then.
    """

    size: Size
    seed: int
    maze: Maze
    shortest: int
    cell: int = 0
    moves: int = 0
    bumps: int = 0
    began_s: float | None = None
    ended_s: float | None = None
    inputs: set[Input] = field(default_factory=set)
    race: str | None = None
    opens_s: float | None = None

    @classmethod
    def begin(cls, size: Size, seed: int) -> Game:
        """Return a new game; the same size and seed give the same maze."""
        maze = generate(*SIZES[size], seed)
        return cls(size, seed, maze, len(solve(maze)))

    @classmethod
    def begin_race(cls, size: Size, seed: int, race: str, opens_s: float) -> Game:
        """Return a new game of the race `race`, which starts at `opens_s`."""
        game = cls.begin(size, seed)
        game.race, game.opens_s, game.began_s = race, opens_s, opens_s
        return game

    @classmethod
    def restore(cls, saved: SavedGame, now_s: float, now_ms: int) -> Game | None:
        """Return the game that was saved, or None if the record does not fit its maze.

        Args:
            saved: the record.
            now_s, now_ms: the monotonic and the wall clock at the same instant.
        """
        game = cls.begin(saved.size, saved.seed)
        if saved.cell > game.maze.exit:
            return None

        def monotonic(at_ms: int | None) -> float | None:
            return None if at_ms is None else now_s + (at_ms - now_ms) / 1000

        game.cell, game.moves, game.bumps = saved.cell, saved.moves, saved.bumps
        game.began_s, game.ended_s = monotonic(saved.began_ms), monotonic(saved.ended_ms)
        game.inputs, game.race, game.opens_s = set(saved.inputs), saved.race, monotonic(saved.opens_ms)
        return game

    def save(self, now_s: float, now_ms: int) -> SavedGame:
        """Return the record from which `restore` recreates this game."""

        def wall(at_s: float | None) -> int | None:
            return None if at_s is None else now_ms + round((at_s - now_s) * 1000)

        return SavedGame(
            size=self.size,
            seed=self.seed,
            cell=self.cell,
            moves=self.moves,
            bumps=self.bumps,
            began_ms=wall(self.began_s),
            ended_ms=wall(self.ended_s),
            inputs=sorted(self.inputs),
            race=self.race,
            opens_ms=wall(self.opens_s),
        )

    @property
    def finished(self) -> bool:
        """Whether the token has reached the exit."""
        return self.ended_s is not None

    def step(self, move: Move, by: Input, now_s: float) -> bool:
        """Walk one cell if no wall is in the way, and return whether anything changed.

        A finished game, and a race that has not started, stay as they are.
        """
        closed = self.opens_s is not None and now_s < self.opens_s
        if move == "stop" or self.finished or closed:
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
        """Return the time since the first step, or since the race's start, until now or the exit."""
        if self.began_s is None:
            return 0
        end_s = now_s if self.ended_s is None else self.ended_s
        return max(round((end_s - self.began_s) * 1000), 0)

    @property
    def input(self) -> Input:
        """The easiest input that was used, for the scoreboard."""
        order: tuple[Input, ...] = ("keyboard", "simulated", "camera")
        return next((one for one in order if one in self.inputs), "camera")

    def where(self, now_s: float) -> dict[str, Any]:
        """Return the part of the state that changes."""
        return {
            "cell": self.cell,
            "moves": self.moves,
            "bumps": self.bumps,
            "time_ms": self.time_ms(now_s),
            "running": self.began_s is not None and not self.finished,
            "finished": self.finished,
        }

    def picture(self, now_s: float) -> dict[str, Any]:
        """Return everything that a browser needs to draw the game."""
        maze = self.maze
        opens_in_ms = None if self.opens_s is None else max(round((self.opens_s - now_s) * 1000), 0)
        return {
            "size": self.size,
            "seed": self.seed,
            "width": maze.width,
            "height": maze.height,
            "ways": ways_of(maze),
            "shortest": self.shortest,
            "race": self.race,
            "opens_in_ms": opens_in_ms,
            **self.where(now_s),
        }
