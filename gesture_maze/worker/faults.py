"""What is wrong with settings, as records. A command shows them with its flags, others with the names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from gesture_maze.wire.errors import SettingsError

PRIVATE: Final = ("redis", "secret")
"""Settings whose values no message repeats."""


class Name(str):
    """Name of another setting in what a fault says."""

    __slots__ = ()


class WrongValueError(ValueError):
    """A value is wrong. For validators of settings.

    Args:
        parts: what is wrong, in parts; a `Name` stands for another setting.
    """

    def __init__(self, *parts: str) -> None:
        super().__init__("".join(parts))
        self.parts: Final = parts


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one setting.

    Attributes:
        place: names that lead to the setting, outermost first, and from there to the part of its value; empty
            if `parts` name the settings.
        parts: what is wrong, in parts; a `Name` stands for another setting.
    """

    place: tuple[str, ...]
    parts: tuple[str, ...]

    def sentence(self, called: Callable[[tuple[str, ...]], str] = ".".join) -> str:
        """Return the fault as text; `called` returns what a place is called."""
        wrong = "".join(called((one,)) if isinstance(one, Name) else one for one in self.parts)
        return f"{called(self.place)}: {wrong}" if self.place else wrong


class WrongSettingsError(SettingsError):
    """Settings are wrong. Reason: `settings`.

    Args:
        faults: all of them.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("settings", "; ".join(one.sentence() for one in faults))
        self.faults: Final = tuple(faults)


def faults_of(error: ValidationError) -> list[Fault]:
    """Return the faults that pydantic found, without the values of settings that may contain a password."""
    return [_fault(one) for one in error.errors(include_url=False)]


def _fault(found: Any) -> Fault:
    place = tuple(map(str, found["loc"]))
    if found["type"] == "value_error":
        error = found["ctx"]["error"]
        return Fault(place, error.parts if isinstance(error, WrongValueError) else (str(error),))
    value = "" if place[:1] and place[0] in PRIVATE else f", got {found['input']!r:.80}"
    return Fault(place, (f"{found['msg'][0].lower()}{found['msg'][1:]}{value}",))
