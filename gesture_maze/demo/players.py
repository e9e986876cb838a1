"""Players who walk mazes by gestures: the game's state and its rules. Pure; time is passed in, ms.

A player looks where the way out goes next and shows the gesture of that direction. A reply that carries a
move moves the token, wall permitting; then the player shows the next direction. When the maze is solved the
hand is lowered until the game says `stop`, and a new maze begins.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from gesture_maze.game.mazes import Maze, generate
from gesture_maze.simulator.players import Labels
from gesture_maze.wire.gestures import DEFAULT_ACTIONS, LABELS, NO_GESTURE, Action, Move

GESTURE_OF: Final[dict[Action, str]] = {action: name for name, action in DEFAULT_ACTIONS.items()}
"""Direction -> the gesture that asks for it."""
LOWERED: Final = LABELS[NO_GESTURE]
"""Label of a hand that shows nothing in particular."""
REST_MS: Final = 700
"""A hand is lowered for so long between mazes, or less if `stop` comes first."""
PATIENCE_MS: Final = 2500
"""A player whose gesture moves nothing for so long lowers the hand and tries again with another pose."""


@dataclass(slots=True)
class Score:
    """What happened so far, all players together.

    Attributes:
        moves: tokens moved by one cell.
        wrong: those of them that led away from the exit.
        bumped: moves that met a wall.
        solved: mazes.
        stops: `stop` replies.
        retries: how often a player lost patience.
    """

    moves: int = 0
    wrong: int = 0
    bumped: int = 0
    solved: int = 0
    stops: int = 0
    retries: int = 0


@dataclass(slots=True)
class Player:
    """One player.

    Attributes:
        maze: where they are.
        cell: where the token stands.
        trail: cells that the token has been to.
        solved: mazes solved so far.
        rests_until_ms: the hand is lowered until then.
        moved_ms: when the token last moved, or the present maze began.
    """

    maze: Maze
    moved_ms: int
    cell: int = 0
    trail: set[int] = field(default_factory=set)
    solved: int = 0
    rests_until_ms: int = 0

    @property
    def wants(self) -> Action | None:
        """Where the way out goes next."""
        return self.maze.way_out[self.cell]


class Players:
    """All players of a game, by number.

    Args:
        count: how many.
        seed: decides all mazes.
        side: cells along a maze's longer side; the other one is a quarter shorter.
        now_ms: when the game begins.
    """

    def __init__(self, count: int, seed: int, side: int, now_ms: int) -> None:
        self.score: Final = Score()
        self._seed: Final = seed
        self._size: Final = (side, max(side * 3 // 4, 2))
        self.all: Final = [Player(self._maze(number, 0), now_ms) for number in range(count)]

    def _maze(self, number: int, solved: int) -> Maze:
        # large odd factors keep the seeds of different players and rounds apart
        return generate(*self._size, seed=self._seed * 1_000_003 + number * 10_007 + solved)

    def targets(self, now_ms: int) -> Labels:
        """(count,) int64: the labels of the gestures that the players show now."""
        return np.array([self._look(player, now_ms) for player in self.all], np.int64)

    def _look(self, player: Player, now_ms: int) -> int:
        """The gesture of the direction in which the way out goes next."""
        if now_ms < player.rests_until_ms:
            return LOWERED
        if now_ms - player.moved_ms > PATIENCE_MS:
            player.moved_ms, player.rests_until_ms = now_ms, now_ms + REST_MS
            self.score.retries += 1
            return LOWERED
        direction = player.wants
        return LOWERED if direction is None else LABELS[GESTURE_OF[direction]]

    def hear(self, number: int, move: Move, now_ms: int) -> None:
        """A reply came that tells a player's token what to do."""
        player = self.all[number]
        if move == "stop":
            self.score.stops += 1
            player.rests_until_ms = min(player.rests_until_ms, now_ms)
            return
        beyond = player.maze.move(player.cell, move)
        if beyond is None:
            self.score.bumped += 1
            return
        self.score.moves += 1
        self.score.wrong += move != player.wants
        player.trail.add(player.cell)
        player.cell, player.moved_ms = beyond, now_ms
        if beyond == player.maze.exit:
            self._begin_anew(number, now_ms)

    def _begin_anew(self, number: int, now_ms: int) -> None:
        player = self.all[number]
        self.score.solved += 1
        player.solved += 1
        player.maze, player.cell = self._maze(number, player.solved), 0
        player.trail.clear()
        player.moved_ms, player.rests_until_ms = now_ms, now_ms + REST_MS
