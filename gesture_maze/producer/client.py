"""`FrameProducer`: send frames, receive maze actions. For asyncio see `producer.aio`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Self, Unpack

import numpy.typing as npt
from redis import Redis

from gesture_maze.producer.listening import Listening
from gesture_maze.producer.options import OptionWords, options_of
from gesture_maze.producer.sending import Sending
from gesture_maze.producer.stream import DEFAULT_REDIS, Line, open_line
from gesture_maze.wire.frames import HAND, Frame
from gesture_maze.wire.replies import Reply


class FrameProducer:
    """Sends frames to the pool's partition streams, and listens for the replies. Blocking.

    ```python
    with FrameProducer("redis://127.0.0.1:6379/0") as producer, producer.actions("p1") as replies:
        producer.send(Frame("p1", seq=1, captured_ms=1_700_000_000_000, landmarks=points, aspect=4 / 3))
        print(next(replies).move)
    ```

    What a send promises: when it returns, Redis has accepted every frame. When it raises, the error says
    which frames it has not (`error.frames`). A send whose answer did not come is tried again, so an entry may
    stand in its stream twice; the pool answers each seq once and counts the other as `duplicate`.

    Threads may share a producer, as long as one session's frames come from one thread: their order is theirs.

    Args:
        redis: a URL (`redis://`, `rediss://`, `unix://`), or a client, which then keeps its own time-outs and
            retries and stays open; for a client from elsewhere switch its retries off.
        options: see `producer.options.Options`.

    Raises:
        SettingsError: `settings`, for a wrong option or URL. Nothing is connected yet.
    """

    def __init__(self, redis: str | Redis = DEFAULT_REDIS, **options: Unpack[OptionWords]) -> None:
        self._options: Final = options_of(options)
        self._redis: Final = redis
        self._line: Final = open_line(redis, self._options)
        self._sending: Final = Sending(self._options, last_seq=self._last_seq)
        self._listeners: Final[set[Replies]] = set()
        self._line.promoted = self._replace_listeners

    def connect(self) -> int:
        """Check the topology, or write it if nobody has; gives the partition count. Sends do it themselves.

        Raises:
            SettingsError: `topology`, where Redis holds another partition count or wire version.
            ConnectionLost: if Redis cannot be reached.
            Backpressure: `memory`, if Redis has no memory left to write it.
        """
        return self._line.run(self._sending.connect()).partitions

    def send(self, frame: Frame) -> None:
        """Send one frame. One round trip.

        Raises:
            FrameError: the frame breaks the contract; nothing was sent.
            Backpressure: `lag` or `memory`; the frame was not accepted.
            ConnectionLost: after the retries; the frame may or may not have been accepted.
            SettingsError: as `connect`.
        """
        self.send_tick((frame,))

    def send_tick(self, frames: Sequence[Frame]) -> None:
        """Send a tick: one entry per partition, all in one round trip, each session's frames in their order.

        Raises:
            FrameError: a frame breaks the contract; none was sent.
            Backpressure: `frames` were not accepted, all others were.
            ConnectionLost: it is not known whether `frames` were accepted; all others were.
            SettingsError: as `connect`.
        """
        self._line.run(self._sending.send_frames(frames))

    def send_arrays(
        self,
        sessions: Sequence[str],
        seq: npt.ArrayLike | None,
        captured_ms: npt.ArrayLike | None,
        landmarks: npt.ArrayLike,
        *,
        aspect: npt.ArrayLike = 1.0,
        flags: npt.ArrayLike = HAND,
    ) -> None:
        """As `send_tick`, for n frames that are arrays already: for simulators, gateways and load tests.

        Args:
            sessions: n session ids.
            seq: (n,) integers, or None: see `Frame.seq`.
            captured_ms: one integer, or (n,), in ms; or None: the time of the send.
            landmarks: (n, 21, 3) numbers; zeros where there is no hand.
            aspect: one number, or (n,).
            flags: one integer, or (n,): `wire.frames.HAND`, `LEFT` and `MIRRORED`.

        Raises:
            FrameError, Backpressure, ConnectionLost, SettingsError: as `send_tick`; the errors name the
                frames by their `rows`.
        """
        numbers = (seq, captured_ms, aspect, flags)
        self._line.run(self._sending.send_arrays(sessions, numbers, landmarks))

    def actions(self, *sessions: str) -> Replies:
        """Listen for the replies to `sessions`, on a connection of its own.

        The subscription stands when this returns: the reply to a frame sent from now on is not missed.

        Raises:
            FrameError: `bad_session`.
            ConnectionLost, SettingsError, Backpressure: as `connect`.
        """
        listening = Listening(self.connect(), self._options)
        replies = Replies(open_line(self._redis, self._options), listening, self._listeners)
        try:
            replies.subscribe(*sessions)
        except BaseException:
            replies.close()
            raise
        return replies

    def _last_seq(self, session: str) -> int | None:
        """Return the seq of the last reply to a session; -1 before the first, None where nothing listens for it."""
        found = (one.last_seq(session) for one in list(self._listeners))
        return max((seq for seq in found if seq is not None), default=None)

    def _replace_listeners(self) -> None:
        for replies in list(self._listeners):
            replies.reconnect()

    def close(self) -> None:
        """Close every connection that this producer opened, its listeners' too; not a client it was given."""
        for replies in list(self._listeners):
            replies.close()
        self._line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Replies(Iterator[Reply]):
    """The replies to some sessions, in the order of their arrival; ends when it is closed.

    Late and repeated replies are dropped: within a session seq rises strictly. A lost connection is replaced
    and subscribed anew, for as long as it takes; what is published meanwhile is lost (pub/sub keeps nothing).
    """

    def __init__(self, line: Line, listening: Listening, open_ones: set[Replies]) -> None:
        self._line: Final = line
        self._listening: Final = listening
        self._open_ones: Final = open_ones
        open_ones.add(self)

    def get(self, timeout_s: float | None = None) -> Reply | None:
        """The next reply, or None when `timeout_s` seconds are over (None: no limit) or this was closed."""
        return self._line.run(self._listening.next(timeout_s))

    def subscribe(self, *sessions: str) -> None:
        """Listen for more sessions; the subscription stands when this returns. Any thread may call it.

        Raises:
            FrameError: `bad_session`.
            ConnectionLost: Redis did not confirm.
        """
        self._line.run(self._listening.subscribe(sessions))

    def unsubscribe(self, *sessions: str) -> None:
        """Listen no longer for `sessions`; what has arrived for them is dropped."""
        self._line.run(self._listening.unsubscribe(sessions))

    def last_seq(self, session: str) -> int | None:
        """Return the seq of the last reply received; -1 before the first, None for a session not listened for."""
        return self._listening.inbox.last_seq(session)

    def reconnect(self) -> None:
        """Replace the connection at the next read: its server may no longer be the primary."""
        self._line.replace()

    def close(self) -> None:
        """End the iteration, also one that waits in another thread (within 0.1 s), and the connection."""
        self._listening.closed = True
        self._line.close()
        self._open_ones.discard(self)

    def __next__(self) -> Reply:
        reply = self.get()
        if reply is None:
            raise StopIteration
        return reply

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
