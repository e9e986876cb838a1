"""HTTP connections with limits that uvicorn does not have: size of the headers, time of a request, number.

uvicorn's parser (httptools) keeps headers of any size, waits without limit for a request that does not end,
and queues any number of pipelined requests.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gesture_maze.gateway.forwarded import network_of
from gesture_maze.gateway.refusals import GatewayError, Refusal
from gesture_maze.gateway.room import Room

MAX_HEAD_BYTES: Final = 64 * 1024
"""Request line and headers. A connection may exceed this by one read from the network (at most 256 KiB)."""
REQUEST_S: Final = 10.0
"""Time limit of a request: from the connection, or its first byte, to the end of its body."""
WRITE_S: Final = 30.0
"""A client that reads nothing of its response for this time is disconnected."""
MAX_PIPELINED: Final = 16
"""Requests sent ahead on one connection. No browser sends any."""
TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)


class Connection(HttpToolsProtocol):
    """One HTTP connection, until it ends or becomes a WebSocket."""

    def __init__(self, *arguments: Any, **words: Any) -> None:
        super().__init__(*arguments, **words)
        self._room: Final[Room] = self.app_state["room"]
        self._network: str | None = None
        self._in_head = True
        self._head_bytes = 0
        self._request_ends: asyncio.TimerHandle | None = None
        self._write_ends: asyncio.TimerHandle | None = None

    # uvicorn's names and signatures

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.BaseProtocol`."""
        super().connection_made(transport)
        network = "" if self._room.settings.behind_proxy else network_of((self.client or ("unknown", 0))[0])
        try:
            self._room.connections.enter(network)
        except GatewayError as error:
            self._room.metrics.refused(error.refusal)
            transport.abort()
            return
        self._network = network
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.BaseProtocol`."""
        self._leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._room.metrics.refused(Refusal.TOO_LARGE)
                self.transport.write(TOO_LARGE)
                self.transport.close()

    def on_message_begin(self) -> None:
        """Note that a request begins."""
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        self._expect_request()

    def on_headers_complete(self) -> None:
        """Handle the complete headers of a request."""
        self._in_head = False
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError("too many pipelined requests")  # the parser answers 400
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Handle a complete request."""
        self._cancel_request()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Turn the connection into a WebSocket."""
        self._leave()
        super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        """Pause writing: the client does not keep up with its response."""
        super().pause_writing()
        if self._write_ends is None:
            self._write_ends = self.loop.call_later(WRITE_S, self._abort)

    def resume_writing(self) -> None:
        """Continue writing: the client reads again."""
        super().resume_writing()
        if self._write_ends is not None:
            self._write_ends.cancel()
            self._write_ends = None

    # our own state, not uvicorn's

    def _expect_request(self) -> None:
        self._cancel_request()
        self._request_ends = self.loop.call_later(REQUEST_S, self._abort)

    def _cancel_request(self) -> None:
        if self._request_ends is not None:
            self._request_ends.cancel()
            self._request_ends = None

    def _abort(self) -> None:
        self._room.metrics.refused(Refusal.TOO_SLOW)
        if self.cycle is not None:
            self.cycle.disconnected = True  # the application must not write to a closed connection
        self.transport.abort()

    def _leave(self) -> None:
        self._cancel_request()
        if self._write_ends is not None:
            self._write_ends.cancel()
            self._write_ends = None
        if self._network is not None:
            self._room.connections.leave(self._network)
            self._network = None
