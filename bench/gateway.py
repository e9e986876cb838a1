"""The latency of frames from many sockets through one gateway.

Starts a server, workers and a gateway. This process acts as the browsers.

    python bench/gateway.py --sockets 1000 --fps 15 --seconds 10
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from gesture_maze.embedded.server import redis_at
from gesture_maze.simulator.players import synthesize
from gesture_maze.wire.gestures import LABELS

GROUPS = 40
"""Groups of sockets that send in turn, because cameras are not synchronised."""
POSES = 64
WARM_UP_S = 3.0


class Browser(WSListener):
    """One player, who sends packed frames and measures the time to their replies."""

    def __init__(self, waits_ms: list[float], bodies: list[bytes]) -> None:
        self._waits_ms = waits_ms
        self._bodies = bodies
        self._sent_s: dict[int, float] = {}
        self._seq = 0
        self.transport: Any = None
        self.welcome = asyncio.get_running_loop().create_future()
        self.sent = self.answered = 0
        self.refused = ""

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        transport.send(WSMsgType.TEXT, b'{"type":"hello","name":"bench"}')

    def on_ws_frame(self, _transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is not WSMsgType.TEXT:
            return
        now_s = time.perf_counter()
        answer = json.loads(frame.get_payload_as_bytes())
        sent_s = self._sent_s.pop(answer.get("seq", -1), None)
        if sent_s is not None and "gesture" in answer:
            self._waits_ms.append((now_s - sent_s) * 1000)
            self.answered += 1
        elif answer.get("type") == "welcome":
            self._seq = answer["seq"]
            self.welcome.set_result(None)
        elif answer.get("type") == "refused":
            self.refused = answer["reason"]

    def shoot(self) -> None:
        """Send a frame."""
        self._seq += 1
        self.sent += 1
        self._sent_s[self._seq] = time.perf_counter()
        head = struct.pack("<QqfI", self._seq, time.time_ns() // 1_000_000, 4 / 3, 1)
        self.transport.send(WSMsgType.BINARY, head + self._bodies[self._seq % POSES])


@contextmanager
def running(command: list[str], pattern: str) -> Iterator[tuple[str, int]]:
    """Run a `maze` command and yield the match of `pattern` in its log, and its pid."""
    with tempfile.NamedTemporaryFile("w+") as log:
        process = subprocess.Popen([sys.executable, "-m", "gesture_maze", *command], stdout=log, stderr=log)
        try:
            yield _logged(process, Path(log.name), pattern), process.pid
        finally:
            process.terminate()
            process.wait(15)


def _logged(process: subprocess.Popen[bytes], log: Path, pattern: str) -> str:
    """Wait until `pattern` is in the log and return its first match."""
    for _ in range(400):
        found = re.findall(pattern, log.read_text())
        if found:
            return str(found[0])
        if process.poll() is not None:
            break
        time.sleep(0.05)
    sys.exit(f"the command did not log {pattern!r}:\n{log.read_text()}")


async def play(url: str, sockets: int, fps: float, seconds: float, pids: dict[str, int]) -> dict[str, Any]:
    """Connect, warm up, measure and return the figures."""
    rng = np.random.default_rng(1)
    hands = synthesize(rng.choice([LABELS["like"], LABELS["fist"]], POSES), rng)
    bodies = [one.astype("<f4").tobytes() for one in hands.landmarks]
    waits_ms: list[float] = []
    players: list[Browser] = []
    for begin in range(0, sockets, 50):
        made = [
            ws_connect(lambda: Browser(waits_ms, bodies), url) for _ in range(begin, min(begin + 50, sockets))
        ]
        group: list[Any] = [browser for _, browser in await asyncio.gather(*made)]
        await asyncio.wait_for(asyncio.gather(*[one.welcome for one in group]), 10)
        players += group
    await _shoot_all(players, fps, WARM_UP_S)
    waits_ms.clear()
    before = sum(one.sent for one in players), sum(one.answered for one in players)
    used_s = {name: _cpu_s(pid) for name, pid in pids.items()}
    await _shoot_all(players, fps, seconds)
    cpu = {name: round((_cpu_s(pid) - used_s[name]) / seconds, 2) for name, pid in pids.items()}
    sent, answered = (
        sum(one.sent for one in players) - before[0],
        sum(one.answered for one in players) - before[1],
    )
    p50, p90, p99, p999 = np.quantile(waits_ms, [0.5, 0.9, 0.99, 0.999]).round(1).tolist()
    per_frame_us = round(cpu["gateway"] * seconds / max(answered, 1) * 1e6, 1)
    return {
        "sockets": sockets, "fps": fps, "seconds": seconds, "sent": sent, "answered": answered,
        "frames_per_s": round(sent / seconds), "p50_ms": p50, "p90_ms": p90, "p99_ms": p99, "p999_ms": p999,
        "refused": sorted({one.refused for one in players} - {""}), "cpu": cpu,
        "gateway_us_per_frame": per_frame_us,
    }  # fmt: skip


def _cpu_s(pid: int) -> float:
    """Return the processor time of a process so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _shoot_all(players: list[Browser], fps: float, seconds: float) -> None:
    clock = asyncio.get_running_loop().time
    groups = [players[at::GROUPS] for at in range(GROUPS)]
    begin_s = clock()
    for turn in range(round(seconds * fps * GROUPS)):
        await asyncio.sleep(max(begin_s + turn / fps / GROUPS - clock(), 0))
        for player in groups[turn % GROUPS]:
            player.shoot()
    await asyncio.sleep(0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--fps", type=float, default=15)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    many = ["--sessions-per-address", "100000", "--max-sessions", "100000", "--port", "0"]
    pool = ["worker", "--metrics-port", "0", "--processes", str(options.workers)]
    with (
        redis_at("embedded") as redis,
        running([*pool, "--redis", redis], "partition=15 ") as (_, worker),
        running(["gateway", "--redis", redis, *many], r"http://(\S+)/game") as (address, gateway),
    ):
        time.sleep(0.5)
        pids = {"gateway": gateway, "worker": worker, "client": os.getpid()}
        url = f"ws://{address}/play"
        result = uvloop.run(play(url, options.sockets, options.fps, options.seconds, pids))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
