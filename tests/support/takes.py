"""Takes of simulated people who show made-up gestures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gesture_maze.simulator.hand import BONES, JOINTS, ROOTS, Camera, Shape, bend, project, turn
from gesture_maze.simulator.poses import ARCHETYPES, SHARES
from gesture_maze.teach.takes import Takes
from gesture_maze.wire.gestures import LABELS

ASPECT = 4 / 3
MADE_UP = {"pinky": (0, 0, 0, 1), "horns_three": (1, 0, 1, 1), "middle_ring": (0, 1, 1, 0)}
"""Gesture that no model knows -> which of the four fingers are stretched."""
STRAIGHT = np.radians([0, 20, 0, -5])
CURLED = np.radians([-10, 80, 95, 55])


def pose_of(gesture: str) -> np.ndarray[Any, Any]:
    """Return the pose (24,) of a published or made-up gesture, in radians."""
    if gesture in LABELS:
        label = LABELS[gesture]
        return np.asarray(SHARES[label] @ ARCHETYPES[label], np.float64)
    pose = np.asarray(SHARES[LABELS["four"]] @ ARCHETYPES[LABELS["four"]], np.float64)
    for number, stretched in enumerate(MADE_UP[gesture]):
        pose[5 + 4 * number : 9 + 4 * number] = STRAIGHT if stretched else CURLED
    return pose


def frames(gesture: str, seed: int, count: int = 30) -> list[dict[str, Any]]:
    """Return the frames of a take: one person turns, tilts and comes nearer; each seed gives another take."""
    rng = np.random.default_rng(seed)
    time = np.linspace(0.0, 1.0, count)[:, None]
    begin, end = np.radians(rng.normal(0.0, [9.0, 9.0, 12.0], (2, 3)))
    poses = pose_of(gesture) + rng.normal(0.0, np.radians(2.0), (count, 24))
    poses[:, JOINTS:] += begin * (1 - time) + end * time
    shape = Shape(
        np.repeat(ROOTS[None], count, 0),
        np.repeat(BONES[None], count, 0),
        np.zeros((count, 4), np.float32),
    )
    near, far = rng.uniform(4.0, 9.0, 2)
    camera = Camera(
        np.full(count, ASPECT, np.float32),
        np.full(count, 0.9, np.float32),
        (near * (1 - time) + far * time)[:, 0].astype(np.float32),
    )
    points = turn(bend(shape, poses[:, :JOINTS].astype(np.float32)), poses[:, JOINTS:].astype(np.float32))
    seen = project(points, camera, np.full((count, 2), 0.5, np.float32))
    return [
        {"t": round(number * 100), "aspect": ASPECT, "hand": "right", "landmarks": hand.tolist()}
        for number, hand in enumerate(seen)
    ]


def record(folder: Path, gestures: list[str], takes: int = 3, first: int = 0) -> Takes:
    """Record takes of each gesture into a folder and return them."""
    found = Takes(folder)
    for number, gesture in enumerate(gestures):
        for take in range(takes):
            found.add(gesture, frames(gesture, first + 100 * number + take), "simulated")
    return found
