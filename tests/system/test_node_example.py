"""The examples and the JavaScript client on a real server and a real pool."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.children import child
from tests.support.example_pool import ROOT, environment, run, running_pool
from tests.support.servers import Server, absent

pytestmark = pytest.mark.slow

NPM_CI = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel", "error"]


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_pool(tmp_path_factory.mktemp("pool")) as found:
        yield found


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of examples/ and clients/ with the packages of examples/node."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            absent(tool)
    folder = tmp_path_factory.mktemp("copy")
    for part in ("examples", "clients"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("node_modules"))
    example = folder / "examples" / "node"
    installed = subprocess.run(NPM_CI, cwd=example, capture_output=True, text=True, timeout=100, check=False)
    if installed.returncode:
        absent("the package redis for node", f"cannot be had: {installed.stderr[-300:]}")
    # the client's own tests find the package redis here
    (folder / "node_modules").symlink_to(example / "node_modules")
    return example


@pytest.mark.parametrize("folder", ["examples/node", "clients/js"])
def test_lock_file_contains_versions_and_no_addresses(folder: str) -> None:
    lock = (ROOT / folder / "package-lock.json").read_text()
    assert '"integrity"' in lock
    assert "://" not in lock
    assert set(re.findall('"resolved": "(.*)"', lock)) <= {"file:../../clients/js"}


def test_javascript_client_passes_its_own_tests(node: Path) -> None:
    out = run("node", "--test", cwd=node.parents[1] / "clients" / "js", timeout_s=60)
    assert "fail 0" in out
    assert "pass 0" not in out


def test_javascript_client_types_match_its_source(tmp_path: Path) -> None:
    client = tmp_path / "js"
    shutil.copytree(ROOT / "clients" / "js", client, ignore=shutil.ignore_patterns("node_modules"))
    if shutil.which("npm") is None:
        absent("npm")
    installed = subprocess.run(NPM_CI, cwd=client, capture_output=True, text=True, timeout=100, check=False)
    if installed.returncode:
        absent("typescript", f"cannot be had: {installed.stderr[-300:]}")
    run(
        str(client / "node_modules" / ".bin" / "tsc"),
        "-p",
        ".",
        "--noEmit",
        "false",
        "--emitDeclarationOnly",
        "--outDir",
        str(tmp_path / "types"),
        cwd=client,
    )
    written = {path.name: path.read_text() for path in (tmp_path / "types").glob("*.d.ts")}
    assert written
    assert written == {path.name: path.read_text() for path in (client / "types").glob("*.d.ts")}


def test_node_game_server_run_twice_in_a_row_is_answered(pool: Server, node: Path) -> None:
    assert pool.url is not None
    run("node", "game_server.mjs", pool.url, "10", cwd=node)
    out = run("node", "game_server.mjs", pool.url, "30", cwd=node)
    assert "60 of 60 frames answered" in out
    # a gesture held for a second settles once and repeats
    assert out.count("move up") >= 2
    assert out.count("move right") >= 2
    assert re.search(r"^node-1 #\d+: like", out, re.M)
    assert re.search(r"^node-2 #\d+: four", out, re.M)


def test_python_examples_send_frames_and_read_actions(pool: Server) -> None:
    assert pool.url is not None
    examples = ROOT / "examples" / "python"
    command = [sys.executable, examples / "read_actions.py", pool.url, "p1"]
    with child(*command, stdout=subprocess.PIPE, env=environment()) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "listening\n"
        run(sys.executable, str(examples / "send_frames.py"), pool.url)
        lines = [reader.stdout.readline().split() for _ in range(30)]
    assert {line[2] for line in lines} == {"like"}
    assert sum(line[5] == "up" for line in lines) >= 2


CV2 = """
import time

import numpy as np

COLOR_BGR2RGB = 4


class VideoCapture:
    left = 30

    def __init__(self, number):
        assert number == 0

    def read(self):
        time.sleep(1 / 30)
        self.left -= 1
        return self.left >= 0, np.zeros((480, 640, 3), np.uint8)


def cvtColor(picture, code):
    return picture
"""
MEDIAPIPE = """
import json
import pathlib
from contextlib import nullcontext
from types import SimpleNamespace as Thing

HAND = json.loads(pathlib.Path(__file__).with_name("hands.json").read_text())["like"]
POINTS = [Thing(x=x, y=y, z=z) for x, y, z in HAND]
RESULT = Thing(hand_landmarks=[POINTS], handedness=[[Thing(category_name="Left")]])
LANDMARKER = Thing(detect_for_video=lambda image, now_ms: RESULT)
vision = Thing(
    HandLandmarkerOptions=Thing,
    RunningMode=Thing(VIDEO="video"),
    HandLandmarker=Thing(create_from_options=lambda options: nullcontext(LANDMARKER)),
)
tasks = Thing(vision=vision, BaseOptions=Thing)
Image = Thing
ImageFormat = Thing(SRGB=1)
"""


def test_webcam_example_prints_moves(pool: Server, tmp_path: Path) -> None:
    """OpenCV and MediaPipe are replaced by stubs, since they are not test dependencies."""
    assert pool.url is not None
    (tmp_path / "cv2.py").write_text(CV2)
    (tmp_path / "mediapipe.py").write_text(MEDIAPIPE)
    shutil.copy(ROOT / "examples" / "hands.json", tmp_path)
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "python" / "webcam.py"), pool.url],
        env={**environment(), "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "the camera gives no picture\n"
    assert done.stdout.splitlines()[0].startswith("up (like, ")
