"""The outgoing frames of all clients, gathered for a tick and sent as one entry per partition."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import numpy as np

from gesture_maze.gateway.logs import Sampled
from gesture_maze.gateway.messages import Packed
from gesture_maze.gateway.metrics import Metrics
from gesture_maze.gateway.refusals import GatewayError, Refusal
from gesture_maze.producer import AsyncFrameProducer, Backpressure, MazeError, SendError, SendRefused
from gesture_maze.wire.frames import LANDMARKS, MAX_MAGNITUDE, Float32
from gesture_maze.wire.session_settings import SessionSettings


class Sender(Protocol):
    """The owner of a frame."""

    settings: SessionSettings | None
    """Settings of the session that no frame has carried yet."""

    @property
    def id(self) -> str:
        """The session id."""

    def refuse(self, error: GatewayError) -> None:
        """Handle that the frame was not sent."""


class Outbox:
    """Gathers frames and sends them at most once a tick. Of each session, only the newest frame of a tick is
    sent.

    The next tick begins when the one before has been sent: if Redis is slow, ticks grow longer and frames
    are superseded here, instead of queueing.

    Args:
        producer: sends the frames.
        metrics: counts frames and ticks.
        tick_ms: how long to gather.
        log: for events that clients can cause.
        failed: called if no frame of a tick could be sent.
        reply_to: name of the reply channel that every entry is sent with; "" for none.
    """

    def __init__(
        self,
        producer: AsyncFrameProducer,
        metrics: Metrics,
        tick_ms: int,
        log: Sampled,
        failed: Callable[[], None],
        reply_to: str = "",
    ) -> None:
        self._reply_to: Final = reply_to
        self._producer: Final = producer
        self._metrics: Final = metrics
        self._tick_s: Final = tick_ms / 1000
        self._log: Final = log
        self._failed: Final = failed
        self._waiting: dict[Sender, Packed] = {}
        self._filled: Final = asyncio.Event()

    def put(self, sender: Sender, frame: Packed) -> None:
        """Send this frame at once, or with the next tick."""
        if sender in self._waiting:
            self._metrics.frames("superseded")
        self._waiting[sender] = frame
        self._filled.set()

    async def run(self) -> None:
        """Send until cancelled: a frame that comes after a quiet tick at once, others at the next tick."""
        clock = asyncio.get_running_loop().time
        sent_s = -self._tick_s
        while True:
            await self._filled.wait()
            self._filled.clear()
            # even if there is nothing to wait for: frames that arrived together are sent together
            await asyncio.sleep(max(sent_s + self._tick_s - clock(), 0))
            sent_s = clock()
            if self._waiting:
                await self.flush()

    async def flush(self) -> None:
        """Send what waits: take -> check -> send -> refuse what was not accepted."""
        waiting, self._waiting = self._waiting, {}
        senders, frames, points = self._checked(list(waiting), list(waiting.values()))
        if not senders:
            return
        self._metrics.tick(len(senders))
        settings = {row: one.settings for row, one in enumerate(senders) if one.settings is not None}
        for row in settings:
            senders[row].settings = None  # the producer repeats them
        try:
            await self._producer.send_arrays(
                [one.id for one in senders],
                np.array([frame.seq for frame in frames], np.int64),
                np.array([frame.captured_ms for frame in frames], np.int64),
                points,
                aspect=np.array([frame.aspect for frame in frames], np.float32),
                flags=np.array([frame.flags for frame in frames], np.int64),
                settings=settings,
                reply_to=self._reply_to,
            )
        except MazeError as error:
            self._not_sent(senders, error)
        else:
            self._metrics.frames("sent", len(senders))

    def _checked(
        self, senders: list[Sender], frames: list[Packed]
    ) -> tuple[list[Sender], list[Packed], Float32]:
        """Return the frames whose landmarks are finite; refuse each of the others."""
        raw = b"".join([frame.landmarks for frame in frames])
        points: Float32 = np.frombuffer(raw, "<f4").reshape(-1, LANDMARKS, 3)
        good = np.abs(points).max(axis=(1, 2)) <= MAX_MAGNITUDE
        if good.all():
            return senders, frames, points
        fault = GatewayError(Refusal.NOT_FINITE, "a landmark is NaN, infinite or larger than 1e9")
        for row in np.flatnonzero(~good).tolist():
            senders[row].refuse(fault)
        rows = np.flatnonzero(good).tolist()
        return [senders[row] for row in rows], [frames[row] for row in rows], points[rows]

    def _not_sent(self, senders: list[Sender], error: MazeError) -> None:
        rows = error.rows if isinstance(error, SendError) else range(len(senders))
        self._metrics.frames("sent", len(senders) - len(rows))
        if isinstance(error, Backpressure):
            self._metrics.frames("refused", len(rows))
            fault = GatewayError(Refusal.BUSY, "the pool cannot take more frames now")
        else:
            self._metrics.frames("refused" if isinstance(error, SendRefused) else "unknown", len(rows))
            self._metrics.redis_away()
            self._log.warning("frames_not_sent", frames=len(rows), error=str(error))
            if isinstance(error, SendRefused) and error.momentary:
                fault = GatewayError(Refusal.BUSY, "Redis takes no frames at the moment")
            else:
                fault = GatewayError(Refusal.UNAVAILABLE, "the game cannot reach its Redis")
            if len(rows) == len(senders):
                self._failed()
        for row in rows:
            senders[row].refuse(fault)
