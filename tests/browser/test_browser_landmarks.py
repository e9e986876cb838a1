"""`maze landmarks` with a real browser and the real tracker, on frames of the camera clip."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gesture_maze.capture.reader import CaptureReader
from gesture_maze.landmarks.browser import TRACKER
from tests.support.data import camera_clip
from tests.support.processes import ROOT
from tests.support.servers import absent

END_OF_PICTURE = b"\xff\xd9"
FRAMES = 30


@pytest.fixture
def pictures() -> list[bytes]:
    """Frames 30 to 59 of the clip, which is one JPEG picture after the other."""
    if shutil.which("chromium") is None:
        absent("chromium")
    if importlib.util.find_spec("playwright") is None:
        absent("playwright")
    if not TRACKER.exists():
        absent("the hand tracker", "is not here: make web")
    data = camera_clip().read_bytes()
    return [part + END_OF_PICTURE for part in data.split(END_OF_PICTURE)[FRAMES : 2 * FRAMES]]


def maze(*words: object) -> dict[str, int]:
    command = [
        sys.executable,
        "-m",
        "gesture_maze",
        "landmarks",
        *map(str, words),
        "--model",
        "lite",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=170)
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    return found


@pytest.mark.timeout(180)
def test_landmarks_of_pictures_show_their_hands(pictures: list[bytes], tmp_path: Path) -> None:
    folder = tmp_path / "hands"
    folder.mkdir()
    for number in (3, 20):
        (folder / f"{number:02}.jpg").write_bytes(pictures[number])
    found = maze(folder, "--out", tmp_path / "a.jsonl", "--label", "like")
    assert (found["frames"], found["with_hand"]) == (2, 2)
    with CaptureReader(tmp_path / "a.jsonl") as reader:
        lines = list(reader.frames())
    assert [(line.values["source"], line.values["label"]) for line in lines] == [
        ("03.jpg", "like"), ("20.jpg", "like"),
    ]  # fmt: skip
    assert lines[0].frame.aspect == pytest.approx(640 / 480)


@pytest.mark.timeout(180)
def test_landmarks_of_a_video_have_a_line_per_frame(pictures: list[bytes], tmp_path: Path) -> None:
    if shutil.which("ffmpeg") is None:
        absent("ffmpeg")
    (tmp_path / "clip.mjpeg").write_bytes(b"".join(pictures))
    found = maze(tmp_path / "clip.mjpeg", "--out", tmp_path / "a.jsonl.gz", "--fps", FRAMES)
    assert found["frames"] == pytest.approx(FRAMES, abs=1)
    assert found["with_hand"] > FRAMES - 5
    with CaptureReader(tmp_path / "a.jsonl.gz") as reader:
        times = [line.frame.captured_ms for line in reader.frames()]
    assert times[:4] == [0, 33, 67, 100]
