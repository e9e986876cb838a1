"""Make harder captures: drop, duplicate, reorder, damage, shake, mirror and rescale frames, hide hands.

The same capture, seed and `Mutation` give the same file. The metamorphic tests
(tests/replay/test_properties.py) check what a pool does with each of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from gesture_maze.wire.errors import SettingsError

BURST_FRAMES: Final = (3, 12)
"""Least and most frames of one absence of the hand."""
SIDES: Final = {"left": "right", "right": "left", None: None}


@dataclass(frozen=True, slots=True)
class Mutation:
    """The changes to a capture; shares are of its frames, 0 to 1.

    Attributes:
        drop: share of frames left out.
        duplicate: share of frames that are repeated.
        reorder: share of frames that come after the next frame of their session.
        corrupt: share of lines damaged so that they are invalid.
        no_hand: share of frames that lose their hand, in bursts.
        jitter: standard deviation of the noise on each landmark, in image widths and heights.
        jitter_ms: standard deviation of the noise on each frame's time; times keep increasing.
        mirror: mirror every image.
        rescale: factor of the size of hands, around the centre of the image.
    """

    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    no_hand: float = 0.0
    jitter: float = 0.0
    jitter_ms: float = 0.0
    mirror: bool = False
    rescale: float = 1.0

    def __post_init__(self) -> None:
        shares = ("drop", "duplicate", "reorder", "corrupt", "no_hand")
        faults = [
            f"--{name.replace('_', '-')} must be from 0 to 1, got {value:g}"
            for name in shares
            if not 0 <= (value := getattr(self, name)) <= 1
        ]
        faults += [
            f"--{name.replace('_', '-')} must not be negative, got {value:g}"
            for name in ("jitter", "jitter_ms")
            if (value := getattr(self, name)) < 0
        ]
        if not 0 < self.rescale <= 1000:
            faults.append(f"--rescale must be above 0 and up to 1000, got {self.rescale:g}")
        if faults:
            raise SettingsError("settings", "; ".join(faults))


def mutate(frames: Iterable[dict[str, Any]], wish: Mutation, seed: int) -> Iterator[str]:
    """Yield the lines of the changed capture; takes constant memory.

    Args:
        frames: the JSON objects of lines, in the order of the capture; not changed.
        wish: the changes.
        seed: selects the frames that are changed.
    """
    rng = np.random.default_rng(seed)
    held_back: dict[str, dict[str, Any]] = {}
    state = _State(rng, wish)
    for values in frames:
        # always five numbers per frame, so that one change does not affect which frames another selects
        drop, duplicate, reorder, corrupt, _ = rng.random(5).tolist()
        changed = state.changed(values)
        if drop < wish.drop:
            continue
        session = changed["session"]
        late = held_back.pop(session, None)
        if late is None and reorder < wish.reorder:
            held_back[session] = changed
            continue
        arrived = [changed] if late is None else _swapped(late, changed)
        for one in arrived:
            yield _text(one, rng) if corrupt < wish.corrupt else json.dumps(one, separators=(",", ":"))
        if duplicate < wish.duplicate:
            yield json.dumps(arrived[-1], separators=(",", ":"))
    for late in held_back.values():
        yield json.dumps(late, separators=(",", ":"))


def _swapped(late: dict[str, Any], early: dict[str, Any]) -> list[dict[str, Any]]:
    """Return two frames in exchanged order; their times of arrival stay in order."""
    times = late["offset_ms"], early["offset_ms"]
    return [{**early, "offset_ms": times[0]}, {**late, "offset_ms": times[1]}]


class _State:
    """Changes hands and times; keeps state per session."""

    def __init__(self, rng: np.random.Generator, wish: Mutation) -> None:
        self._rng = rng
        self._wish = wish
        self._away: dict[str, int] = {}
        self._last_t: dict[str, int] = {}

    def changed(self, values: dict[str, Any]) -> dict[str, Any]:
        wish, session = self._wish, values["session"]
        found = dict(values)
        if wish.jitter_ms:
            t = int(values["t"] + round(self._rng.normal(0.0, wish.jitter_ms)))
            found["t"] = self._last_t[session] = max(t, self._last_t.get(session, t - 1) + 1)
        if self._is_away(session):
            found["landmarks"] = []
        if not found["landmarks"]:
            return found
        points = np.array(found["landmarks"], np.float64)
        if wish.rescale != 1.0:
            points[:, :2] = 0.5 + (points[:, :2] - 0.5) * wish.rescale
            points[:, 2:] *= wish.rescale
        if wish.jitter:
            points[:, :2] += self._rng.normal(0.0, wish.jitter, (len(points), 2))
        if wish.mirror:
            points[:, 0] = 1 - points[:, 0]
            found["mirrored"] = not found.get("mirrored", False)
            if found.get("hand"):
                found["hand"] = SIDES[found["hand"]]
        if wish.rescale != 1.0 or wish.jitter or wish.mirror:
            found["landmarks"] = points.round(9).tolist()
        return found

    def _is_away(self, session: str) -> bool:
        if not self._wish.no_hand:
            return False
        left = self._away.get(session, 0)
        mean = sum(BURST_FRAMES) / 2
        # bursts begin at the rate at which their frames add up to the requested share
        begins = self._wish.no_hand / (mean * max(1 - self._wish.no_hand, 1e-9))
        if not left and self._rng.random() < begins:
            left = int(self._rng.integers(BURST_FRAMES[0], BURST_FRAMES[1] + 1))
        self._away[session] = max(left - 1, 0)
        return left > 0


def _text(values: dict[str, Any], rng: np.random.Generator) -> str:
    """Return an invalid line, in one of several ways."""
    match int(rng.integers(5)):
        case 0:
            whole = json.dumps(values)
            return whole[: int(rng.integers(1, len(whole) - 1))]
        case 1:
            return json.dumps({**values, "landmarks": [[0.5, 0.5]] * 20})
        case 2:
            return json.dumps({**values, "seq": -1})
        case 3:
            return json.dumps({**values, "session": "not a session"})
        case _:
            return json.dumps({**values, "landmarks": [[float("nan"), 0.5]] * 21})
