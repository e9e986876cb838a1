"""Models in Redis: the champion, the previous champion, the challenger, and their bundles.

| key | type | what |
|---|---|---|
| `{maze}:model` | hash | versions `champion`, `previous`, `challenger`; `share`; times in ms |
| `{maze}:model:<version>` | string | the bundle as one zip |
| `{maze}:models` | sorted set | versions kept, by the time of their last appointment (server's ms) |
| `{maze}:shadow:<champion>:<challenger>` | hash | comparison of the two, see `worker.serving.shadow` |

The access rights are in `ops/acl.py`: workers read models and add to comparisons, operators promote. A client
that may write `{maze}:model` controls the answers of every worker. Bundles contain no code, but a wrong model
does harm too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import redis

from gesture_maze.models.bundle import MAX_ZIP_BYTES
from gesture_maze.wire import keys
from gesture_maze.wire.errors import MazeError, SettingsError
from gesture_maze.wire.keys import WAKE_CHANNEL, bundle_key, shadow_key
from gesture_maze.worker.redis.client import connection_errors, leave_wrong_server
from gesture_maze.worker.redis.listener import WakeListener
from gesture_maze.worker.redis.scripts import lua

ROLES_KEY: Final = keys.MODEL
INDEX_KEY: Final = keys.MODELS
WAKE_WORD: Final = b"model"
"""Message on the wake channel after a change of roles. Other messages on it do not concern models."""
KEEP: Final = 5
"""Bundles kept in Redis, in addition to those that have a role."""
SHADOW_KEPT_S: Final = 30 * 24 * 3600
"""Time after the last addition after which a comparison expires."""

_FIELDS: Final = ("champion", "previous", "challenger", "share", "promoted_ms", "challenged_ms")
_VERSION: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Roles:
    """The version in each role, or None if the role is vacant.

    Attributes:
        share: part of the frames that the challenger classifies, 0 to 1.
        promoted_ms, challenged_ms: server's time of the last change of champion and challenger; 0 if unknown.
    """

    champion: str | None = None
    previous: str | None = None
    challenger: str | None = None
    share: float = 0.0
    promoted_ms: int = 0
    challenged_ms: int = 0


class ModelRegistry:
    """The Redis commands for models.

    Args:
        client: from `worker.redis.broker.connect`; its pool may be used from several threads.

    Every method raises `ConnectionLost` if Redis cannot be reached and `RedisRefused` if it returns an error.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client: Final = client

    @cached_property
    def _scripts(self) -> dict[str, Any]:
        return {name: self._client.register_script(lua(name)) for name in ("appoint", "rollback")}

    def roles(self) -> Roles:
        """Return the current roles, with one read. Invalid values count as absent."""
        with connection_errors():
            # one value or None per field
            raw: Any = self._client.hmget(ROLES_KEY, list(_FIELDS))
        champion, previous, challenger, share, promoted_ms, challenged_ms = raw
        return Roles(
            _version(champion),
            _version(previous),
            _version(challenger),
            min(max(_number(share), 0.0), 1.0),
            int(_number(promoted_ms)),
            int(_number(challenged_ms)),
        )

    def bundle(self, version: str) -> bytes | None:
        """Return a bundle's bytes, or None if it does not exist. A bundle above the size limit is cut just
        above it."""
        with connection_errors():
            found: Any = self._client.getrange(bundle_key(version), 0, MAX_ZIP_BYTES)
        return bytes(found) or None

    def versions(self) -> dict[str, int]:
        """Return the versions kept and the time of their last appointment (server's ms), newest first."""
        with connection_errors():
            # [(version, ms), ...]
            rows: Any = self._client.zrevrange(INDEX_KEY, 0, -1, withscores=True)
        return {name.decode(): int(ms) for name, ms in rows}

    def promote(
        self, version: str, bundle: bytes | None, *, answering: str | None = None, keep: int = KEEP
    ) -> None:
        """Make a version the champion, and the champion the previous one, atomically.

        Args:
            version: its name.
            bundle: its bytes; None if Redis has them.
            answering: the version that answers now if Redis names no champion; its bundle must be kept.
            keep: bundles to keep.

        Raises:
            SettingsError: `settings`, if there is no such bundle.
        """
        self._appoint(version, bundle, "champion", 0.0, keep, answering)

    def challenge(self, version: str, bundle: bytes | None, share: float, *, keep: int = KEEP) -> None:
        """Make a version the challenger for `share` (0 to 1) of the frames.

        The other arguments and the errors are those of `promote`.
        """
        self._appoint(version, bundle, "challenger", share, keep, None)

    def _appoint(
        self, version: str, bundle: bytes | None, role: str, share: float, keep: int, answering: str | None
    ) -> None:
        check_version(version)
        script_keys = [ROLES_KEY, INDEX_KEY, bundle_key(version)]
        args = [version, bundle or b"", role, share, keep, answering or "", WAKE_CHANNEL]
        with connection_errors():
            found = self._scripts["appoint"](keys=script_keys, args=args)
        if found == b"MISSING":
            raise SettingsError("settings", f"there is no model {version} in Redis: see 'maze models'")

    def keep(self, version: str, bundle: bytes) -> None:
        """Store a bundle without a role."""
        with connection_errors(), self._client.pipeline(transaction=True) as pipe:
            pipe.set(bundle_key(check_version(version)), bundle)
            pipe.zadd(INDEX_KEY, {version: 0})
            pipe.execute()

    def rollback(self) -> tuple[str, str]:
        """Swap the champion and the previous model atomically, and return the new champion and the new
        previous.

        Raises:
            SettingsError: `settings`, if there is no previous model, or its bundle is gone.
        """
        with connection_errors():
            answer, *versions = self._scripts["rollback"](keys=[ROLES_KEY, INDEX_KEY], args=[WAKE_CHANNEL])
        if answer == b"NONE":
            raise SettingsError("settings", "there is no previous model to go back to")
        if answer == b"MISSING":
            message = f"the bundle of the previous model {versions[0].decode()} is gone from Redis"
            raise SettingsError("settings", message)
        return versions[0].decode(), versions[1].decode()

    def dismiss(self) -> str | None:
        """Remove the challenger and return its version, or None if there was none."""
        challenger = self.roles().challenger
        with connection_errors(), self._client.pipeline(transaction=True) as pipe:
            pipe.hdel(ROLES_KEY, "challenger", "share", "challenged_ms")
            pipe.publish(WAKE_CHANNEL, WAKE_WORD)
            pipe.execute()
        return challenger

    def add_shadow(self, champion: str, challenger: str, counts: Mapping[str, int]) -> None:
        """Add counts to the comparison of two versions."""
        key = shadow_key(champion, challenger)
        with connection_errors(), self._client.pipeline(transaction=True) as pipe:
            for name, count in counts.items():
                pipe.hincrby(key, name, count)
            pipe.expire(key, SHADOW_KEPT_S)
            pipe.execute()

    def shadow(self, champion: str, challenger: str) -> dict[str, int]:
        """Return the comparison of two versions, empty if there is none."""
        with connection_errors():
            raw: Any = self._client.hgetall(shadow_key(champion, challenger))
        return {name.decode(): int(count) for name, count in raw.items()}

    def listener(self, clock: Callable[[], float]) -> WakeListener:
        """Return a subscription to the wake channel on its own connection. `clock` is monotonic."""
        return WakeListener(self._client, clock)

    def leave_wrong_server(self, error: MazeError) -> None:
        """Drop idle connections to a server that is not the primary, see `worker.redis.client`."""
        leave_wrong_server(self._client, error)


def is_version(name: str) -> bool:
    """Return whether `name` is a valid version, safe in keys and replies."""
    return _VERSION.fullmatch(name) is not None


def check_version(version: str) -> str:
    """Return the version if it is valid.

    Raises:
        SettingsError: `settings`, if it is not safe in keys and replies.
    """
    if not is_version(version):
        message = f"model version {version!r:.80} must be 1 to 64 characters of A-Z, a-z, 0-9, '.', _ and -"
        raise SettingsError("settings", message)
    return version


def _version(raw: bytes | None) -> str | None:
    name = "" if raw is None else raw.decode("utf-8", "replace")
    return name if is_version(name) else None


def _number(raw: bytes | None) -> float:
    try:
        number = float(raw or 0)
    except ValueError:
        return 0.0
    return number if abs(number) < 1e15 else 0.0  # NaN and infinity too
