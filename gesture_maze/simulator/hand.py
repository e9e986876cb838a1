"""Forward kinematics of a 21-landmark hand, and the camera that sees it. Pure numpy, vectorised over hands.

Local frame of a **right** hand, origin at the wrist, unit one hand length (wrist to middle fingertip): x to
the thumb's side, y to the fingers, z out of the palm. A camera that looks at the palm sees x to the right and
y up, and z points at it. A left hand is the mirror image of a right one. Landmarks are in MediaPipe's order:
wrist, then thumb, index, middle, ring and pinky, each from root to tip. Angles are in radians.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gesture_maze.wire.frames import LANDMARKS, Float32

Bools = NDArray[np.bool_]

JOINTS: Final = 21
"""Angles of the joints: thumb (spread, elevation, roll, mcp, ip), each finger (spread, mcp, pip, dip)."""
TURNS: Final = 3
"""Angles of its orientation: roll (clockwise in the image), pitch (fingertips to the camera), yaw (0 shows
the palm, half a turn the back)."""
CENTRE: Final = 9
"""Landmark that a hand's place in the image refers to: the root of the middle finger."""

ROOTS: Final = np.array(
    [
        [0.132, 0.103, 0.026],
        [0.133, 0.464, 0.0],
        [0.025, 0.472, -0.005],
        [-0.074, 0.44, -0.003],
        [-0.162, 0.382, 0.004],
    ],
    np.float32,
)
"""Where each chain starts, in hand lengths: the thumb's cmc, the four mcp. Fitted to hands in HaGRID."""
BONES: Final = np.array(
    [
        [0.218, 0.182, 0.147],
        [0.241, 0.142, 0.1],
        [0.264, 0.167, 0.11],
        [0.244, 0.162, 0.107],
        [0.203, 0.117, 0.093],
    ],
    np.float32,
)
"""Bone lengths of each chain in hand lengths: the ratios of Buchholz, Armstrong and Goldstein (Ergonomics 35,
1992), moved by a few per cent to where MediaPipe puts the joints."""

ROOT_SPREAD: Final = 0.006
"""Standard deviation between people of each root coordinate, in hand lengths."""
BONE_SPREAD: Final = 0.03
"""Standard deviation between people of one bone's relative length; all bones of a hand also vary together by
as much."""
TILT_SPREAD: Final = np.radians(3.0).item()
"""Standard deviation between people of the plane in which a finger curls, in radians."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The build of n hands: what stays the same while they move.

    Attributes:
        roots: (n, 5, 3) float32, where each chain starts, in hand lengths.
        bones: (n, 5, 3) float32, bone lengths from root to tip, in hand lengths.
        tilts: (n, 4) float32, how far each finger's curl leans to the little finger's side, in radians.
    """

    roots: Float32
    bones: Float32
    tilts: Float32


@dataclass(frozen=True, slots=True)
class Camera:
    """The cameras of n hands, one each.

    Attributes:
        aspect: (n,) float32, image width / height.
        focal: (n,) float32, focal length in image widths (0.87 is a horizontal field of view of 60 degrees).
        distance: (n,) float32, from the camera to the hand, in hand lengths.
    """

    aspect: Float32
    focal: Float32
    distance: Float32


def draw_shapes(count: int, rng: np.random.Generator) -> Shape:
    """Return the hands of `count` different people."""
    scatter = np.clip(rng.standard_normal((count, 35), np.float32), -2.5, 2.5)
    common = BONE_SPREAD * scatter[:, 34, None, None]
    bones = BONES * np.exp(common + BONE_SPREAD * scatter[:, :15].reshape(count, 5, 3))
    roots = ROOTS + ROOT_SPREAD * scatter[:, 15:30].reshape(count, 5, 3)
    return Shape(
        roots.astype(np.float32), bones.astype(np.float32), np.float32(TILT_SPREAD) * scatter[:, 30:34]
    )


