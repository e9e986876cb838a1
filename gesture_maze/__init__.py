"""Hand landmarks in, maze moves out: a fenced worker pool on Redis streams.

A game server needs nothing but the names below::

    from gesture_maze import Frame, FrameProducer

They are imported on first use, so that the command line and the pytest plugin, which live here too,
work without loading them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gesture_maze.version import __version__

if TYPE_CHECKING:
    from gesture_maze.producer import (
        AsyncFrameProducer,
        AsyncReplies,
        Backpressure,
        ConnectionLost,
        Frame,
        FrameError,
        FrameProducer,
        MazeError,
        Options,
        ProducerClosed,
        RedisRefused,
        RefusalReason,
        Replies,
        Reply,
        SendError,
        SendLost,
        SendRefused,
        SessionSettings,
        SettingsError,
    )

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
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name in __all__:
        return getattr(import_module("gesture_maze.producer"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
