"""Every key and channel name in Redis, session ids, and partitioning.

Everything of partition p has the tag `{p}`, everything of the pool the tag `{maze}`: on a cluster, names with
one tag live in one slot, and a script may touch names of one slot only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from zlib import crc32

from gesture_maze.wire.errors import FrameError, RejectReason, SettingsError

WIRE_VERSION: Final = 1
GROUP: Final = "maze"
"""The consumer group whose last-delivered id is the committed cursor of a partition."""
TRACEPARENT: Final = b"traceparent"
"""Field of an entry beside its frames: the W3C trace context. Workers without tracing ignore it."""
REPLY_TO: Final = b"r"
"""Field of an entry beside its frames: the name of the channel for its replies, see `reply_channel`."""
SETTINGS: Final = b"o"
"""Field of an entry beside its frames: settings of sessions, see `wire.session_settings`."""
TOPOLOGY: Final = "{maze}:topology"
"""Hash: `version` of the wire and number of `partitions`; written by the first worker, checked by all."""
WORKERS: Final = "{maze}:workers"
"""Sorted set: worker ids by the server's ms of their last heartbeat."""
WORKERS_INFO: Final = "{maze}:workers:info"
"""Hash: worker id -> JSON for operators."""
WAKE_CHANNEL: Final = "{maze}:wake"
"""Published when partitions come free, workers come or go, or models are promoted."""
MODEL: Final = "{maze}:model"
"""Hash: versions of champion, previous and challenger."""
MODELS: Final = "{maze}:models"
"""Sorted set: versions kept, by the server's ms of their last role."""
GATEWAY_CHANNEL: Final = "{maze}:gateway"
"""A subscription that a gateway holds while it has no players."""
DEMO: Final = "{maze}:demo"
"""Channel and string: the picture of a running demo."""
RACES: Final = "{maze}:races"
"""Channel on which gateways publish what happens in races."""
PROBE_STREAM: Final = "frames:{probe}"
"""A stream that never exists: `XADD ... NOMKSTREAM` to it asks whether Redis takes frames, without effect."""
PROBE_SESSION: Final = "!"
"""Replaces the session in a channel name that no session can have, to test the right to publish."""

DEFAULT_PARTITIONS: Final = 16
MAX_PARTITIONS: Final = 1024

_SESSION: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SESSION_BYTES: Final = re.compile(rb"[A-Za-z0-9_-]{1,64}")


def is_session(session: str | bytes) -> bool:
    """Return whether `session` is a legal session id. Nothing else may reach a key or channel name."""
    pattern: re.Pattern[str] | re.Pattern[bytes] = _SESSION if isinstance(session, str) else _SESSION_BYTES
    # fullmatch, because `$` would let a trailing newline pass
    return pattern.fullmatch(session) is not None  # type: ignore[arg-type]


def check_session(session: str) -> str:
    """Return the session id.

    Raises:
        FrameError: `bad_session`, if it is not a legal one.
    """
    if not isinstance(session, str) or not is_session(session):
        message = f"session {session!r:.80} must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -"
        raise FrameError(RejectReason.BAD_SESSION, message)
    return session


def check_partitions(partitions: int) -> int:
    """Return the partition count.

    Raises:
        SettingsError: `settings`, unless it is a power of two from 1 to 1,024.
    """
    if not 1 <= partitions <= MAX_PARTITIONS or partitions & (partitions - 1):
        raise SettingsError("settings", f"partitions must be a power of two from 1 to 1024, got {partitions}")
    return partitions


def partition_of(session: str | bytes, partitions: int) -> int:
    """Return the partition of a session: CRC-32 (zlib's) of its UTF-8 bytes modulo `partitions`."""
    raw = session.encode() if isinstance(session, str) else session
    return crc32(raw) % partitions


def frames_key(partition: int) -> str:
    """Return the stream of frame entries."""
    return f"frames:{{{partition}}}"


def lease_key(partition: int) -> str:
    """Return the key of the lease: a string `<worker id>:<epoch>` with a time to live, set by the owner."""
    return f"lease:{{{partition}}}"


def epoch_key(partition: int) -> str:
    """Return the key of the epoch: a string, the highest ever given out for the partition."""
    return f"epoch:{{{partition}}}"


def suspect_key(partition: int) -> str:
    """Return the key of the notes on suspects: a hash, deleted when the owner releases the partition."""
    return f"suspect:{{{partition}}}"


def outcomes_key(partition: int) -> str:
    """Return the key of the counters: a hash of frames by outcome, updated by each commit."""
    return f"outcomes:{{{partition}}}"


def dead_key(partition: int) -> str:
    """Return the stream of dead letters."""
    return f"dead:{{{partition}}}"


def actions_channel(partition: int, session: str) -> str:
    """Return the pub/sub channel of a session's replies."""
    return f"actions:{{{partition}}}:{session}"


def reply_channel(partition: int, name: str) -> str:
    """Return the pub/sub channel for the replies to entries that name it in their field `r`.

    Args:
        partition: of the entries.
        name: chosen by the producer, `[A-Za-z0-9_-]{1,64}`. The `@` keeps it apart from session ids.
    """
    return f"actions:{{{partition}}}:@{name}"


def bundle_key(version: str) -> str:
    """Return the key of a model version's bundle: a string, one zip."""
    return f"{MODEL}:{version}"


def shadow_key(champion: str, challenger: str) -> str:
    """Return the key of the comparison of two model versions: a hash."""
    return f"{{maze}}:shadow:{champion}:{challenger}"


def scores_key(board: str) -> str:
    """Return the key of a scoreboard of the gateway: a sorted set, scored by time in ms."""
    return f"{{maze}}:scores:{board}"


def game_key(session: str) -> str:
    """Return the key of a player's saved game: a string that expires."""
    return f"{{maze}}:game:{session}"


def race_key(race: str) -> str:
    """Return the key of a race: a hash that expires."""
    return f"{{maze}}:race:{race}"


def partition_of_frames_key(key: bytes) -> int:
    """Return the partition of a stream of frame entries from its name."""
    return int(key[8:-1])


def pattern(key_of: Callable[[int], str]) -> str:
    """Return a glob pattern that matches the key of every partition."""
    return key_of(0).replace("{0}", "{*}")
