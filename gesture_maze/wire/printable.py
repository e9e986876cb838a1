"""Values made safe to show: on a terminal, in a log line, as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any


def printable(text: str) -> str:
    """Return `text` with everything escaped that a terminal would act on instead of showing it.

    Control characters (ESC begins a command to the terminal), line ends and invisible characters, such as
    those that reverse the direction of writing, become escapes as in Python. Costs O(n).
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def amount(count: int, noun: str, plural: str = "") -> str:
    """Return a count with its noun: `1 frame`, `1,200 frames`. Give `plural` if it is not noun + s."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def ranges(numbers: Iterable[int]) -> str:
    """Return ascending numbers in short form: 0-3, 5, 8-9."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def finite(value: Any) -> Any:
    """Return `value` with every NaN and infinity in it replaced by None: JSON has no word for them.

    Looks into lists, tuples and dicts; keys of dicts become strings. Costs O(size).
    """
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {str(key): finite(inside) for key, inside in value.items()}
        case list() | tuple():
            return [finite(inside) for inside in value]
    return value
