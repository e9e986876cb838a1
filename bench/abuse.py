"""What one abusive client costs the other players of a gateway: the p99 of their replies.

Starts a server, a worker, a gateway and the abuser, a process of its own. Windows with it take turns with
windows in which a process that never touches the gateway is as busy: so the processor time that the abuser
takes, and other load on the machine, affect both. Two windows in a row are a pair, and the result is the
median over the pairs: of p99 without and with the abuser, and of the ratio within each pair. The processor
time of the gateway (`cpu`, as a share of one core) does not depend on what else runs on the machine.

    python bench/abuse.py --sockets 100 --fps 15 --window 3 --rounds 7
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

sys.path.insert(0, str(Path(__file__).parent))
from gateway import POSES, WARM_UP_S, Browser, _cpu_s, _shoot_all, running

from gesture_maze.embedded.server import redis_at
from gesture_maze.simulator.players import synthesize
from gesture_maze.wire.gestures import LABELS

ABUSER = "192.0.2.1"
AT_ONCE = 64
FRAME = struct.pack("<QqfI", 1, 0, 1.0, 1) + bytes(252)


class Flood(WSListener):
    """A socket that sends one message as fast as the connection accepts it, until it is closed."""

    def __init__(self, kind: WSMsgType, body: bytes) -> None:
        self._kind, self._body = kind, body
        self.ended = asyncio.Event()

    def on_ws_connected(self, transport: WSTransport) -> None:
        transport.send(WSMsgType.TEXT, b'{"type":"hello","name":"flood"}')
        asyncio.get_running_loop().call_soon(self._send, transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.CLOSE:
            transport.disconnect()

    def on_ws_disconnected(self, _transport: WSTransport) -> None:
        self.ended.set()

    def _send(self, transport: WSTransport) -> None:
        if not self.ended.is_set():
            for _ in range(50):
                transport.send(self._kind, self._body)
            asyncio.get_running_loop().call_soon(self._send, transport)


async def flood(address: str, kind: WSMsgType, body: bytes) -> None:
    headers = {"X-Forwarded-For": ABUSER}
    _, socket = await ws_connect(lambda: Flood(kind, body), f"ws://{address}/play", extra_headers=headers)
    await asyncio.wait_for(socket.ended.wait(), 30)  # type: ignore[attr-defined]


async def exchange(address: str, request: bytes) -> None:
    """Send a request on a new connection and read the response."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port), local_addr=("127.0.0.2", 0))
    try:
        writer.write(request)
        await writer.drain()
        await asyncio.wait_for(reader.read(65536), 2)
    finally:
        writer.close()


def request(line: str, body: bytes = b"", more: str = "") -> bytes:
    head = f"{line} HTTP/1.1\r\nHost: game\r\nX-Forwarded-For: {ABUSER}\r\nConnection: close\r\n{more}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


