"""The latency of the page in a real browser, from hand to screen, by stage.

Starts a server, a worker and a gateway of its own; needs chromium and Playwright.

    python bench/page.py --input simulated --presses 30
    python bench/page.py --input camera --clip CLIP.mjpeg --seconds 20

`--checkout FOLDER` measures the worker, the gateway and the page of another commit:

    git worktree add /tmp/before 5303f39 && python bench/page.py --checkout /tmp/before
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright
from servers import redis_server

from gesture_maze.game.mazes import generate

ROOT = Path(__file__).parents[1]
START_S = 30
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",
    "--no-first-run",
    "--disable-background-networking",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)
KEYS = {"up": "w", "down": "s", "left": "a", "right": "d"}
PROBE = """
window.probe = { sent: [], replies: [], at: [], painted: [], keys: [], gaps: [], frames: [] };
addEventListener("keydown", () => probe.keys.push(performance.now()), true);
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (data) {
  if (data instanceof ArrayBuffer) {
    const view = new DataView(data);
    const [seq, captured] = [Number(view.getBigUint64(0, true)), Number(view.getBigInt64(8, true))];
    probe.sent.push([seq, captured, Date.now(), performance.now()]);
  }
  if (!this.probed) {
    this.probed = true;
    this.addEventListener("message", (event) => {
      const message = JSON.parse(event.data);
      if (message.v) {
        probe.replies.push([message.seq, message.t, Date.now(), performance.now(), message.move]);
      }
      if (message.type === "at") {
        probe.at.push(performance.now());
        requestAnimationFrame(() => {
          const channel = new MessageChannel();
          channel.port1.onmessage = () => probe.painted.push(performance.now());
          channel.port2.postMessage(0);
        });
      }
    });
  }
  return send.call(this, data);
};
const ask = HTMLVideoElement.prototype.requestVideoFrameCallback;
HTMLVideoElement.prototype.requestVideoFrameCallback = function (callback) {
  return ask.call(this, (now, news) => {
    probe.frames.push([now, news.presentedFrames, news.captureTime ?? 0, performance.now()]);
    callback(now, news);
  });
};
let last = performance.now();
(function tick() {
  requestAnimationFrame(() => {
    const now = performance.now();
    probe.gaps.push(now - last);
    last = now;
    tick();
  });
})();
"""


def quantiles(values: Any) -> dict[str, float]:
    """Return n, median, 95th percentile and largest of `values`, ms."""
    found = np.asarray(list(values), float)
    if not len(found):
        return {"n": 0}
    p50, p95 = np.quantile(found, [0.5, 0.95])
    return {"n": len(found), "p50": round(p50, 1), "p95": round(p95, 1), "max": round(found.max(), 1)}


def press_keys(page: Any, count: int, seed: int) -> list[float]:
    """Pose the simulated hand for the way out, one move at a time, and return key-to-paint times in ms."""
    maze = generate(14, 10, seed)
    waits = []
    for _ in range(count):
        cell = int(page.get_attribute("#maze", "data-cell"))
        way = maze.way_out[cell]
        if way is None:
            break
        before = page.evaluate("[probe.keys.length, probe.painted.length]")
        page.keyboard.down(KEYS[way])
        page.wait_for_function("n => probe.painted.length > n", arg=before[1])
        page.keyboard.up(KEYS[way])
        pressed, painted = page.evaluate("([k, n]) => [probe.keys[k], probe.painted[n]]", before)
        waits.append(painted - pressed)
        page.wait_for_timeout(700 + 37 * (len(waits) % 5))
    return waits


def summary(probe: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Return the times of the probe by stage, in ms."""
    sent = {seq: (captured, wall, at) for seq, captured, wall, at in probe["sent"]}
    replies = [row for row in probe["replies"] if row[0] in sent]
    gaps = np.array(probe["gaps"][30:])
    frames = probe["frames"]
    return {
        "frames_per_s": round(len(sent) / seconds, 1),
        "captured_to_sent": quantiles(sent[row[0]][1] - row[1] for row in replies),
        "sent_to_reply": quantiles(row[3] - sent[row[0]][2] for row in replies),
        "captured_to_reply": quantiles(row[2] - row[1] for row in replies),
        "at_to_paint": quantiles(np.array(probe["painted"]) - np.array(probe["at"][: len(probe["painted"])])),
        "animation_frames_per_s": round(1000 / gaps.mean(), 1) if len(gaps) else 0,
        "animation_gap": quantiles(gaps),
        "animation_frames_dropped": round(float((gaps > 25).mean()), 3) if len(gaps) else 0,
        "video_frames": frames[-1][1] - frames[0][1] + 1 if frames else 0,
        "video_callbacks": len(frames),
    }


def measure(page: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Play and return the figures."""
    page.wait_for_selector('#state[data-state="playing"], #state[data-state="no-hand"]', timeout=60_000)
    page.wait_for_timeout(3000)
    page.evaluate("Object.values(probe).forEach((list) => list.length = 0)")
    began = time.monotonic()
    waits = []
    if options.input == "simulated":
        waits = press_keys(page, options.presses, options.seed)
    else:
        page.wait_for_timeout(options.seconds * 1000)
    found = summary(page.evaluate("probe"), time.monotonic() - began)
    return found | ({"key_to_paint": quantiles(waits)} if waits else {})


@contextmanager
def running(checkout: Path, command: list[str], pattern: str) -> Iterator[str]:
    """Run a `maze` command of a checkout and yield the match of `pattern` in its log."""
    package = "gesture_maze" if (checkout / "gesture_maze").is_dir() else "maze"
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    with tempfile.NamedTemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", package, *command], stdout=log, stderr=log, cwd=checkout, env=environment
        )
        try:
            yield _logged(process, Path(log.name), pattern)
        finally:
            process.terminate()
            process.wait(15)


def _logged(process: subprocess.Popen[bytes], log: Path, pattern: str) -> str:
    """Wait until `pattern` is in the log and return its first match."""
    end_s = time.monotonic() + START_S
    while time.monotonic() < end_s and process.poll() is None:
        if found := re.search(pattern, log.read_text()):
            return found[1]
        time.sleep(0.05)
    sys.exit(f"the command did not log {pattern!r}:\n{log.read_text()}")


def main() -> None:
    """Start everything, measure, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", choices=["simulated", "camera"], default="simulated")
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--presses", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--query", default="", help="added to the page's address")
    parser.add_argument("--checkout", type=Path, default=ROOT, help="checkout to measure")
    options = parser.parse_args()
    flags = [*FLAGS, *([f"--use-file-for-fake-video-capture={options.clip}"] if options.clip else [])]
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server())
        pool = ["worker", "--redis", redis, "--metrics-port", "0"]
        stack.enter_context(running(options.checkout, pool, "(partition=15) "))
        gateway = ["gateway", "--redis", redis, "--port", "0"]
        address = stack.enter_context(running(options.checkout, gateway, r"http://(\S+)/game"))
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page = browser.new_page(viewport={"width": 1180, "height": 860})
        page.add_init_script(PROBE)
        query = f"seed={options.seed}&size=large&input={options.input}&cpu&model=0{options.query}"
        page.goto(f"http://{address}/game?{query}")
        print(json.dumps(measure(page, options), indent=1))
        browser.close()


if __name__ == "__main__":
    main()
