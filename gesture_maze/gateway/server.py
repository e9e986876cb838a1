"""`maze gateway`: the application on a port, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from gesture_maze.gateway.app import build
from gesture_maze.gateway.connection import Connection
from gesture_maze.gateway.information import readiness
from gesture_maze.gateway.logs import open_log
from gesture_maze.gateway.settings import Settings
from gesture_maze.gateway.upgrade import protocol
from gesture_maze.producer import AsyncFrameProducer, Backpressure, ConnectionLost
from gesture_maze.producer.address import without_password
from gesture_maze.version import __version__
from gesture_maze.wire.errors import SettingsError
from gesture_maze.worker.health import HealthServer

GRACE_S = 2
"""Longest wait for requests that are being answered."""


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C. Redis may come later: until then the gateway is not ready.

    Raises:
        SettingsError: a port is taken, a certificate or key file cannot be used, or Redis refuses the
        gateway.
    """
    log = open_log(settings.log_format, settings.log_level)
    app = build(settings, log)
    config = configuration(settings, app)
    asyncio.run(_try(settings.redis))
    with listen(settings) as listener, health(settings, app) as health_port:
        log.info(
            "started",
            version=__version__,
            game=f"{_url(settings, listener)}/game",
            metrics=_metrics_url(settings, listener, health_port),
            redis=without_password(settings.redis),
        )
        # freeze existing objects, so that later collections, which delay all players, need not scan them
        gc.collect()
        gc.freeze()
        # when uvicorn is done, it raises the signal that stopped it again: ignored, so that the exit code is
        # 0
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _ignore)
        uvicorn.Server(config).run(sockets=[listener])
    log.info("stopped")


async def _try(redis: str) -> None:
    """Check that Redis accepts the gateway, before anything is started.

    Raises:
        SettingsError: Redis refuses the gateway, or holds another version of the wire.
    """
    async with AsyncFrameProducer(redis, name="maze-gateway") as producer:
        try:
            await producer.connect()
        except (ConnectionLost, Backpressure):
            return  # the gateway logs it, and that it waits for workers, when it subscribes


def _url(settings: Settings, listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"{'https' if settings.tls.wanted else 'http'}://{_shown(host)}:{port}"


def _metrics_url(settings: Settings, listener: socket.socket, health_port: int | None) -> str:
    if health_port is None:
        return f"{_url(settings, listener)}/metrics"
    return f"http://{_shown(settings.metrics_host)}:{health_port}/metrics"


def _shown(host: str) -> str:
    """Return a host as part of a URL that can be opened on this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - only compared
    return f"[{host}]" if ":" in host else host


def configuration(settings: Settings, app: FastAPI) -> uvicorn.Config:
    """Return uvicorn's configuration.

    Raises:
        SettingsError: a certificate or key file cannot be used.
    """
    context = settings.tls.context()
    factory = None if context is None else _made(context)
    return uvicorn.Config(
        app,
        http=Connection,
        ws=protocol(),
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # uvicorn would trust every process of this machine; see gesture_maze.gateway.forwarded
        proxy_headers=False,
        ssl_context_factory=factory,
        timeout_graceful_shutdown=GRACE_S,
    )


def _made(
    context: ssl.SSLContext,
) -> Callable[[uvicorn.Config, Callable[[], ssl.SSLContext]], ssl.SSLContext]:
    return lambda _config, _default: context


@contextmanager
def health(settings: Settings, app: FastAPI) -> Iterator[int | None]:
    """Serve the metrics port, if one is set, and yield its number.

    Raises:
        SettingsError: the port is taken.
    """
    if settings.metrics_port is None:
        yield None
        return
    live, ready = app.state.pulse.live, lambda: readiness(app)
    server = HealthServer(app.state.registry, live, ready, settings.metrics_host, settings.metrics_port)
    try:
        yield server.port
    finally:
        server.close()


def _ignore(_number: int, _frame: object) -> None:
    """Ignore a signal: the server has stopped already."""


def listen(settings: Settings) -> socket.socket:
    """Return the listening socket, of IPv4 or IPv6; `::` listens on both.

    Raises:
        SettingsError: the port is taken, or the host is not one of this machine.
    """
    try:
        found = socket.getaddrinfo(
            settings.host or None, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, *_, address = found[0]
        dual = address[0] == "::" and socket.has_dualstack_ipv6()
        return socket.create_server(address[:2], family=family, backlog=1024, dualstack_ipv6=dual)
    except OSError as error:
        message = f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; try --port 0"
        raise SettingsError("settings", message) from None
