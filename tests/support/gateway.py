"""A gateway in a thread of the test process, and clients for it."""

from __future__ import annotations

import json
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from gesture_maze.gateway.app import build
from gesture_maze.gateway.poses import hands
from gesture_maze.gateway.server import configuration, health, listen
from gesture_maze.gateway.settings import Settings
from gesture_maze.producer import FrameProducer, MazeError
from tests.support.servers import wait_until
from tests.support.tls_carrier import over_tls

TRIES = 5
TRY_S = 1.5
SECRET = "a secret of the tests, long enough"


@dataclass
class Served:
    """A running gateway.

    Attributes:
        address: host and port.
        app: the application itself.
        http: a client for it.
        metrics: the URL of its port for operators, if it has one.
        trust: the TLS context of its clients.
    """

    address: str
    app: Any
    http: httpx.Client
    metrics: str | None = None
    trust: ssl.SSLContext | None = None

    def count(self, name: str, **labels: str) -> float:
        """Return the value of a metric."""
        return self.app.state.room.metrics.registry.get_sample_value(name, labels) or 0.0

    def refused(self, reason: str) -> float:
        """Return the number of refusals for this reason."""
        return self.count("maze_gateway_refused_total", reason=reason)

    def play(self, **hello: Any) -> Player:
        """Return a player who received a welcome."""
        player = self.socket()
        player.hello(**hello)
        return player

    def socket(self, **headers: str) -> Player:
        """Return a socket that has sent nothing yet."""
        return Player(self.connected("/play", **headers))

    def connected(self, path: str, **headers: str) -> ClientConnection:
        """Open a WebSocket at a path."""
        options: dict[str, Any] = {"additional_headers": headers, "compression": None, "open_timeout": 5}
        if self.trust is not None:
            host, _, port = self.address.rpartition(":")
            options["sock"] = over_tls(self.trust, host.strip("[]"), int(port))
        return connect(f"ws://{self.address}{path}", **options).__enter__()


@contextmanager
def serving(
    redis: str, trust: ssl.SSLContext | None = None, *, wait_ready: bool = True, **changed: Any
) -> Iterator[Served]:
    """Run a gateway on a free port, with https if the clients have a TLS context."""
    # a gateway waits for a pool; some tests run without one
    with suppress(MazeError), FrameProducer(redis, partitions=16, retries=0) as producer:
        producer.connect()
    settings = Settings.of(**{"redis": redis, "port": 0, "secret": SECRET} | changed)
    app = build(settings)
    server = uvicorn.Server(configuration(settings, app))
    with listen(settings) as listener, health(settings, app) as health_port:
        metrics = None if health_port is None else f"http://127.0.0.1:{health_port}"
        host = "[::1]" if ":" in settings.host else "127.0.0.1"
        address = f"{host}:{listener.getsockname()[1]}"
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            url = f"{'https' if trust else 'http'}://{address}"
            with httpx.Client(base_url=url, timeout=10, verify=trust or True) as client:
                wait_until(lambda: server.started or not thread.is_alive(), 10)
                if wait_ready:
                    wait_until(lambda: client.get("/readyz").status_code == 200, 10)
                yield Served(address, app, client, metrics, trust)
        finally:
            server.should_exit = True
            thread.join(10)


def packed(seq: int, gesture: str = "like", t: int | None = None, **changed: Any) -> bytes:
    """Return a packed frame of 276 bytes."""
    points = [number for point in changed.get("points", hands()[gesture]) for number in point]
    now_ms = time.time_ns() // 1_000_000 if t is None else t
    head = struct.pack("<QqfI", seq, now_ms, changed.get("aspect", 4 / 3), changed.get("flags", 1))
    return head + struct.pack("<63f", *points)


@dataclass
class Player:
    """A player on one socket."""

    socket: ClientConnection
    welcome: dict[str, Any] = field(default_factory=dict)
    seq: int = 0

    def hello(self, **values: Any) -> dict[str, Any]:
        """Send a hello and return the welcome or the refusal."""
        self.send_message({"type": "hello", "name": "tester", **values})
        self.welcome = self.receive(lambda message: message.get("type") in ("welcome", "refused"))
        self.seq = self.welcome.get("seq", 0)
        return self.welcome

    def send_message(self, message: Any) -> None:
        """Send a text as it is, or another value as JSON."""
        self.socket.send(message if isinstance(message, str) else json.dumps(message))

    def walk(self, *ways: str) -> None:
        """Walk by keyboard at the highest human speed."""
        for way in ways:
            self.send_message({"type": "key", "move": way})
            time.sleep(0.06)

    def show(self, gesture: str = "like", **changed: Any) -> int:
        """Send a packed frame and return its seq."""
        self.seq += 1
        self.socket.send(packed(self.seq, gesture, **changed))
        return self.seq

    def receive(self, wanted: Callable[[dict[str, Any]], bool], timeout_s: float = 20.0) -> dict[str, Any]:
        """Return the next message that matches; skip others."""
        end_s = time.monotonic() + timeout_s
        while True:
            message = json.loads(self.socket.recv(max(end_s - time.monotonic(), 0.001)))
            if wanted(message):
                return dict(message)

    def receive_type(self, kind: str) -> dict[str, Any]:
        """Return the next message of this type."""
        return self.receive(lambda message: message.get("type") == kind)

    def reply_to(self, seq: int) -> dict[str, Any]:
        """Return the worker's reply to this frame."""
        return self.receive(lambda message: message.get("v") == 1 and message["seq"] == seq)

    def still_plays(self) -> bool:
        """Return whether frames of this player are answered; retry, since a frame may become stale."""
        for _ in range(TRIES):
            seq = self.show("dislike")
            with suppress(TimeoutError):
                reply = self.receive(lambda one, seq=seq: one.get("seq") == seq and "v" in one, TRY_S)
                return bool(reply["gesture"] == "dislike")
        return False

    def closed(self, timeout_s: float = 20.0) -> tuple[int, str | None]:
        """Wait until the socket is closed; return its code and the reason of the last refusal."""
        reason = None
        end_s = time.monotonic() + timeout_s
        try:
            while True:
                message = json.loads(self.socket.recv(max(end_s - time.monotonic(), 0.001)))
                reason = message.get("reason", reason)
        except ConnectionClosed:
            assert self.socket.close_code is not None
            return self.socket.close_code, reason

    def close(self) -> None:
        """Close the socket."""
        self.socket.__exit__(None, None, None)

    def __enter__(self) -> Player:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
