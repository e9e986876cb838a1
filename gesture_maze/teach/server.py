"""`maze teach`: the page on a loopback port, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import secrets
import signal
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from gesture_maze.embedded.server import EMBEDDED, redis_at
from gesture_maze.gateway.app import build as build_gateway
from gesture_maze.gateway.logs import open_log
from gesture_maze.gateway.server import configuration, listen
from gesture_maze.gateway.settings import Settings
from gesture_maze.producer import FrameProducer
from gesture_maze.teach.classroom import Classroom
from gesture_maze.teach.guard import PAGE, OwnPageOnly
from gesture_maze.teach.routes import Stage, build
from gesture_maze.teach.stage import PoolStage
from gesture_maze.wire.keys import DEFAULT_PARTITIONS

HOST: Final = "127.0.0.1"
REQUESTS_PER_S: Final = 1000
"""High limits, because the page loads many files and polls often, and no other client passes the guard."""


@dataclass(frozen=True, slots=True)
class Options:
    """Where the takes are, the base, and the pool to ship to.

    Attributes:
        folder: of the takes.
        base: see `teach.base.load_base`.
        redis: the pool that models are shipped to, and whose champion may be the base; None for no pool.
        port: 0 for a free one.
    """

    folder: Path
    base: str
    redis: str | None
    port: int


def front(room: Classroom, stage: Stage, settings: Settings, token: str) -> ASGIApp:
    """Return the application that serves the page and a gateway, to the page alone."""
    gateway = build_gateway(settings)
    teaching = build(room, stage)

    async def both(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        mine = scope["type"] == "http" and (path == PAGE or path.startswith(f"{PAGE}/"))
        await (teaching if mine else gateway)(scope, receive, send)

    return OwnPageOnly(both, token)


def run(options: Options, show: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Args:
        options: see `Options`.
        show: called with the address to open.

    Raises:
        SettingsError: the port is taken, or the folder cannot be used.
        ModelError: the base cannot be taught.
    """
    open_log("human", "warning")
    room = Classroom.open(options.folder, options.base, options.redis)
    token = secrets.token_urlsafe(18)
    with (
        tempfile.TemporaryDirectory(prefix="gesture-maze-teach-") as private,
        redis_at(EMBEDDED) as url,
        PoolStage(url, options.redis, Path(private) / "workers.log") as stage,
    ):
        write_topology(url)
        settings = Settings.of(
            redis=url, host=HOST, port=options.port, requests_per_s=REQUESTS_PER_S, log_level="warning"
        )
        app = front(room, stage, settings, token)
        with listen(settings) as listener:
            config = configuration(settings, cast(FastAPI, app))
            show(f"http://{HOST}:{listener.getsockname()[1]}{PAGE}?token={token}")
            # when uvicorn is done, it raises the signal that stopped it again
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, _ignore)
            uvicorn.Server(config).run(sockets=[listener])


def write_topology(url: str) -> None:
    """Write the topology, which a gateway needs before its first worker has started."""
    with FrameProducer(url, partitions=DEFAULT_PARTITIONS) as producer:
        producer.connect()


def _ignore(_number: int, _frame: object) -> None:
    """Ignore a signal: the server has stopped already."""
