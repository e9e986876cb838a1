"""The gestures of the pool's model and their actions, as the workers report them, so that the page, the
welcome message and `GET /` agree with the pool."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gesture_maze.models.drawing import Drawing
from gesture_maze.wire.gestures import DEFAULT_ACTIONS, GESTURES, NAME_PATTERN, Action
from gesture_maze.wire.keys import WORKERS_INFO
from gesture_maze.worker.logs import Log

EVERY_S: Final = 5.0
AGAIN_S: Final = 0.5
"""Interval of the reads until the first answer."""
MOST_WORKERS: Final = 1000
MOST_GESTURES: Final = 64
_ACTIONS: Final[TypeAdapter[dict[str, Action]]] = TypeAdapter(dict[str, Action])
_GESTURES: Final[TypeAdapter[list[str]]] = TypeAdapter(
    Annotated[
        list[Annotated[str, Field(pattern=NAME_PATTERN)]], Field(min_length=1, max_length=MOST_GESTURES)
    ]
)
_DRAWINGS: Final[TypeAdapter[dict[str, Drawing]]] = TypeAdapter(
    Annotated[dict[Annotated[str, Field(pattern=NAME_PATTERN)], Drawing], Field(max_length=MOST_GESTURES)]
)


class PoolMapping:
    """The gestures and the mapping that most workers of the pool use.

    Args:
        client: Redis.
        log: for events.
    """

    def __init__(self, client: Redis, log: Log) -> None:
        self._client: Final = client
        self._log: Final = log
        self.actions: dict[str, Action] = dict(DEFAULT_ACTIONS)
        """Gesture, or `left:` or `right:` and a gesture -> action."""
        self.drawings: dict[str, Drawing] = {}
        """Gesture of the model's own that has an action -> its drawing."""
        self.gestures: tuple[str, ...] = GESTURES
        """Names, in the order of the model's labels."""

    async def run(self) -> None:
        """Read the mapping periodically until cancelled."""
        pause_s = AGAIN_S
        while True:
            try:
                infos: Any = await self._client.hgetall(WORKERS_INFO)
            except (RedisError, OSError):
                infos = {}  # unreachable, or access rights of an earlier version; the last mapping stays
            if self.note(infos):
                pause_s = EVERY_S
            await asyncio.sleep(pause_s)

    def note(self, infos: Mapping[bytes, bytes]) -> bool:
        """Adopt the mapping that most workers use, and return whether any worker reported one.

        Args:
            infos: worker id -> its description as JSON; written by other programs, so not trusted.
        """
        known = [one for raw in list(infos.values())[:MOST_WORKERS] if (one := _parsed(raw))]
        sets = Counter(names for one in known if (names := _gestures_of(one)))
        if sets:
            self.gestures = sets.most_common(1)[0][0]
        found = [(text, one) for one in known if (text := _mapping_of(one))]
        if not found:
            return False
        chosen = Counter(text for text, _ in found).most_common(1)[0][0]
        self.drawings = _drawings_of(dict(found)[chosen])
        actions: dict[str, Action] = from_json(chosen)
        if actions != self.actions:
            self._log.info("actions_changed", actions=actions)
            self.actions = actions
        return True


def _parsed(raw: bytes) -> dict[str, Any] | None:
    try:
        found = from_json(raw)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _drawings_of(info: dict[str, Any]) -> dict[str, Drawing]:
    try:
        return _DRAWINGS.validate_python(info.get("drawings", {}))
    except ValidationError:
        return {}


def _gestures_of(info: dict[str, Any]) -> tuple[str, ...] | None:
    try:
        return tuple(_GESTURES.validate_python(info.get("gestures"), strict=True))
    except ValidationError:
        return None


def _mapping_of(info: dict[str, Any]) -> bytes | None:
    try:
        actions = _ACTIONS.validate_python(info.get("actions"), strict=True)
    except ValidationError:
        return None
    return to_json(dict(sorted(actions.items())))
