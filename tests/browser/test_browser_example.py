"""examples/web: MediaPipe's results in a page become moves, through the JavaScript client."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gesture_maze.gateway.poses import hands
from tests.browser.conftest import Visit, picture
from tests.browser.scripted import CAMERA
from tests.support.gateway import serving
from tests.support.processes import Workers
from tests.support.servers import Server

ROOT = Path(__file__).parents[2]
TASKS = """
const hand = %s;
const point = ([x, y, z]) => ({ x, y, z, visibility: 0 });
export const FilesetResolver = { forVisionTasks: async () => ({}) };
export const HandLandmarker = {
  createFromOptions: async () => ({
    detectForVideo(video, nowMs) {
      if (!(video.videoWidth > 0 && nowMs > 0)) throw new Error("not a picture of a video");
      const handedness = [[{ index: 0, score: 0.98, categoryName: "Right", displayName: "Right" }]];
      return {
        landmarks: [hand.map(point)],
        worldLandmarks: [hand.map(([x, y, z]) => point([x / 9, y / 9, z / 9]))],
        handedness,
        handednesses: handedness,
      };
    },
  }),
};
"""
"""A module in the place of @mediapipe/tasks-vision: its results are shaped like a HandLandmarkerResult."""


@pytest.fixture
def site() -> Iterator[str]:
    """The address of a server of this repository's files, as the README starts one."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=ROOT))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_results_of_mediapipe_tasks_in_a_page_become_moves(
    visit: Visit, site: str, redis_server: Server, workers: Workers
) -> None:
    page = visit("/examples/web/README.md", site)
    page.route(
        "**/vision_bundle.mjs",
        lambda route: route.fulfill(
            body=TASKS % json.dumps(hands()["dislike"]),
            content_type="text/javascript",
            headers={"Access-Control-Allow-Origin": "*"},
        ),
    )
    page.add_init_script(CAMERA)
    with serving(str(redis_server.url), origins=(f"http://{site}",)) as gateway:
        page.goto(f"http://{site}/examples/web/?gateway=ws://{gateway.address}/play")
        shown = "document.getElementById('move').textContent"
        page.wait_for_function(f"{shown} === 'down (dislike)'", timeout=20_000)
        picture(page, "example-web")
    page.wait_for_function("document.getElementById('state').textContent.includes('No connection')")
