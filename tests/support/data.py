"""Real data for tests, which its licences keep out of the repository.

The files are looked for in the folder `MAZE_TEST_DATA`, by default `shared/data` beside the repository. A
test that needs a missing file is skipped with a reason on a person's machine and fails in CI. With
`MAZE_TEST_DATA=none` it is skipped there too: that machine has no data on purpose.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.servers import absent

FOLDER = Path(os.environ.get("MAZE_TEST_DATA") or Path(__file__).parents[3] / "shared" / "data")


def real_data(name: str) -> Path:
    """Return the path of a file of real data; skip or fail the running test if it is missing.

    Args:
        name: its path in the folder, such as `captures/webcam_sequences.jsonl.gz`.
    """
    if str(FOLDER) == "none":
        pytest.skip(f"{name} is not on this machine on purpose (MAZE_TEST_DATA=none)")
    path = FOLDER / name
    if not path.exists():
        absent(name, f"is not in {FOLDER}; it may not be committed, set MAZE_TEST_DATA to its folder")
    return path


def webcam_sequences() -> Path:
    """Return the capture of 80 real webcam sequences of 40 frames: like, dislike, ok and peace."""
    return real_data("captures/webcam_sequences.jsonl.gz")


def landmarks_train() -> Path:
    """Return the 14,100 labelled hands that the bundled model was trained on."""
    return real_data("landmarks_train.csv.gz")


def camera_clip() -> Path:
    """Return the clip for a browser's fake camera; the gesture of each frame is in the `.csv` beside it."""
    real_data("camera/gesture_clip_640x480_30fps.csv")
    return real_data("camera/gesture_clip_640x480_30fps.mjpeg")
