"""A scripted camera and hand tracker, in a real browser and through the page's own code."""

from __future__ import annotations

import struct
from typing import Any

from gesture_maze.gateway.poses import hands

CAMERA = """
window.fake = { fault: null, wait: null, asked: 0, stopped: 0, play: null };
const canvas = document.createElement("canvas");
[canvas.width, canvas.height] = [640, 480];
const brush = canvas.getContext("2d");
setInterval(() => {
  if (fake.frozen) return;
  brush.fillStyle = `rgb(150, 150, ${Date.now() % 100})`;
  brush.fillRect(0, 0, canvas.width, canvas.height);
}, 33);
fake.turn = () => ([canvas.width, canvas.height] = [canvas.height, canvas.width]);
navigator.mediaDevices.getUserMedia = async () => {
  fake.asked++;
  if (fake.wait) await fake.wait;
  if (fake.fault) throw new DOMException("as the test says", fake.fault);
  const stream = canvas.captureStream(30);
  fake.track = stream.getVideoTracks()[0];
  const stop = fake.track.stop.bind(fake.track);
  fake.track.stop = () => (fake.stopped++, stop());
  return stream;
};
fake.unplug = () => { fake.track.dispatchEvent(new Event("ended")); };
const play = HTMLMediaElement.prototype.play;
HTMLMediaElement.prototype.play = function () {
  return fake.play ? Promise.reject(new DOMException("as the test says", fake.play)) : play.call(this);
};
"""
"""A camera of even grey. `fake.fault` is the next error of `getUserMedia`, `fake.play` that of `play()`."""

TRACKER = """
self.Hands = class {
  setOptions(options) { this.options = options; }
  onResults(call) { this.call = call; }
  async initialize() { this.canvas = document.createElement("canvas"); }
  async send({ image }) {
    const mode = await (await fetch(new URL("/tracker-mode", location.href))).json();
    if (mode.fault === "reject") throw new Error("as the test says");
    if (mode.fault === "lost") this.canvas.dispatchEvent(new Event("webglcontextlost"));
    this.call({
      multiHandLandmarks: mode.hands.map((hand) => hand.map(([x, y, z]) => ({ x, y, z }))),
      multiHandedness: mode.hands.map(() => ({ label: "Left" })),
    });
  }
  close() {}
};
"""


def moved_by(hand: list[list[float]], x: float, y: float = 0.0, scale: float = 1.0) -> list[list[float]]:
    """Return the hand elsewhere in the picture, and smaller or larger."""
    return [[0.5 + (px - 0.5) * scale + x, 0.5 + (py - 0.5) * scale + y, pz * scale] for px, py, pz in hand]


class Tracker:
    """Serves a scripted tracker in the place of MediaPipe's.

    Attributes:
        mode: `fault` is null, "reject" or "lost"; `hands` are those that it finds.
        loads: how often its script was loaded.
    """

    def __init__(self, context: Any) -> None:
        self.mode: dict[str, Any] = {"fault": None, "hands": [hands()["rest"]]}
        self.loads = 0
        self.missing = False
        context.route("**/hands.js", self._script)
        context.route("**/tracker-mode", lambda route: route.fulfill(json=self.mode))

    def _script(self, route: Any) -> None:
        self.loads += 1
        if self.missing:
            route.abort()
        else:
            headers = {"Access-Control-Allow-Origin": "*"}
            route.fulfill(body=TRACKER, content_type="text/javascript", headers=headers)

    def show(self, *gestures: str) -> None:
        """Set the hands that the tracker finds; none without arguments."""
        self.mode = {"fault": None, "hands": [hands()[one] for one in gestures]}


def frames_of(page: Any) -> list[dict[str, Any]]:
    """Return a list that gathers the packed frames that the page sends over sockets opened from now on."""
    found: list[dict[str, Any]] = []

    def note(payload: Any) -> None:
        if isinstance(payload, bytes) and len(payload) == 276:
            seq, captured, aspect, flags = struct.unpack_from("<QqfI", payload)
            x = struct.unpack_from("<f", payload, 24)[0]
            found.append({"seq": seq, "t": captured, "aspect": aspect, "hand": bool(flags & 1), "x": x})

    page.on("websocket", lambda socket: socket.on("framesent", note))
    return found