PREDICT = request("POST /predict", json.dumps({"landmarks": [[0.1 * n, 0.2] for n in range(21)]}).encode())
_UPGRADE = (
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
WATCH = request("GET /watch/stream")
UPGRADE = request("GET /play", more=_UPGRADE).replace(b"Connection: close", b"Connection: Upgrade")
HEADERS = request("GET /game", more="X-Long: " + "x" * 60_000 + "\r\n")


async def spin(_address: str) -> None:
    """Be busy for a while without touching the gateway."""
    begin_s = time.perf_counter()
    while time.perf_counter() - begin_s < 0.01:
        pass


KINDS: dict[str, Callable[[str], Awaitable[None]]] = {
    "frames": lambda address: flood(address, WSMsgType.BINARY, FRAME),
    "garbage": lambda address: flood(address, WSMsgType.TEXT, b"{" * 300),
    "starts": lambda address: flood(address, WSMsgType.TEXT, b'{"type":"start","size":"large"}'),
    "sockets opened": lambda address: exchange(address, UPGRADE),
    "/predict": lambda address: exchange(address, PREDICT),
    "headers": lambda address: exchange(address, HEADERS),
    "watch": lambda address: exchange(address, WATCH),
}


SOCKET_KINDS = ("frames", "garbage", "starts")


async def abuse(address: str, kind: str) -> None:
    work = KINDS.get(kind, spin)

    async def again() -> None:
        while True:
            with suppress(Exception):
                await work(address)
            await asyncio.sleep(0)

    await asyncio.gather(*(again() for _ in range(1 if kind in SOCKET_KINDS else AT_ONCE)))


async def measure(address: str, gateway: int, options: argparse.Namespace) -> dict[str, Any]:
    """Return p99 of the replies without and with each kind of abuse, from windows that take turns."""
    rng = np.random.default_rng(1)
    hands = synthesize(rng.choice([LABELS["like"], LABELS["fist"]], POSES), rng)
    bodies = [one.astype("<f4").tobytes() for one in hands.landmarks]
    waits_ms: list[float] = []
    players: list[Browser] = []
    for number in range(options.sockets):
        headers = {"X-Forwarded-For": f"10.0.{number // 250}.{number % 250 + 1}"}
        _, player = await ws_connect(
            lambda: Browser(waits_ms, bodies), f"ws://{address}/play", extra_headers=headers
        )
        players.append(player)  # type: ignore[arg-type]
    await asyncio.wait_for(asyncio.gather(*[one.welcome for one in players]), 20)
    await _shoot_all(players, options.fps, WARM_UP_S)
    found: dict[str, Any] = {}
    for kind in options.kinds.split(","):
        pairs = []
        for _ in range(options.rounds):
            pairs.append(
                [await _window(address, gateway, one, options, waits_ms, players) for one in ("spin", kind)]
            )
        p99, cpu, replies = (np.array([[window[at] for window in pair] for pair in pairs]) for at in range(3))
        found[kind] = {
            "replies": int(replies.sum()),
            "p99_ms": np.median(p99, axis=0).round(1).tolist(),
            "ratio": round(float(np.median(p99[:, 1] / p99[:, 0])), 2),
            "cpu": np.median(cpu, axis=0).round(3).tolist(),
            "pairs": p99.round(1).tolist(),
        }
        print(kind, found[kind], file=sys.stderr, flush=True)
    return found


async def _window(
    address: str,
    gateway: int,
    kind: str,
    options: argparse.Namespace,
    waits_ms: list[float],
    players: list[Browser],
) -> tuple[float, float, int]:
    """Return p99 in ms, the gateway's share of a core and the number of replies, under the load `kind`."""
    process = subprocess.Popen([sys.executable, __file__, "--abuse", kind, "--address", address])
    await asyncio.sleep(1.0)
    waits_ms.clear()
    used_s = _cpu_s(gateway)
    await _shoot_all(players, options.fps, options.window)
    cpu = (_cpu_s(gateway) - used_s) / options.window
    process.kill()
    process.wait()
    return float(np.quantile(waits_ms, 0.99)), cpu, len(waits_ms)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=200)
    parser.add_argument("--fps", type=float, default=15)
    parser.add_argument("--window", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--direct", action="store_true", help="No proxy: at most 64 sockets, of one address.")
    parser.add_argument("--abuse", choices=[*KINDS, "spin"], help=argparse.SUPPRESS)
    parser.add_argument("--address", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.abuse:
        uvloop.run(abuse(options.address, options.abuse))
        return
    proxy = [] if options.direct else ["--behind-proxy"]
    with (
        redis_at("embedded") as redis,
        running(["worker", "--metrics-port", "0", "--redis", redis], "partition=15 "),
        running(["gateway", "--redis", redis, "--port", "0", *proxy], r"http://(\S+)/game") as (
            address,
            gateway,
        ),
    ):
        time.sleep(0.5)
        result = uvloop.run(measure(address, gateway, options))
    print(json.dumps({"sockets": options.sockets, "fps": options.fps, "load": os.getloadavg()[0], **result}))


if __name__ == "__main__":
    main()
