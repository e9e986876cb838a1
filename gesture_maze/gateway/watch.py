"""The running mazes of `maze demo`, for the page /watch: passes the demo's pictures on as they arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from redis.exceptions import RedisError

from gesture_maze.gateway.fan import open_redis
from gesture_maze.gateway.guard import client_network
from gesture_maze.gateway.limits import ConcurrencyLimit
from gesture_maze.gateway.logs import Outages
from gesture_maze.gateway.refusals import GatewayError, Refusal
from gesture_maze.gateway.subscription import Follower
from gesture_maze.wire.keys import DEMO

CHANNEL: Final = DEMO
"""Where the demo publishes itself, a few times a second; the key of the same name keeps the last picture."""
QUIET_S: Final = 5.0
"""Longest time without a message to a browser; a comment then keeps the connection open."""
MOST_WATCHERS: Final = 200


class Watch:
    """Passes the demo's pictures on to its watchers. For a slow watcher, a newer picture replaces the one
    that was not sent yet.

    Args:
        url: Redis.
        per_address: most watchers of one address.
        outages: for events of the connection.
    """

    def __init__(self, url: str, per_address: int, outages: Outages) -> None:
        self.concurrency: Final = ConcurrencyLimit(
            per_address, MOST_WATCHERS, Refusal.TOO_MANY_REQUESTS, Refusal.BUSY
        )
        self._client: Final = open_redis(url)
        self._follower: Final = Follower(open_redis(url), CHANNEL.encode(), self._show, outages)
        self._watchers: Final[set[asyncio.Queue[bytes]]] = set()
        self._latest: bytes | None = None

    async def run(self) -> None:
        """Listen until cancelled."""
        with suppress(RedisError, OSError):
            picture: Any = await self._client.get(CHANNEL)
            self._show(picture)
        await self._follower.run()

    def reconnect(self, why: str) -> None:
        """Replace the connection, for example because its server was demoted."""
        self._follower.reconnect(why)

    async def close(self) -> None:
        """Close the connections."""
        await self._follower.close()
        await self._client.aclose()

    def _show(self, picture: bytes | None) -> None:
        self._latest = picture
        for watcher in self._watchers if picture else ():
            if watcher.full():
                watcher.get_nowait()
            watcher.put_nowait(picture or b"")

    async def pictures(self, network: str) -> AsyncIterator[bytes]:
        """Yield server-sent events for one watcher."""
        try:
            self.concurrency.enter(network)
        except GatewayError:
            return  # other watchers took the last places since the check
        mine: asyncio.Queue[bytes] = asyncio.Queue(1)
        if self._latest:
            mine.put_nowait(self._latest)
        self._watchers.add(mine)
        try:
            yield b"retry: 1000\n\n"
            while True:
                try:
                    yield b"data: " + await asyncio.wait_for(mine.get(), QUIET_S) + b"\n\n"
                except TimeoutError:
                    yield b": no news\n\n"
        finally:
            self._watchers.discard(mine)
            self.concurrency.leave(network)


router = APIRouter(include_in_schema=False)


@router.get("/watch/stream")
async def stream(request: Request) -> StreamingResponse:
    """Return the pictures as server-sent events."""
    watch: Watch = request.app.state.watch
    network = client_network(request.scope)
    watch.concurrency.check(network)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(watch.pictures(network), media_type="text/event-stream", headers=headers)
