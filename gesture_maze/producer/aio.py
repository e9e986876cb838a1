"""`AsyncFrameProducer`: the same as `producer.client`, for asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Sequence
from typing import Any, Final, NoReturn, Self, Unpack

import numpy.typing as npt
from redis.asyncio import Redis

from gesture_maze.producer.connections import DEFAULT_REDIS, AsyncConnections, open_async_connections
from gesture_maze.producer.listening import Listening
from gesture_maze.producer.options import OptionWords, options_of
from gesture_maze.producer.plan import NONE, Settings
from gesture_maze.producer.replies import Inbox
from gesture_maze.producer.sending import Sending
from gesture_maze.wire.frames import HAND, Frame
from gesture_maze.wire.replies import Reply


class AsyncFrameProducer:
    """`producer.FrameProducer` for the tasks of one asyncio loop.

    ```python
    async with AsyncFrameProducer("redis://127.0.0.1:6379/0") as producer:
        async with producer.actions("p1") as replies:
            await producer.send(Frame("p1", seq=1, captured_ms=now_ms, landmarks=points, aspect=4 / 3))
            print((await anext(replies)).move)
    ```

    Tasks may share a producer if the frames of one session come from one task. Whether the frames of a
    cancelled send were accepted is unknown.

    Args:
        redis: a URL, or a client of `redis.asyncio`, as for `FrameProducer`.
        options: see `producer.options.Options`.

    Raises:
        SettingsError: `settings`, for a wrong option or URL. Nothing is connected yet.
    """

    def __init__(self, redis: str | Redis = DEFAULT_REDIS, **options: Unpack[OptionWords]) -> None:
        self._options: Final = options_of(options)
        self._redis: Final = redis
        self._connections: Final = open_async_connections(redis, self._options)
        self._sending: Final = Sending(self._options, inboxes=self._inboxes)
        self._listeners: Final[set[AsyncReplies]] = set()
        self._connections.promoted = self._replace_listeners

    async def connect(self) -> int:
        """See `FrameProducer.connect`."""
        return (await self._connections.run(self._sending.connect())).partitions

    async def send(self, frame: Frame) -> None:
        """See `FrameProducer.send`."""
        await self.send_tick((frame,))

    async def send_tick(self, frames: Sequence[Frame]) -> None:
        """See `FrameProducer.send_tick`."""
        await self._connections.run(self._sending.send_frames(frames))

    async def send_arrays(
        self,
        sessions: Sequence[str],
        seq: npt.ArrayLike | None,
        captured_ms: npt.ArrayLike | None,
        landmarks: npt.ArrayLike,
        *,
        aspect: npt.ArrayLike = 1.0,
        flags: npt.ArrayLike = HAND,
        settings: Settings = NONE,
        reply_to: str | None = None,
    ) -> None:
        """See `FrameProducer.send_arrays`."""
        numbers = (seq, captured_ms, aspect, flags)
        await self._connections.run(
            self._sending.send_arrays(sessions, numbers, landmarks, settings, reply_to)
        )

    def actions(self, *sessions: str) -> OpeningReplies:
        """See `FrameProducer.actions`: `async with producer.actions("p1") as replies:`, or await it.

        The subscription is confirmed when the block begins, or when this has been awaited.
        """
        return OpeningReplies(lambda: self._subscribed(sessions))

    async def _subscribed(self, sessions: Sequence[str]) -> AsyncReplies:
        listening = Listening(await self.connect(), self._options)
        replies = AsyncReplies(open_async_connections(self._redis, self._options), listening, self._listeners)
        try:
            await replies.subscribe(*sessions)
        except BaseException:
            await replies.close()
            raise
        return replies

    def _inboxes(self) -> list[Inbox]:
        return [one.inbox for one in list(self._listeners)]

    def _replace_listeners(self) -> None:
        for replies in list(self._listeners):
            replies.reconnect()

    async def close(self) -> None:
        """See `FrameProducer.close`."""
        self._sending.closed = True
        for replies in list(self._listeners):
            await replies.close()
        await self._connections.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class OpeningReplies(Awaitable["AsyncReplies"]):
    """`AsyncReplies` that are not subscribed yet: await them, or enter them with `async with`."""

    def __init__(self, open_replies: Callable[[], Coroutine[Any, Any, AsyncReplies]]) -> None:
        self._open: Final = open_replies
        self._opened: AsyncReplies | None = None

    def __await__(self) -> Generator[Any, Any, AsyncReplies]:
        return self._open().__await__()

    async def __aenter__(self) -> AsyncReplies:
        self._opened = await self._open()
        return self._opened

    async def __aexit__(self, *_: object) -> None:
        if self._opened is not None:
            await self._opened.close()

    def __aiter__(self) -> NoReturn:
        raise TypeError(NOT_AWAITED)

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{name}: {NOT_AWAITED}")


NOT_AWAITED: Final = (
    "producer.actions(...) is not subscribed yet: write `async with producer.actions(...) as replies:` or "
    "`replies = await producer.actions(...)`"
)


class AsyncReplies(AsyncIterator[Reply]):
    """`producer.Replies` for asyncio: several tasks may read, subscribe and close."""

    def __init__(
        self, connections: AsyncConnections, listening: Listening, siblings: set[AsyncReplies]
    ) -> None:
        self._connections: Final = connections
        self._listening: Final = listening
        self._siblings: Final = siblings
        siblings.add(self)

    @property
    def inbox(self) -> Inbox:
        """Return the inbox that takes its messages."""
        return self._listening.inbox

    async def get(self, timeout_s: float | None = None) -> Reply | None:
        """See `Replies.get`. Cancelling it loses no reply."""
        return await self._connections.run(self._listening.next(timeout_s))

    async def subscribe(self, *sessions: str) -> None:
        """See `Replies.subscribe`. Any task may call it, also while another one waits for a reply."""
        await self._connections.run(self._listening.subscribe(sessions))

    async def unsubscribe(self, *sessions: str) -> None:
        """See `Replies.unsubscribe`."""
        await self._connections.run(self._listening.unsubscribe(sessions))

    def last_seq(self, session: str) -> int | None:
        """See `Replies.last_seq`."""
        return self._listening.inbox.last_seq(session)

    def reconnect(self) -> None:
        """Replace the connection at the next read: its server may no longer be the primary."""
        self._connections.replace()

    async def close(self) -> None:
        """See `Replies.close`."""
        self._listening.closed = True
        await self._connections.close()
        self._siblings.discard(self)

    async def __anext__(self) -> Reply:
        reply = await self.get()
        if reply is None:
            raise StopAsyncIteration
        return reply

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
