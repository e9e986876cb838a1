"""Sockets of uvicorn served by picows: parsing and masking in C, because 30,000 messages a second pass here.

uvicorn passes each connection that asks for a WebSocket to a protocol class: here that of picows, with the
few methods that uvicorn expects.
"""

from __future__ import annotations

import asyncio
import logging
import time
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final, cast
from urllib.parse import urlsplit

from picows import (
    WSAutoPingStrategy,
    WSCloseCode,
    WSListener,
    WSMsgType,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)
from picows.picows import WSProtocol  # type: ignore[attr-defined]  # not in its stubs

from gesture_maze.gateway.forwarded import FOR, PROTO, address_of, encrypted, last_entry, network_of
from gesture_maze.gateway.messages import encoded
from gesture_maze.gateway.play import PlaySocket
from gesture_maze.gateway.refusals import Refusal
from gesture_maze.gateway.room import Room
from gesture_maze.gateway.tokens import bearer_of

PATH: Final = "/play"
BROWSER_COOKIE: Final = "maze_browser"
HANDSHAKE_S: Final = 5.0
PING_S: Final = 20.0
"""A client that sends nothing for this time gets a PING; unanswered for the same time, it is disconnected."""
BUFFER_BYTES: Final = 2048
MAX_FRAME_BYTES: Final = 64 * 1024
"""A larger message closes the connection before it is read; see also `messages.MAX_MESSAGE_BYTES`."""


class Upgrade(WSProtocol):  # type: ignore[misc]  # a class of a compiled module
    """A connection, from the HTTP request that asks for a WebSocket until it closes."""

    def __init__(self, config: Any, server_state: Any, app_state: dict[str, Any]) -> None:  # noqa: ARG002
        log = logging.getLogger("maze.gateway.sockets")
        numbers = (HANDSHAKE_S, True, PING_S, PING_S, WSAutoPingStrategy.PING_WHEN_IDLE, True)
        super().__init__(
            None, None, False, self._open, log, True, *numbers, MAX_FRAME_BYTES, None, BUFFER_BYTES
        )
        self._room: Final[Room] = app_state["room"]
        self._connections: Final[set[Any]] = server_state.connections
        self._peer = ""
        self._tls = False

    def connection_made(self, transport: Any) -> None:
        """See `asyncio.BaseProtocol`."""
        self._connections.add(self)
        self._peer = (transport.get_extra_info("peername") or ("unknown",))[0]
        self._tls = transport.get_extra_info("sslcontext") is not None
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """See `asyncio.BaseProtocol`."""
        self._connections.discard(self)
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """Take the request that uvicorn has read already; further data arrives in buffers."""
        while data:
            room = self.get_buffer(len(data))
            part = data[: len(room)]
            room[: len(part)] = part
            self.buffer_updated(len(part))
            data = data[len(part) :]

    def shutdown(self) -> None:
        """Ask the client to connect again, because uvicorn stops."""
        transport = self.transport
        if self.listener is not None:
            transport.send(WSMsgType.TEXT, encoded("bye", detail="the game restarts"))
            transport.send_close(WSCloseCode.SERVICE_RESTART)
        transport.disconnect()

    def _open(self, request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener | None:
        path = request.path.decode("latin-1").partition("?")[0]
        if path.removeprefix(self._room.settings.root_path.rstrip("/")) != PATH:
            return None
        if not self._from_here(request):
            self._room.metrics.refused(Refusal.BAD_ORIGIN)
            body = b"pages of other origins may not open a socket here"
            response = WSUpgradeResponse.create_error_response(HTTPStatus.FORBIDDEN, body)
            return WSUpgradeResponseWithListener(response, None)
        address = self._address(request)
        if not self._room.openings.take(network_of(address), time.monotonic()):
            self._room.metrics.refused(Refusal.TOO_MANY_REQUESTS)
            body = b"too many sockets were opened from your network: try again soon"
            response = WSUpgradeResponse.create_error_response(HTTPStatus.TOO_MANY_REQUESTS, body)
            return WSUpgradeResponseWithListener(response, None)
        return PlaySocket(self._room, address, bearer_of(_browser(request), address))

    def _from_here(self, request: WSUpgradeRequest) -> bool:
        """Return whether the requesting page is one of ours. Browsers always send its origin; programs need
        not."""
        origins = request.headers.getall("origin", [])
        if not origins or origins[0] in self._room.settings.origins:
            return True
        try:
            host, page = request.headers.get("host", ""), urlsplit(origins[0])
        except ValueError:
            return False  # such as http://[
        if self._encrypted(request) and page.scheme != "https":
            return False  # a page that came unencrypted may have been changed on its way
        return bool(host) and page.netloc.lower() == host.lower()

    def _encrypted(self, request: WSUpgradeRequest) -> bool:
        behind = self._room.settings.behind_proxy
        return self._tls or (behind and encrypted(request.headers.getall(PROTO, [])))

    def _address(self, request: WSUpgradeRequest) -> str:
        if self._room.settings.behind_proxy:
            forwarded = last_entry(request.headers.getall(FOR, []))
            if forwarded:
                return address_of(forwarded)
        return address_of(self._peer)


def _browser(request: WSUpgradeRequest) -> str | None:
    cookie: SimpleCookie = SimpleCookie()
    try:
        cookie.load(request.headers.get("cookie", ""))
    except CookieError:
        return None
    found = cookie.get(BROWSER_COOKIE)
    return found.value if found else None


def protocol() -> type[asyncio.Protocol]:
    """Return the class for `uvicorn.Config(ws=...)`."""
    return cast(type[asyncio.Protocol], Upgrade)
