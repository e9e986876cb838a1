"""The running mazes of `maze demo`, for the page /watch: what it publishes, handed on as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from redis.exceptions import RedisError

from gesture_maze.gateway.fan import PAUSE_S, open_redis

CHANNEL: Final = "maze:demo"
"""Where the demo publishes itself, a few times a second; the key of the same name keeps the last picture."""
QUIET_S: Final = 5.0
"""Longest time without a word to a browser; a comment then keeps the line open."""
MOST_WATCHERS: Final = 200


class Watch:
    """Hands the demo's pictures to whoever watches. Newest wins where a watcher does not keep up.

    Args:
        url: Redis.
    """

    def __init__(self, url: str, log: Callable[[str], None]) -> None:
        self._url: Final = url
        self._log: Final = log
        self._watchers: Final[set[asyncio.Queue[bytes]]] = set()
        self._latest: bytes | None = None

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            client: Any = open_redis(self._url, silence_s=60.0)
            try:
                async with client.pubsub() as pubsub:
                    await pubsub.subscribe(CHANNEL)
                    self._show(await client.get(CHANNEL))
                    async for message in pubsub.listen():
                        if message["type"] == "message":
                            self._show(message["data"])
            except (RedisError, OSError):
                await asyncio.sleep(PAUSE_S)
            finally:
                await client.aclose()

    def _show(self, picture: bytes | None) -> None:
        self._latest = picture
        for watcher in self._watchers if picture else ():
            if watcher.full():
                watcher.get_nowait()
            watcher.put_nowait(picture or b"")

    async def pictures(self) -> AsyncIterator[bytes]:
        """Server-sent events for one watcher."""
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
                    yield b": nobody plays\n\n"
        finally:
            self._watchers.discard(mine)

    def full(self) -> bool:
        """Whether there is no room for another watcher."""
        return len(self._watchers) >= MOST_WATCHERS


router = APIRouter(include_in_schema=False)


@router.get("/watch/stream")
async def stream(request: Request) -> StreamingResponse:
    """The pictures as server-sent events."""
    watch: Watch = request.app.state.watch
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    if watch.full():
        return StreamingResponse(iter(()), 503, headers)
    return StreamingResponse(watch.pictures(), media_type="text/event-stream", headers=headers)
