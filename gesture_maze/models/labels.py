"""The label set of a bundle: which gestures a model knows, and the number that each has on the wire.

The 19 gestures of `wire.gestures` keep their published numbers in every bundle. Other gestures are numbered
from 19. Everything maps by name; numbers are for clients that switch on an integer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gesture_maze.wire.gestures import GESTURES, LABELS, NAME_PATTERN, NO_GESTURE, Action, parse_action_key

MAX_LABELS: Final = 64
"""Most gestures of one bundle. Each is a label value in the metrics, so the number is bounded."""

FIRST_OWN_NUMBER: Final = len(GESTURES)
"""The first number of a gesture that is not in `wire.gestures`."""

_NAME: Final = re.compile(NAME_PATTERN)


def is_gesture_name(name: str) -> bool:
    """Return whether `name` can be the name of a gesture."""
    return _NAME.fullmatch(name) is not None


def label_set(names: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct `names` in the order of a bundle: published by number, then own ones by name."""
    found = set(names)
    return (*(name for name in GESTURES if name in found), *sorted(found - set(GESTURES)))


def default_numbers(labels: Sequence[str]) -> tuple[int, ...]:
    """Return the number of each gesture: the published one, or the next free one from 19."""
    own = iter(range(FIRST_OWN_NUMBER, FIRST_OWN_NUMBER + len(labels)))
    return tuple(LABELS[name] if name in LABELS else next(own) for name in labels)


def label_faults(labels: Sequence[str], numbers: Sequence[int]) -> str:
    """Return what is wrong with a label set and its numbers; empty if nothing is."""
    if not 2 <= len(labels) <= MAX_LABELS:
        return f"a bundle has 2 to {MAX_LABELS} labels, found {len(labels)}"
    wrong = [name for name in labels if not is_gesture_name(name)]
    if wrong:
        return f"a label matches {NAME_PATTERN}, found {wrong[0]!r}"
    if len(set(labels)) < len(labels):
        return "a label occurs twice"
    if len(numbers) != len(labels) or len(set(numbers)) < len(numbers):
        return "each label needs a number of its own"
    for name, number in zip(labels, numbers, strict=True):
        if name in LABELS and number != LABELS[name]:
            return f"{name} has the published number {LABELS[name]}, found {number}"
        if name not in LABELS and not FIRST_OWN_NUMBER <= number < FIRST_OWN_NUMBER + MAX_LABELS:
            last = FIRST_OWN_NUMBER + MAX_LABELS - 1
            return f"own gestures are numbered from {FIRST_OWN_NUMBER} to {last}, found {name} = {number}"
    return ""


def action_faults(actions: Mapping[str, Action], labels: Sequence[str], of: str = "the model") -> str:
    """Return what is wrong with a mapping of gestures to actions for a label set; empty if nothing is.

    Args:
        actions: gesture, or `left:` or `right:` and a gesture -> action.
        labels: the label set.
        of: what the mapping belongs to, for the message.
    """
    for key in actions:
        try:
            name = parse_action_key(key)[1]
        except ValueError as error:
            return f"actions: {error}"
        if name not in labels or name == NO_GESTURE:
            return f"actions: {name} is not a gesture of {of}"
    return ""


def columns(probabilities: NDArray[Any], own: Sequence[str], wanted: Sequence[str]) -> NDArray[Any]:
    """Return probabilities (n, k) of the gestures `own` as columns for the gestures `wanted`.

    Gestures that the model does not know get 0. Every gesture of `own` must be among `wanted`.
    """
    if tuple(own) == tuple(wanted):
        return probabilities
    place: Mapping[str, int] = {name: column for column, name in enumerate(wanted)}
    result = np.zeros((len(probabilities), len(wanted)), probabilities.dtype)
    result[:, [place[name] for name in own]] = probabilities
    return result
