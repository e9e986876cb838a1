"""HTTP connections with limits that uvicorn does not have: size of the headers, time of a request, number.

uvicorn's parser (httptools) keeps headers of any size and number, waits without limit for a request that does
not end, and queues any number of pipelined requests. Refusals beyond a few per second are held back, so that
a client that sends nothing but broken requests takes little time of the event loop, which all players share.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gesture_maze.gateway.forwarded import network_of
from gesture_maze.gateway.refusals import GatewayError, Refusal
from gesture_maze.gateway.room import Room
from gesture_maze.gateway.turns import HELD_S, SPREAD_S

MAX_HEAD_BYTES: Final = 16 * 1024
"""Request line and headers; browsers send one or two kB. Only a pipelined request may exceed this, by one
read from the network (at most 256 KiB)."""
MAX_HEADERS: Final = 128
"""Headers of a request. Each takes time, and 16 KiB can hold 4,000."""
REQUEST_S: Final = 10.0
"""Time limit of a request: from the connection, or its first byte, to the end of its body."""
WRITE_S: Final = 30.0
"""A client that reads nothing of its response for this time is disconnected."""
MAX_PIPELINED: Final = 16
"""Requests sent ahead on one connection. No browser sends any."""
TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)
BAD_REQUEST: Final = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Connection(HttpToolsProtocol):
    """One HTTP connection, until it ends or becomes a WebSocket."""

    def __init__(self, *arguments: Any, **words: Any) -> None:
        super().__init__(*arguments, **words)
        self._room: Final[Room] = self.app_state["room"]
        self._network: str | None = None
        self._in_head = True
        self._head_bytes = 0
        self._refused = False
        self._refusal_ends: asyncio.TimerHandle | None = None
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
        while data and not self._refused and not self.transport.is_closing():
            in_head = self._in_head
            size = MAX_HEAD_BYTES - self._head_bytes if in_head else len(data)
            part, data = data[:size], data[size:]
            super().data_received(part)
            if self.transport.get_protocol() is not self:
                return  # a WebSocket now
            if in_head and self._in_head:
                self._head_bytes += len(part)
                if self._head_bytes >= MAX_HEAD_BYTES:
                    self._refuse(TOO_LARGE)

    def on_message_begin(self) -> None:
        """Note that a request begins."""
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        self._expect_request()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header."""
        if len(self.headers) >= MAX_HEADERS:
            self._refuse(TOO_LARGE)
            raise ValueError("too many headers")  # which stops the parser
        super().on_header(name, value)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        """Refuse a request that the parser rejects."""
        self._refuse(BAD_REQUEST)

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

    def _refuse(self, response: bytes) -> None:
        """Send a refusal and close the connection, later if this network has been refused often."""
        if self._refused:
            return
        self._refused = True
        if response is TOO_LARGE:
            self._room.metrics.refused(Refusal.TOO_LARGE)
        self._cancel_request()
        self.flow.pause_reading()
        if self._room.refusals.take(self._network or "", self.loop.time()):
            self._end(response)
        else:
            held_s = HELD_S + random.uniform(0.0, SPREAD_S)
            self._refusal_ends = self.loop.call_later(held_s, self._end, response)

    def _end(self, response: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(response)
            self.transport.close()

    def _abort(self) -> None:
        self._room.metrics.refused(Refusal.TOO_SLOW)
        if self.cycle is not None:
            self.cycle.disconnected = True  # the application must not write to a closed connection
        self.transport.abort()

    def _leave(self) -> None:
        self._cancel_request()
        if self._refusal_ends is not None:
            self._refusal_ends.cancel()
            self._refusal_ends = None
        if self._write_ends is not None:
            self._write_ends.cancel()
            self._write_ends = None
        if self._network is not None:
            self._room.connections.leave(self._network)
            self._network = None
