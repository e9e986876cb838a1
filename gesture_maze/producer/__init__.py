"""For game servers: send hand landmarks, receive maze actions. Needs redis, numpy and pydantic only.

The names below are loaded on first use: a worker needs a few modules of this package and none of its clients,
which would make it start 6 % later.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
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

_MODULES: Final = (
    "producer.client", "producer.aio", "producer.errors", "producer.options", "wire.errors", "wire.frames",
    "wire.replies", "wire.session_settings",
)  # fmt: skip
"""Where the names are looked for, in this order; the first two import most of the others."""


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name in __all__:
        for module in _MODULES:
            found = getattr(import_module(f"gesture_maze.{module}"), name, None)
            if found is not None:
                globals()[name] = found
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
