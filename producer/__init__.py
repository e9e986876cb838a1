"""For game servers: send hand landmarks, receive maze actions. Needs redis, numpy and pydantic only."""

from producer.aio import AsyncFrameProducer, AsyncReplies
from producer.client import FrameProducer, Replies
from producer.options import Options
from wire.errors import Backpressure, ConnectionLost, FrameError, MazeError, SettingsError
from wire.frames import Frame
from wire.replies import Reply

__all__ = [
    "AsyncFrameProducer",
    "AsyncReplies",
    "Backpressure",
    "ConnectionLost",
    "Frame",
    "FrameError",
    "FrameProducer",
    "MazeError",
    "Options",
    "Replies",
    "Reply",
    "SettingsError",
]
