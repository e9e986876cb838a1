"""The webcam path: a clip of real hands, MediaPipe in the browser, and the resulting moves."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from gesture_maze.gateway.pages import HANDS
from gesture_maze.wire.gestures import DEFAULT_ACTIONS
from tests.browser.conftest import CAMERA_FLAGS, launched
from tests.support.data import camera_clip
from tests.support.gateway import Served
from tests.support.servers import absent

Pixels = npt.NDArray[np.float64]
FETCH = Path(__file__).parents[2] / "gesture_maze" / "page" / "fetch_hands.sh"
FRAMES = 360
ROUNDS_S = 100
"""Longest time for all moves of the clip, which takes 12 s once round on an idle machine."""
LATE_FRAMES = 6
"""How many frames of the clip the tracker's picture may be older than the one noted for it."""

THUMBNAIL = (16, 12)
NOTE_FRAMES = """
window.shown = [];
const small = new OffscreenCanvas(16, 12).getContext("2d", { willReadFrequently: true });
const ask = HTMLVideoElement.prototype.requestVideoFrameCallback;
HTMLVideoElement.prototype.requestVideoFrameCallback = function (callback) {
  return ask.call(this, (now, news) => {
    small.drawImage(this, 0, 0, 16, 12);
    window.shown.push([Date.now(), Array.from(small.getImageData(0, 0, 16, 12).data)]);
    callback(now, news);
  });
};
"""


@pytest.fixture(scope="module")
def tracker() -> None:
    """The hand tracker, downloaded if it is missing."""
    if (HANDS / "hands.js").exists():
        return
    if shutil.which("npm") is None:
        absent("npm")
    fetched = subprocess.run(["sh", str(FETCH)], capture_output=True, text=True, timeout=50, check=False)
    if fetched.returncode:
        absent("the hand tracker", f"cannot be fetched: {fetched.stderr.strip()}")


@pytest.fixture
def camera(playwright: Any) -> Iterator[Any]:
    """A browser whose camera shows the clip."""
    browser = launched(playwright, *CAMERA_FLAGS, f"--use-file-for-fake-video-capture={camera_clip()}")
    yield browser
    browser.close()


def labels() -> list[str]:
    """Return the gesture of each frame of the clip."""
    with camera_clip().with_suffix(".csv").open() as lines:
        return [row["label"] for row in csv.DictReader(lines)]


def thumbnails() -> Pixels:
    """Return the clip as small pictures: (frames, 16 * 12 * 3), 0 to 255."""
    pictures = camera_clip().read_bytes().split(b"\xff\xd8")[1:]
    small = [Image.open(BytesIO(b"\xff\xd8" + one)).convert("RGB").resize(THUMBNAIL) for one in pictures]
    return np.array([np.asarray(one, np.float64).ravel() for one in small])


def frames_shown(shown: list[tuple[float, list[int]]]) -> list[tuple[float, int]]:
    """Return when the camera showed each picture, in ms, and its frame of the clip.

    Frames are matched by content: a busy machine plays the clip more slowly than real time.
    """
    clip = thumbnails()
    found = []
    for at_ms, pixels in shown:
        picture = np.array(pixels, np.float64).reshape(-1, 4)[:, :3].ravel()
        found.append((at_ms, int(np.abs(clip - picture).sum(axis=1).argmin())))
    return found


def frame_at(shown: list[tuple[float, int]], captured_ms: float) -> int:
    """Return the frame of the clip that the camera showed at this time."""
    return max((one for one in shown if one[0] <= captured_ms), default=shown[0])[1]


def grey_clip(path: Path, *levels: int, seconds: int) -> None:
    """Write a small clip (YUV4MPEG2) of even grey that shows each level, 0 to 255, for `seconds`."""
    wide, high = 160, 120
    with path.open("wb") as clip:
        clip.write(b"YUV4MPEG2 W%d H%d F10:1 Ip A1:1 C420jpeg\n" % (wide, high))
        for level in levels:
            picture = bytes([level]) * (wide * high) + bytes([128]) * (wide * high // 2)
            clip.write((b"FRAME\n" + picture) * (10 * seconds))


def test_camera_in_the_dark_or_without_a_hand_shows_its_state(
    tracker: None, playwright: Any, gateway: Served, tmp_path: Path
) -> None:
    clip = tmp_path / "grey.y4m"
    grey_clip(clip, 3, 150, seconds=4)
    browser = launched(playwright, *CAMERA_FLAGS, f"--use-file-for-fake-video-capture={clip}")
    page = browser.new_page()
    page.goto(f"http://{gateway.address}/game?input=camera&cpu&model=0")
    for state in ("dark", "no-hand"):
        page.wait_for_selector(f'#state[data-state="{state}"]', timeout=20_000)
    browser.close()


@pytest.mark.timeout(180)
def test_gestures_in_the_camera_clip_become_moves(tracker: None, camera: Any, gateway: Served) -> None:
    page = camera.new_page()
    replies: list[dict[str, Any]] = []

    def listen(socket: Any) -> None:
        socket.on("framereceived", lambda text: replies.append(json.loads(text)))

    page.on("websocket", listen)
    page.add_init_script(NOTE_FRAMES)
    page.goto(f"http://{gateway.address}/game?input=camera&cpu&model=0&size=large")
    page.wait_for_selector('#state[data-state="playing"]', timeout=20_000)
    rounds_end_s = time.monotonic() + ROUNDS_S
    while not set(DEFAULT_ACTIONS.values()) <= {one.get("move") for one in replies}:
        assert time.monotonic() < rounds_end_s, "the clip does not make every move"
        page.wait_for_timeout(500)
    shown = frames_shown(page.evaluate("window.shown"))
    label = labels()
    made: set[str] = set()
    wrong = []
    for reply in replies:
        if "v" in reply and reply["move"] in DEFAULT_ACTIONS.values():
            at = frame_at(shown, reply["t"])
            before = {label[(at - back) % FRAMES] for back in range(LATE_FRAMES)}
            due = {DEFAULT_ACTIONS[one] for one in before if one in DEFAULT_ACTIONS}
            made.add(reply["move"])
            if reply["move"] not in due:
                wrong.append((at, reply["move"], sorted(before)))
    assert made == set(DEFAULT_ACTIONS.values())
    assert not wrong
