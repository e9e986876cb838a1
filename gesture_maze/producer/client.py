"""`FrameProducer`: send frames, receive maze actions. For asyncio see `producer.aio`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Self, Unpack

import numpy.typing as npt
from redis import Redis

from gesture_maze.producer.connections import DEFAULT_REDIS, Connections, open_connections
from gesture_maze.producer.listening import Listening
from gesture_maze.producer.options import OptionWords, options_of
from gesture_maze.producer.plan import NONE, Settings
from gesture_maze.producer.replies import Inbox
from gesture_maze.producer.sending import Sending
from gesture_maze.wire.frames import HAND, Frame
from gesture_maze.wire.replies import Reply


class FrameProducer:
    """Sends frames to the pool's partition streams, and listens for the replies. Blocking.

    ```python
    with FrameProducer("redis://127.0.0.1:6379/0") as producer, producer.actions("p1") as replies:
        producer.send(Frame("p1", seq=1, captured_ms=1_700_000_000_000, landmarks=points, aspect=4 / 3))
        print(next(replies).move)
    ```

    When a send returns, Redis has accepted every frame. When it raises, the error names the frames that may
    not have been accepted (`error.frames`). A send without an answer is tried again, so an entry may be in
    its stream twice; the pool answers each seq once and counts the other as `duplicate`.

    Threads may share a producer if the frames of one session come from one thread, which gives them their
    order.

    Args:
        redis: a URL (`redis://`, `rediss://`, `unix://`, `redis+sentinel://`, `redis+cluster://`), or a
            client of a single Redis, which keeps its own timeouts and stays open; switch its retries off.
        options: see `producer.options.Options`.

    Raises:
        SettingsError: `settings`, for a wrong option or URL. Nothing is connected yet.
    """

    def __init__(self, redis: str | Redis = DEFAULT_REDIS, **options: Unpack[OptionWords]) -> None:
        self._options: Final = options_of(options)
        self._redis: Final = redis
        self._connections: Final = open_connections(redis, self._options)
        self._sending: Final = Sending(self._options, inboxes=self._inboxes)
        self._listeners: Final[set[Replies]] = set()
        self._connections.promoted = self._replace_listeners

    def connect(self) -> int:
        """Agree with the pool on the topology and return the partition count. The first send does this too.

        Raises:
            SettingsError: `topology`, if Redis holds another partition count or wire version.
            ProducerClosed: this producer is closed.
            ConnectionLost: `connection`, Redis cannot be reached; `no_pool`, no worker has started on it.
            RedisRefused: Redis answered with an error.
            Backpressure: `memory`, Redis has no memory left for the topology.
        """
        return self._connections.run(self._sending.connect()).partitions

    def send(self, frame: Frame) -> None:
        """Send one frame. One round trip.

        Raises:
            FrameError: the frame is invalid; nothing was sent.
            Backpressure: `lag` or `memory`; the frame was not accepted.
            SendRefused: Redis answered with an error; the frame was not accepted.
            SendLost: after the retries; whether the frame was accepted is unknown.
            SettingsError: as `connect`.
        """
        self.send_tick((frame,))

    def send_tick(self, frames: Sequence[Frame]) -> None:
        """Send a tick: one entry per partition, all in one round trip, each session's frames in their order.

        The replies to an entry come in one message if one listener is subscribed to all its sessions; see
        `Options.reply_channel`.

        Raises:
            FrameError: a frame is invalid; none was sent.
            Backpressure, SendRefused: `frames` were not accepted, all others were.
            SendLost: whether `frames` were accepted is unknown; all others were.
            SettingsError: as `connect`.
        """
        self._connections.run(self._sending.send_frames(frames))

    def send_arrays(
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
        """Send a tick like `send_tick`, from arrays of n frames: for simulators, gateways and load tests.

        Args:
            sessions: n session ids.
            seq: (n,) integers, or None: see `Frame.seq`.
            captured_ms: one integer, or (n,), in ms; or None: the time of the send.
            landmarks: (n, 21, 3) numbers; zeros if there is no hand.
            aspect: one number, or (n,).
            flags: one integer, or (n,): `wire.frames.HAND`, `LEFT` and `MIRRORED`.
            settings: row -> settings of its session, see `Frame.settings`.
            reply_to: name of the reply channel (`wire.keys.reply_channel`) for all replies; "" for the
                channels of the sessions; None decides as `send_tick`.

        Raises:
            FrameError, SendError, SettingsError: as `send_tick`; the errors name the frames by their `rows`.
        """
        numbers = (seq, captured_ms, aspect, flags)
        self._connections.run(self._sending.send_arrays(sessions, numbers, landmarks, settings, reply_to))

    def actions(self, *sessions: str) -> Replies:
        """Subscribe to the replies to `sessions`, on a connection of its own.

        The subscription is confirmed when this returns: the reply to a frame sent from now on is not missed.

        Raises:
            FrameError: `bad_session`.
            ConnectionLost, RedisRefused, SettingsError, Backpressure: as `connect`.
        """
        listening = Listening(self.connect(), self._options)
        replies = Replies(open_connections(self._redis, self._options), listening, self._listeners)
        try:
            replies.subscribe(*sessions)
        except BaseException:
            replies.close()
            raise
        return replies

    def _inboxes(self) -> list[Inbox]:
        return [one.inbox for one in list(self._listeners)]

    def _replace_listeners(self) -> None:
        for replies in list(self._listeners):
            replies.reconnect()

    def close(self) -> None:
        """Close every connection that this producer opened, including those of its `Replies`, but not a
        client that was passed in."""
        self._sending.closed = True
        for replies in list(self._listeners):
            replies.close()
        self._connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Replies(Iterator[Reply]):
    """Iterates over the replies to some sessions, in the order of their arrival, until it is closed.

    Late and repeated replies are dropped: within a session seq rises strictly. A lost connection is replaced
    and subscribed again, for as long as it takes; what is published meanwhile is lost, because pub/sub keeps
    nothing.
    """

    def __init__(self, connections: Connections, listening: Listening, siblings: set[Replies]) -> None:
        self._connections: Final = connections
        self._listening: Final = listening
        self._siblings: Final = siblings
        siblings.add(self)

    @property
    def inbox(self) -> Inbox:
        """Return the inbox that takes its messages."""
        return self._listening.inbox

    def get(self, timeout_s: float | None = None) -> Reply | None:
        """Return the next reply, or None after `timeout_s` seconds (None: no limit) or when this is
        closed."""
        return self._connections.run(self._listening.next(timeout_s))

    def subscribe(self, *sessions: str) -> None:
        """Subscribe to more sessions; confirmed when this returns. Any thread may call it.

        Raises:
            FrameError: `bad_session`.
            ConnectionLost: Redis did not confirm.
        """
        self._connections.run(self._listening.subscribe(sessions))

    def unsubscribe(self, *sessions: str) -> None:
        """Unsubscribe from `sessions` and drop their waiting replies."""
        self._connections.run(self._listening.unsubscribe(sessions))

    def last_seq(self, session: str) -> int | None:
        """Return the seq of a session's last reply; -1 before the first, None for a session not subscribed
        to."""
        return self._listening.inbox.last_seq(session)

    def reconnect(self) -> None:
        """Replace the connection at the next read: its server may no longer be the primary."""
        self._connections.replace()

    def close(self) -> None:
        """Close the connection and end the iteration, even if it waits in another thread (within 0.1 s)."""
        self._listening.closed = True
        self._connections.close()
        self._siblings.discard(self)

    def __next__(self) -> Reply:
        reply = self.get()
        if reply is None:
            raise StopIteration
        return reply

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
