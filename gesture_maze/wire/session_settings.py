"""Settings of one session: how its frames are decided, where that differs from the workers' own settings.

A frame may carry them, usually the first of its session. They apply from that frame on, and replace
everything that an earlier frame carried; empty settings restore the workers' own. In a packed entry they are
the field `o`: a JSON object, index of a frame in the entry -> settings.

Frames come from game servers, which decide anyway what a hand shows, so settings need no further rights.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json, to_json

from gesture_maze.wire.errors import FrameError, RejectReason, SettingsError
from gesture_maze.wire.gestures import Action, parse_action_key

MAX_ACTIONS: Final = 64
MAX_CACHED_BYTES: Final = 4096


def _named_gestures(actions: dict[str, Action]) -> dict[str, Action]:
    for key in actions:
        parse_action_key(key)
    return actions


Actions = Annotated[dict[str, Action], AfterValidator(_named_gestures)]
"""Which gesture gives which action; a key may name a hand, see `wire.gestures.parse_action_key`."""

_Time = Annotated[int, Field(ge=50, le=60_000)]


class SessionSettings(BaseModel):
    """Settings of one session; None leaves a setting to the workers.

    Raises:
        SettingsError: `settings`: a value is outside its bounds, or a name is unknown.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    settle_evidence: Annotated[int, Field(ge=100, le=5000)] | None = None
    """Evidence at which a gesture settles, 100 to 5000: 700 is eager, 1400 is calm."""
    first_repeat_ms: _Time | None = None
    """Time from the first move of a gesture to its second, 50 to 60,000."""
    repeat_ms: _Time | None = None
    """Time between the moves after that, 50 to 60,000."""
    threshold: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    """Least confidence of an action, 0 to 1."""
    actions: Annotated[Actions, Field(max_length=MAX_ACTIONS)] | None = None
    """Which gesture gives which action, in the place of the workers' mapping; `left:like` is for one hand."""

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            faults = error.errors(include_url=False)
            text = "; ".join(f"{_place(one)}: {one['msg']}, got {one['input']!r:.40}" for one in faults)
            raise SettingsError("settings", f"settings of a session: {text}") from None

    # as in pydantic.RootModel: inside other models it is built without this method, and faults are collected
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Return settings from a parsed JSON value.

        Raises:
            FrameError: `bad_settings`, which names the first fault.
        """
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = f"settings.{_place(first)}".rstrip(".")
            raise FrameError(RejectReason.BAD_SETTINGS, f"{place}: {first['msg']}") from None

    def values(self) -> dict[str, Any]:
        """Return the settings that are given, by name."""
        return self.model_dump(exclude_none=True)


def _place(fault: Any) -> str:
    return ".".join(map(str, fault["loc"]))


NO_SETTINGS: Final = SessionSettings()
"""The workers' settings."""


class BadSettings:
    """Invalid settings. Their frame is rejected.

    Args:
        value: the parsed JSON value.
    """

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value: Final = value

    def values(self) -> Any:
        """Return what was sent."""
        return self.value


OfRows = Mapping[int, SessionSettings | BadSettings]
"""Row of a frame -> its settings."""


def pack_settings(settings: OfRows) -> bytes:
    """Return the value of the field `o`: settings by index of their frame in the entry."""
    return to_json({str(index): one.values() for index, one in settings.items()})


def unpack_settings(raw: bytes, count: int) -> OfRows:
    """Return the settings in the value of a field `o`, by index of their frame; faulty ones marked.

    Args:
        raw: the value.
        count: frames of the entry.

    Raises:
        FrameError: `bad_settings`: not a JSON object, or an index that no frame has.
    """
    found = _parsed_once(raw) if len(raw) <= MAX_CACHED_BYTES else _parsed(raw)
    if found and max(found) >= count:
        raise FrameError(
            RejectReason.BAD_SETTINGS, f"o names frame {max(found)}, but the entry has {count} frames, from 0"
        )
    return found


def _parsed(raw: bytes) -> OfRows:
    try:
        found = from_json(raw)
    except ValueError as error:
        raise FrameError(RejectReason.BAD_SETTINGS, f"o is not JSON: {error}") from None
    if not isinstance(found, dict) or not all(key.isascii() and key.isdecimal() for key in found):
        message = "o must be a JSON object: index of a frame -> settings"
        raise FrameError(RejectReason.BAD_SETTINGS, message)
    if any(len(key) > 6 for key in found):
        raise FrameError(RejectReason.BAD_SETTINGS, "o names a frame that is not in the entry")
    return {int(key): _checked(value) for key, value in found.items()}


_parsed_once: Final = lru_cache(maxsize=1024)(_parsed)  # a client repeats the same settings all the time


def _checked(value: Any) -> SessionSettings | BadSettings:
    try:
        return SessionSettings.parse(value)
    except FrameError:
        return BadSettings(value)
