"""HTTP connections that send broken requests, or too much of one."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

import gesture_maze.gateway.connection as connection_module
from gesture_maze.gateway.connection import BAD_REQUEST, MAX_HEAD_BYTES, MAX_HEADERS, TOO_LARGE, Connection
from gesture_maze.gateway.limits import ConcurrencyLimit, Rates
from gesture_maze.gateway.turns import HELD_S
from tests.support.event_loop import next_pass

BEGIN = b"GET /game HTTP/1.1\r\nHost: game\r\n"


class Transport(asyncio.Transport):
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = self.paused = False
        self.protocol: Any = None

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.paused = True

    def get_protocol(self) -> Any:
        return self.protocol


class Gateway:
    """Connections to an application that is never called, and what they refuse.

    Args:
        at_once: refusals that are sent at once.
    """

    def __init__(self, at_once: int) -> None:
        self.refused: Counter[str] = Counter()
        self.requests = 0
        self._config = Config(
            self._app, http=Connection, ws="none", lifespan="off", log_config=None, interface="asgi3"
        )
        self._room = SimpleNamespace(
            settings=SimpleNamespace(behind_proxy=False),
            metrics=SimpleNamespace(refused=lambda refusal: self.refused.update([str(refusal)])),
            connections=ConcurrencyLimit(9, 9),
            refusals=Rates(at_once, at_once),
        )

    async def _app(self, scope: Any, _receive: Any, _send: Any) -> None:
        self.requests += 1

    def open(self) -> tuple[Connection, Transport]:
        transport = Transport()
        opened = Connection(self._config, ServerState(), {"room": self._room})
        transport.protocol = opened
        opened.connection_made(transport)
        return opened, transport


def in_loop(check: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(check())


@pytest.mark.parametrize(
    ("data", "response"),
    [
        (BEGIN + b"X-Long: " + b"x" * 60_000 + b"\r\n\r\n", TOO_LARGE),
        (BEGIN + b"X-Long: " + b"x" * MAX_HEAD_BYTES, TOO_LARGE),
        (b"GET /" + b"x" * MAX_HEAD_BYTES, TOO_LARGE),
        (BEGIN + b"a:\r\n" * MAX_HEADERS + b"\r\n", TOO_LARGE),
        (b"\x16\x03\x01 no http", BAD_REQUEST),
    ],
)
@pytest.mark.parametrize("size", [1000, 1 << 20])
def test_broken_request_is_refused_and_nothing_more_is_read(data: bytes, response: bytes, size: int) -> None:
    async def check() -> None:
        gateway = Gateway(at_once=1)
        opened, transport = gateway.open()
        for at in range(0, len(data), size):
            opened.data_received(data[at : at + size])
        assert (transport.written, transport.closed, transport.paused) == (response, True, True)
        assert gateway.refused == Counter({"too_large": 1} if response is TOO_LARGE else {})
        await next_pass()
        assert gateway.requests == 0

    in_loop(check)


def test_refusals_beyond_those_sent_at_once_are_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "SPREAD_S", 0.0)

    async def check() -> None:
        gateway = Gateway(at_once=1)
        first, second, third = (gateway.open() for _ in range(3))
        for opened, _ in (first, second, third):
            opened.data_received(b"no http\r\n\r\n")
            opened.data_received(BEGIN + b"\r\n")  # not read any more
        assert [transport.closed for _, transport in (first, second, third)] == [True, False, False]
        third[0].connection_lost(None)
        handle = second[0]._refusal_ends
        assert handle is not None
        held_s = handle.when() - asyncio.get_running_loop().time()
        assert 0 < held_s <= HELD_S
        handle._run()
        assert (second[1].written, second[1].closed) == (BAD_REQUEST, True)
        assert third[0]._refusal_ends is None
        assert gateway.requests == 0

    in_loop(check)


def test_request_within_the_limits_in_any_pieces_is_handled() -> None:
    async def check() -> None:
        gateway = Gateway(at_once=0)
        data = BEGIN + b"X-Long: " + b"x" * (MAX_HEAD_BYTES - 100) + b"\r\n\r\n"
        for size in (1000, 1 << 20):
            opened, _ = gateway.open()
            for at in range(0, len(data), size):
                opened.data_received(data[at : at + size])
        # a body does not count as headers
        opened, transport = gateway.open()
        head = b"POST /predict HTTP/1.1\r\nContent-Length: 50000\r\n\r\n"
        opened.data_received(head + b"x" * 50_000 + BEGIN)
        assert not transport.closed
        await next_pass()
        assert (gateway.requests, gateway.refused) == (3, Counter())

    in_loop(check)
