"""`maze gateway`: the application on a port, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import logging
import signal
import socket

import uvicorn

from maze.gateway.app import build
from maze.gateway.settings import Settings
from maze.gateway.upgrade import protocol
from wire.errors import SettingsError

GRACE_S = 2
"""Longest wait for requests that are being answered."""


def run(settings: Settings) -> None:
    """Serve until told to stop.

    Raises:
        SettingsError: the port is taken.
        ConnectionLost: Redis cannot be reached.
    """
    config = uvicorn.Config(
        build(settings),
        ws=protocol(),
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        h11_max_incomplete_event_size=16 * 1024,
    )
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    # each socket that comes and goes would be several lines
    logging.getLogger("maze.gateway.sockets").setLevel(logging.ERROR)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    with listen(settings) as listener:
        host, port = listener.getsockname()[:2]
        shown = "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104 - only compared
        logging.getLogger("maze.gateway").warning("game at http://%s:%d/game", shown, port)
        # uvicorn raises the signal that stopped it once more when it is done; ours ends in exit code 0
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _nothing_more)
        uvicorn.Server(config).run(sockets=[listener])


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
