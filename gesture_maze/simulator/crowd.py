"""A crowd of simulated players and the frames of their cameras. Pure; time is passed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gesture_maze.simulator.players import Labels, PlayerHands
from gesture_maze.wire.frames import Float32


@dataclass(frozen=True, slots=True)
class Shot:
    """The frames of n players at one instant, as `FrameProducer.send_arrays` takes them.

    Attributes:
        players: (n,) int64, number of each frame's player.
        sessions: n session ids.
        seq: (n,) int64.
        captured_ms: the same for all.
        landmarks: (n, 21, 3) float32.
        aspect: (n,) float32.
        flags: (n,) uint32.
    """

    players: NDArray[np.int64]
    sessions: list[str]
    seq: NDArray[np.int64]
    captured_ms: int
    landmarks: Float32
    aspect: Float32
    flags: NDArray[np.uint32]


class Crowd:
    """Players with cameras of one frame rate, whose shutters are spread evenly over its interval.

    A game server receives frames over time, not of all players at the same instant. So the players are
    divided into `groups` groups, and each call of `shoot` returns the frames of the next one.

    Args:
        players: number of players.
        fps: frames per second of each camera.
        seed: same seed, times and targets: same frames.
        name: prefix of the session ids; unique in this Redis, because seqs of a session must rise.
        groups: number of groups, limited by the number of players.
    """

    def __init__(self, players: int, fps: float, seed: int, name: str, groups: int = 4) -> None:
        self.sessions: Final = [f"{name}-{player}" for player in range(players)]
        self.groups: Final = min(groups, players)
        self.turn_s: Final = 1 / fps / self.groups
        self._members: Final = [np.arange(group, players, self.groups) for group in range(self.groups)]
        self._hands: Final = [
            PlayerHands(len(members), seed * self.groups + group, fps)
            for group, members in enumerate(self._members)
        ]
        self._seq: Final = np.zeros(players, np.int64)
        self._turn = 0

    def shoot(self, now_ms: int, targets: Labels) -> Shot:
        """Return the frames of the next group.

        Args:
            now_ms: time in ms; rising.
            targets: (players,) int64, labels of the gestures that the players change to.
        """
        group, self._turn = self._turn, (self._turn + 1) % self.groups
        hands = self._hands[group].step(now_ms, targets[self._members[group]])
        players = self._members[group][hands.sent]
        self._seq[players] += 1
        return Shot(
            players=players,
            sessions=[self.sessions[player] for player in players.tolist()],
            seq=self._seq[players],
            captured_ms=now_ms,
            landmarks=hands.landmarks[hands.sent],
            aspect=hands.aspect[hands.sent],
            flags=hands.flags[hands.sent],
        )
