"""Realistic synthetic hands: independent ones, and those of players over time.

A hand is a build (bone lengths), a pose (joint angles of a gesture) and a camera; `simulator.hand` turns them
into landmarks as MediaPipe would report them. The same seed, times and targets give the same frames, bit for
bit. Time is passed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gesture_maze.simulator.hand import JOINTS, Bools, Camera, Shape, bend, draw_shapes, mirror, project, turn
from gesture_maze.simulator.poses import ANGLES, RELAXED, draw_poses
from gesture_maze.wire.frames import HAND, LEFT, MIRRORED, Float32

Labels = NDArray[np.int64]
Flags = NDArray[np.uint32]

DETECTOR_NOISE: Final = 0.003
"""Standard deviation of a detected landmark in the image plane, in hand lengths."""
CAMERA_TILT: Final = np.radians(np.array([5, 3, 3], np.float32))
"""Standard deviation between people of the tilt of hand and camera: roll, pitch and yaw, in radians."""
TREMOR_HZ: Final = (8.0, 12.0)
"""Band of physiological tremor (Elble and Koller, Tremor, 1990)."""
SWAY_HZ: Final = (0.08, 0.5)
"""Frequency band of the slow sway of a raised hand."""
TREMOR: Final = np.concatenate(
    (np.radians(np.full(JOINTS, 0.25)), np.radians((0.3, 0.3, 0.3)), (0.0008, 0.0008))
).astype(np.float32)
"""Amplitudes of tremor: of the 24 angles in radians, then of the place in image widths."""
SWAY: Final = np.concatenate(
    (np.radians(np.full(JOINTS, 1.2)), np.radians((2.5, 2.0, 2.5)), (0.02, 0.02))
).astype(np.float32)
"""Amplitudes of sway, as for `TREMOR`."""
CHANGE_MS: Final = (150.0, 250.0)
"""Shortest and longest duration of a change of gesture."""


@dataclass(frozen=True, slots=True)
class Hands:
    """What the cameras of n people report at one instant, ready for `wire.frames.pack_arrays`.

    Attributes:
        landmarks: (n, 21, 3) float32, MediaPipe's normalised image coordinates: x and y in image widths and
            heights, y down; z in image widths relative to the wrist. Zeros if there is no hand.
        aspect: (n,) float32, image width / height.
        flags: (n,) uint32, bits `HAND`, `LEFT` and `MIRRORED` of `wire.frames`.
        sent: (n,) bool, False for frames that the client dropped: not to be sent.
    """

    landmarks: Float32
    aspect: Float32
    flags: Flags
    sent: Bools

    @property
    def left(self) -> Bools:
        """Return which hands are left hands, (n,) bool."""
        return (self.flags & LEFT).astype(np.bool_)


def synthesize(
    labels: Labels,
    rng: np.random.Generator,
    *,
    aspect: float = 4 / 3,
    left_share: float = 0.5,
    mirrored_share: float = 0.0,
) -> Hands:
    """Return independent hands of different people, showing the gestures `labels` (n,) to different cameras.

    Args:
        labels: (n,) int64, 0 to 18, as in `wire.gestures.GESTURES`.
        rng: the only source of randomness.
        aspect: image width / height.
        left_share: share of left hands, 0 to 1.
        mirrored_share: share of mirrored images, 0 to 1.
    """
    people = _draw_people(len(labels), rng, aspect, left_share, mirrored_share)
    poses = draw_poses(labels, rng)
    return people.show(poses, people.place, rng)


@dataclass(frozen=True, slots=True)
class _People:
    """The constant properties of n people: their hand and the position of their camera."""

    shape: Shape
    camera: Camera
    tilt: Float32  # (n, 3) of the camera, added to roll, pitch and yaw
    place: Float32  # (n, 2) where they like to hold their hand in the image
    flags: Flags  # (n,)

    def show(self, poses: Float32, place: Float32, rng: np.random.Generator) -> Hands:
        """Return the frames of these people in `poses` (n, 24) at `place` (n, 2)."""
        points = turn(bend(self.shape, poses[:, :JOINTS]), poses[:, JOINTS:])
        # A left hand is a mirrored right one, including its orientation but not the tilt of the camera.
        points = turn(mirror(points, (self.flags & LEFT).astype(np.bool_)), self.tilt)
        points[:, :, :2] += np.float32(DETECTOR_NOISE) * rng.standard_normal(
            (*points.shape[:2], 2), np.float32
        )
        landmarks = project(points, self.camera, place)
        selfie = (self.flags & MIRRORED).astype(np.bool_)
        landmarks[selfie, :, 0] = 1 - landmarks[selfie, :, 0]
        return Hands(landmarks, self.camera.aspect, self.flags, np.ones(len(poses), np.bool_))


def _draw_people(
    count: int, rng: np.random.Generator, aspect: float, left_share: float, mirrored_share: float
) -> _People:
    """Return `count` people before cameras of one image format."""
    uniform = rng.random((6, count), np.float32)
    camera = Camera(
        aspect=np.full(count, aspect, np.float32),
        # The field of view along the longer side is the same for upright and level phones.
        focal=(0.75 + 0.3 * uniform[0]) * np.float32(max(1.0, 1 / aspect)),
        distance=4 + 5 * uniform[1],
    )
    flags = HAND + LEFT * (uniform[2] < left_share) + MIRRORED * (uniform[3] < mirrored_share)
    return _People(
        shape=draw_shapes(count, rng),
        camera=camera,
        tilt=CAMERA_TILT * np.clip(rng.standard_normal((count, 3), np.float32), -2.5, 2.5),
        place=np.stack((0.3 + 0.4 * uniform[4], 0.4 + 0.25 * uniform[5]), axis=-1),
        flags=flags.astype(np.uint32),
    )


def _smooth(progress: Float32) -> Float32:
    """Return the smoothstep of a share: 0 to 1 without a jerk at either end."""
    clipped = np.clip(progress, 0, 1)
    return clipped * clipped * (3 - 2 * clipped)


class PlayerHands:
    """Players in front of cameras over time. Each has a hand that moves and changes gesture.

    The first `step` shows the targets immediately. A later change of a player's target moves its hand there
    through the relaxed pose in 150 to 250 ms.
    """

    def __init__(
        self,
        players: int,
        seed: int,
        fps: float = 15,
        *,
        aspect: float = 4 / 3,
        left_share: float = 0.3,
        mirrored_share: float = 0.5,
        dropped_share: float = 0.01,
        missing_share: float = 0.02,
    ) -> None:
        """Draw the players.

        Args:
            players: number of players.
            seed: same seed, times and targets: same frames.
            fps: frames per second of each camera; the pace at which `step` should be called.
            aspect: image width / height.
            left_share: share of players who use the left hand.
            mirrored_share: share of cameras that deliver a mirrored image.
            dropped_share: share of frames that the client never sends.
            missing_share: share of frames in which no hand is found.
        """
        self.players = players
        self.interval_ms = 1000 / fps
        self._rng = np.random.default_rng(seed)
        self._people = _draw_people(players, self._rng, aspect, left_share, mirrored_share)
        self._dropped_share, self._missing_share = dropped_share, missing_share
        self._hz = np.stack([self._rng.uniform(*band, (players, len(SWAY))) for band in (SWAY_HZ, TREMOR_HZ)])
        self._phase = self._rng.random(self._hz.shape)
        self._targets: Labels | None = None
        self._from = self._to = np.zeros((players, ANGLES), np.float32)
        self._began_ms = np.full(players, -np.inf)
        self._change_ms = np.ones(players)

    def step(self, now_ms: float, targets: Labels) -> Hands:
        """Return the frames at `now_ms` (any origin, rising) of players that change to `targets` (n,)."""
        self._retarget(now_ms, targets)
        poses, sway = self._poses(now_ms), self._sway(now_ms)
        hands = self._people.show(poses + sway[:, :ANGLES], self._people.place + sway[:, ANGLES:], self._rng)
        chance = self._rng.random((2, self.players), np.float32)
        missing = chance[0] < self._missing_share
        hands.landmarks[missing] = 0
        flags = np.where(missing, hands.flags & ~np.uint32(HAND), hands.flags)
        return Hands(hands.landmarks, hands.aspect, flags, chance[1] >= self._dropped_share)

    def settled(self, now_ms: float) -> Bools:
        """Return which players are not between two gestures at `now_ms`, (n,) bool."""
        return now_ms >= self._began_ms + self._change_ms

    def _retarget(self, now_ms: float, targets: Labels) -> None:
        """Start a change of pose for every player whose target is new."""
        if self._targets is None:
            self._targets, self._to = targets.copy(), draw_poses(targets, self._rng)
            return
        (rows,) = np.nonzero(targets != self._targets)
        if not len(rows):
            return
        poses = self._poses(now_ms)
        self._from, self._to = self._from.copy(), self._to.copy()
        self._from[rows] = poses[rows]
        self._to[rows] = draw_poses(targets[rows], self._rng)
        self._began_ms[rows] = now_ms
        self._change_ms[rows] = self._rng.uniform(*CHANGE_MS, len(rows))
        self._targets[rows] = targets[rows]

    def _poses(self, now_ms: float) -> Float32:
        """Return poses (n, 24) at `now_ms`: joints through the relaxed hand, orientation the shorter way."""
        progress = ((now_ms - self._began_ms) / self._change_ms).astype(np.float32)[:, None]
        before, after = _smooth(1 - 2 * progress), _smooth(2 * progress - 1)
        poses = before * self._from + after * self._to
        poses[:, :JOINTS] += (1 - before - after) * RELAXED
        way = self._to[:, JOINTS:] - self._from[:, JOINTS:]
        way -= np.float32(2 * np.pi) * np.round(way / np.float32(2 * np.pi))
        poses[:, JOINTS:] = self._from[:, JOINTS:] + _smooth(progress) * way
        return poses

    def _sway(self, now_ms: float) -> Float32:
        """Return offsets (n, 26) at `now_ms` by slow sway and tremor: of the 24 angles and of the place."""
        cycles = self._hz * (now_ms / 1000) + self._phase
        waves = np.sin((2 * np.pi * (cycles - np.floor(cycles))).astype(np.float32))
        sway: Float32 = waves[0] * SWAY + waves[1] * TREMOR
        return sway
