"""Players who walk mazes by gestures: the game's state and its rules. Pure; time is passed in, ms.

A player shows the gesture of the next direction on the way out. A reply with a move moves the token unless
there is a wall, and the player then shows the next direction. When the maze is solved the hand is lowered
until a `stop` arrives, and a new maze begins.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from gesture_maze.game.mazes import Maze, generate
from gesture_maze.simulator.players import Labels
from gesture_maze.wire.gestures import DEFAULT_ACTIONS, LABELS, NO_GESTURE, Action, Move

GESTURE_OF: Final[dict[Action, str]] = {action: name for name, action in DEFAULT_ACTIONS.items()}
"""Direction -> the gesture for it."""
LOWERED: Final = LABELS[NO_GESTURE]
"""Label of a hand that shows no gesture."""
REST_MS: Final = 700
"""How long a hand is lowered between mazes, unless a `stop` arrives earlier."""
PATIENCE_MS: Final = 2500
"""Time without a move after which a player lowers the hand and tries again with another pose."""


@dataclass(slots=True)
class Score:
    """Counts of events so far, of all players together.

    Attributes:
        moves: moves of a token by one cell.
        wrong: moves of a token away from the exit.
        bumped: moves into a wall.
        solved: mazes solved.
        retries: times that a player tried again after `PATIENCE_MS`.
    """

    moves: int = 0
    wrong: int = 0
    bumped: int = 0
    solved: int = 0
    retries: int = 0


@dataclass(slots=True)
class Player:
    """One player.

    Attributes:
        maze: the current maze.
        cell: the token's cell.
        trail: cells that the token has visited.
        solved: number of mazes solved.
        rests_until_ms: time until which the hand is lowered.
        moved_ms: when the token last moved, or the current maze began.
    """

    maze: Maze
    moved_ms: int
    cell: int = 0
    trail: set[int] = field(default_factory=set)
    solved: int = 0
    rests_until_ms: int = 0

    @property
    def wants(self) -> Action | None:
        """The next direction on the way out, or None at the exit."""
        return self.maze.way_out[self.cell]


class Players:
    """All players of a game, by number.

    Args:
        count: number of players.
        seed: determines all mazes.
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
        """Return the labels of the gestures that the players show now, (count,) int64."""
        return np.array([self._look(player, now_ms) for player in self.all], np.int64)

    def _look(self, player: Player, now_ms: int) -> int:
        """Return the label of the gesture that a player shows now."""
        if now_ms < player.rests_until_ms:
            return LOWERED
        if now_ms - player.moved_ms > PATIENCE_MS:
            player.moved_ms, player.rests_until_ms = now_ms, now_ms + REST_MS
            self.score.retries += 1
            return LOWERED
        direction = player.wants
        return LOWERED if direction is None else LABELS[GESTURE_OF[direction]]

    def receive(self, number: int, move: Move, now_ms: int) -> None:
        """Apply the move of a reply to player `number`."""
        player = self.all[number]
        if move == "stop":
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
