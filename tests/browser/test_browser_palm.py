"""The held palm of the page, frame by frame and without a browser."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers import absent

MODULE = Path(__file__).parents[2] / "gesture_maze" / "page" / "js" / "palm.js"
HOLD_MS = 1200
PROGRAM = """
import { Palm } from %s;
const [holdMs, sequences] = JSON.parse(await new Response(process.stdin).text());
const signs = Object.entries(sequences).map(([name, replies]) => {
  const palm = new Palm();
  return [name, replies.filter((reply) => palm.add(reply, holdMs)).map((reply) => reply.t)];
});
process.stdout.write(JSON.stringify(Object.fromEntries(signs)));
"""
EVERY_MS = (16, 33, 125, 200, 400)


def reply(t: int, gesture: str | None = "palm", move: str | None = None) -> dict[str, Any]:
    return {"t": t, "gesture": gesture, "confidence": 0.95 if gesture else 0, "move": move}


SEQUENCES = {
    **{f"every {every_ms} ms": [reply(t) for t in range(0, 5000, every_ms)] for every_ms in EVERY_MS},
    "lost frames": [reply(t) for t in range(0, 3000, 33) if not 400 < t < 750],
    "interrupted": [reply(t, "like" if t % 1000 < 200 else "palm") for t in range(0, 6000, 33)],
    "interrupted at 8 fps": [reply(t, "like" if t % 1000 == 0 else "palm") for t in range(0, 6000, 125)],
    "silence": [reply(t) for t in (*range(0, 1000, 33), *range(1600, 2600, 33))],
    "after a move": [reply(0, "like", "up"), *(reply(t) for t in range(200, 4000, 33))],
}


@pytest.fixture(scope="module")
def signs() -> dict[str, list[int]]:
    """The times of the frames that complete the sign, in ms, for each of `SEQUENCES`."""
    if shutil.which("node") is None:
        absent("node")
    found = subprocess.run(
        ["node", "--input-type=module", "-e", PROGRAM % json.dumps(MODULE.as_uri())],
        input=json.dumps([HOLD_MS, SEQUENCES]), capture_output=True, text=True, timeout=40, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    times: dict[str, list[int]] = json.loads(found.stdout)
    return times


@pytest.mark.parametrize("every_ms", EVERY_MS)
def test_palm_held_at_any_frame_rate_gives_the_sign_once(signs: dict[str, list[int]], every_ms: int) -> None:
    (at,) = signs[f"every {every_ms} ms"]
    assert HOLD_MS <= at < HOLD_MS + every_ms


def test_palm_with_lost_frames_gives_the_sign_in_time(signs: dict[str, list[int]]) -> None:
    (at,) = signs["lost frames"]
    assert HOLD_MS <= at < HOLD_MS + 33


@pytest.mark.parametrize("name", ["interrupted", "interrupted at 8 fps", "silence"])
def test_palm_that_is_not_held_gives_no_sign(signs: dict[str, list[int]], name: str) -> None:
    assert signs[name] == []


def test_palm_right_after_a_move_waits(signs: dict[str, list[int]]) -> None:
    (at,) = signs["after a move"]
    assert at >= 700 + HOLD_MS