def bend(shape: Shape, joints: Float32) -> Float32:
    """Return landmarks (n, 21, 3) in the local frame, in hand lengths, for joint angles (n, 21).

    Each chain starts along a direction given by spread (to the thumb's side) and elevation (to the palm), and
    curls in one plane: a finger's nearly upright on the palm, the thumb's turned by its roll.
    """
    along, curl = _chain_planes(shape, joints)
    fingers = joints[:, 5:].reshape(-1, 4, 4)
    flexion = np.zeros((len(joints), 5, 3), np.float32)
    flexion[:, 0, 1:] = joints[:, 3:5]
    flexion[:, 1:] = fingers[:, :, 1:]
    np.cumsum(flexion, axis=2, out=flexion)
    reach = (np.cos(flexion) * shape.bones)[..., None] * along[:, :, None]
    reach += (np.sin(flexion) * shape.bones)[..., None] * curl[:, :, None]
    points = np.zeros((len(joints), LANDMARKS, 3), np.float32)
    chains = points[:, 1:].reshape(-1, 5, 4, 3)
    chains[:, :, 0] = shape.roots
    chains[:, :, 1:] = reach
    np.cumsum(chains, axis=2, out=chains)
    return points


def _chain_planes(shape: Shape, joints: Float32) -> tuple[Float32, Float32]:
    """Return, per chain, the unit vectors (n, 5, 3) along which it starts and towards which it curls."""
    spread = np.concatenate((joints[:, :1], joints[:, 5::4]), axis=1)
    roll = np.concatenate((joints[:, 2:3], np.float32(np.pi / 2) - shape.tilts), axis=1)
    rise = np.zeros_like(spread)
    rise[:, 0] = joints[:, 1]
    (sin_spread, cos_spread), (sin_rise, cos_rise) = (
        (np.sin(spread), np.cos(spread)),
        (np.sin(rise), np.cos(rise)),
    )
    sin_roll, cos_roll = np.sin(roll), np.cos(roll)
    along = np.stack((sin_spread * cos_rise, cos_spread * cos_rise, sin_rise), axis=-1)
    curl = np.stack(
        (
            -cos_roll * cos_spread - sin_roll * sin_spread * sin_rise,
            cos_roll * sin_spread - sin_roll * cos_spread * sin_rise,
            sin_roll * cos_rise,
        ),
        axis=-1,
    )
    return along, curl


def turn(points: Float32, turns: Float32) -> Float32:
    """Return points (n, k, 3) turned by `turns` (n, 3): first by yaw, then pitch, then roll."""
    sin_r, sin_p, sin_y = np.sin(turns).T
    cos_r, cos_p, cos_y = np.cos(turns).T
    rows = (
        (cos_r * cos_y + sin_r * sin_p * sin_y, sin_r * cos_p, cos_r * sin_y - sin_r * sin_p * cos_y),
        (-sin_r * cos_y + cos_r * sin_p * sin_y, cos_r * cos_p, -sin_r * sin_y - cos_r * sin_p * cos_y),
        (-cos_p * sin_y, sin_p, cos_p * cos_y),
    )
    matrix = np.stack([np.stack(row, axis=-1) for row in rows], axis=-1)
    turned: Float32 = points @ matrix
    return turned


def mirror(points: Float32, left: Bools) -> Float32:
    """Return points (n, k, 3), those of the hands marked in `left` (n,) mirrored from right to left."""
    signs = np.ones((len(points), 1, 3), np.float32)
    signs[left, :, 0] = -1.0
    mirrored: Float32 = points * signs
    return mirrored


def project(points: Float32, camera: Camera, place: Float32) -> Float32:
    """Return turned landmarks (in hand lengths, y up, z nearer) as MediaPipe reports them, (n, 21, 3).

    x and y are in image widths and heights, y down; z is in image widths relative to the wrist, smaller is
    nearer. `place` (n, 2) is where landmark `CENTRE` appears in the image, in the same units.
    """
    scale = (camera.focal / camera.distance)[:, None]
    middle = points[:, CENTRE]
    offset = (place - np.float32(0.5)) * np.stack((np.ones_like(camera.aspect), -1 / camera.aspect), axis=-1)
    flat = points[:, :, :2] - middle[:, None, :2] + (offset / scale)[:, None]
    nearer = (points[:, :, 2] - middle[:, 2:]) / camera.distance[:, None]
    magnified = scale / (1 - nearer)
    image = np.empty_like(points)
    image[:, :, 0] = 0.5 + flat[:, :, 0] * magnified
    image[:, :, 1] = 0.5 - flat[:, :, 1] * magnified * camera.aspect[:, None]
    image[:, :, 2] = (points[:, :1, 2] - points[:, :, 2]) * scale
    return image
