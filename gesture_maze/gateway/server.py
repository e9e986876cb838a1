"""`maze gateway`: the application on a port, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from gesture_maze.gateway.app import build, readiness
from gesture_maze.gateway.logs import open_log
from gesture_maze.gateway.settings import Settings
from gesture_maze.gateway.upgrade import protocol
from gesture_maze.producer import AsyncFrameProducer
from gesture_maze.wire.errors import SettingsError
from gesture_maze.worker.health import HealthServer

GRACE_S = 2
"""Longest wait for requests that are being answered."""


def run(settings: Settings) -> None:
    """Serve until told to stop.

    Raises:
        SettingsError: a port is taken, or a file of TLS cannot be used.
        ConnectionLost: Redis cannot be reached.
    """
    app = build(settings)
    config = configuration(settings, app)
    asyncio.run(_reach(settings.redis))
    open_log(settings.log_format, settings.log_level)
    with listen(settings) as listener, health(settings, app) as health_port:
        host, port = listener.getsockname()[:2]
        shown = "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104 - only compared
        scheme = "https" if settings.tls.wanted else "http"
        log = logging.getLogger("maze.gateway")
        log.warning("game at %s://%s:%d/game", scheme, shown, port)
        if health_port is not None:
            log.warning("metrics at http://%s:%d/metrics", settings.metrics_host, health_port)
        # uvicorn raises the signal that stopped it once more when it is done; ours ends in exit code 0
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _nothing_more)
        uvicorn.Server(config).run(sockets=[listener])


async def _reach(redis: str) -> None:
    """Try Redis before the server does, which would show its fault as a traceback."""
    async with AsyncFrameProducer(redis, name="maze-gateway") as producer:
        await producer.connect()


def configuration(settings: Settings, app: FastAPI) -> uvicorn.Config:
    """How uvicorn serves the application.

    Raises:
        SettingsError: a file of TLS cannot be used.
    """
    context = settings.tls.context()
    factory = None if context is None else _made(context)
    return uvicorn.Config(
        app,
        ws=protocol(),
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # it would believe anybody on this machine; see gesture_maze.gateway.forwarded
        proxy_headers=False,
        ssl_context_factory=factory,
        timeout_graceful_shutdown=GRACE_S,
        h11_max_incomplete_event_size=16 * 1024,
    )


def _made(
    context: ssl.SSLContext,
) -> Callable[[uvicorn.Config, Callable[[], ssl.SSLContext]], ssl.SSLContext]:
    return lambda _config, _default: context


@contextmanager
def health(settings: Settings, app: FastAPI) -> Iterator[int | None]:
    """The port for operators, if there is to be one; which it is.

    Raises:
        SettingsError: it is taken.
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


def _nothing_more(_number: int, _frame: object) -> None:
    """The server has stopped already."""


def listen(settings: Settings) -> socket.socket:
    """The port, taken.

    Raises:
        SettingsError: somebody else has it.
    """
    try:
        return socket.create_server((settings.host, settings.port), backlog=1024)
    except OSError as error:
        message = f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; try --port 0"
        raise SettingsError("settings", message) from None
