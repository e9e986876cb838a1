"""Hands for the page: one average hand for each pose that the page draws or the simulated hand shows."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from fastapi import APIRouter, Request

from gesture_maze.gateway.room import Room
from gesture_maze.models.drawing import Drawing
from gesture_maze.simulator.hand import BONES, JOINTS, ROOTS, Camera, Shape, bend, project, turn
from gesture_maze.simulator.poses import ARCHETYPES, SHARES
from gesture_maze.wire.gestures import LABELS, NO_GESTURE

REST: Final = "rest"
"""An idle hand: no gesture."""
OTHERS: Final = ("fist", "palm")
"""Poses without a move; a held palm opens the menu of the page."""
ASPECT: Final = 4 / 3
FOCAL: Final = 1.7
DISTANCE: Final = 3.6
"""In hand lengths, so that the hand fills a good part of the picture."""
CENTRE: Final = np.array([0.5, 0.42], np.float32)
"""Where in the picture the hand is."""
DECIMALS: Final = 4

Landmarks = list[list[float]]


@cache
def hands() -> dict[str, Landmarks]:
    """Return 21 landmarks of a right hand by pose, as MediaPipe would report them in a picture of 4 by 3."""
    poses = {name: _average(name) for name in LABELS if name != NO_GESTURE}
    poses[REST] = ARCHETYPES[LABELS[NO_GESTURE]][0]
    return {name: _seen(pose) for name, pose in poses.items()}


def _average(gesture: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Return the mean pose of a gesture, (24,) angles."""
    label = LABELS[gesture]
    mean: np.ndarray[tuple[int], np.dtype[np.float32]] = (SHARES[label] @ ARCHETYPES[label]).astype(
        np.float32
    )
    return mean


def _seen(pose: np.ndarray[tuple[int], np.dtype[np.float32]]) -> Landmarks:
    shape = Shape(ROOTS[None], BONES[None], np.zeros((1, 4), np.float32))
    camera = Camera(*(np.full(1, number, np.float32) for number in (ASPECT, FOCAL, DISTANCE)))
    points = turn(bend(shape, pose[None, :JOINTS]), pose[None, JOINTS:])
    found = project(points, camera, np.full((1, 2), 0.5, np.float32))[0]
    # at the same place, whatever the pose; the page has words below
    found[:, :2] += CENTRE - (found[:, :2].max(axis=0) + found[:, :2].min(axis=0)) / 2
    rounded: Landmarks = found.round(DECIMALS).tolist()
    return rounded


router = APIRouter(include_in_schema=False)


@router.get("/game/hands.json")
async def poses(request: Request) -> dict[str, Landmarks | Drawing]:
    """Return the hands that the page draws: those of the pool's actions and a few others."""
    room: Room = request.app.state.room
    shown = {*(key.rpartition(":")[2] for key in room.mapping.actions), *OTHERS, REST}
    published = {name: points for name, points in hands().items() if name in shown}
    return {**room.mapping.drawings, **published}
