"""For game servers: send hand landmarks, receive maze actions. Needs redis, numpy and pydantic only."""

from gesture_maze.producer.aio import AsyncFrameProducer, AsyncReplies
from gesture_maze.producer.client import FrameProducer, Replies
from gesture_maze.producer.errors import Backpressure, ProducerClosed, SendError, SendLost, SendRefused
from gesture_maze.producer.options import Options
from gesture_maze.wire.errors import (
    ConnectionLost,
    FrameError,
    MazeError,
    RedisRefused,
    RefusalReason,
    SettingsError,
)
from gesture_maze.wire.frames import Frame
from gesture_maze.wire.replies import Reply
from gesture_maze.wire.session_settings import SessionSettings

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
    "ProducerClosed",
    "RedisRefused",
    "RefusalReason",
    "Replies",
    "Reply",
    "SendError",
    "SendLost",
    "SendRefused",
    "SessionSettings",
    "SettingsError",
]
