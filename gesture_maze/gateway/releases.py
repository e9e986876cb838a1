"""The `stop` of held moves whose replies cease: a hidden tab or a dead client sends no frame to end them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from pydantic_core import to_json

from gesture_maze.gateway.fan import Answer, Listener

LOOK_S: Final = 0.05
GRACE_S: Final = 0.1
"""Added to the policy's release time, so that a real `stop` that is a little late still comes first."""


class Releases:
    """Follows the held moves of all sessions.

    Args:
        release_ms: `release_ms` of the pool's decision policy.
        clock: monotonic seconds.
    """

    def __init__(self, release_ms: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._after_s: Final = release_ms / 1000 + GRACE_S
        self._clock: Final = clock
        # when each held move ends; earliest first, because each reply puts its session at the end
        self._held: Final[dict[Listener, tuple[float, Answer]]] = {}

    def following(self, listener: Listener) -> Listener:
        """Return a listener that passes replies on to `listener`, and a `stop` if they cease in a move."""
        held = self._held

        def follow(raw: bytes, answer: Answer) -> None:
            was_held = held.pop(listener, None) is not None
            move = answer.get("move")
            if move != "stop" and (was_held or move is not None):
                held[listener] = (self._clock() + self._after_s, answer)
            listener(raw, answer)

        return follow

    def step(self) -> None:
        """Pass on the stops that are due."""
        now_s = self._clock()
        while self._held:
            listener, (due_s, last) = next(iter(self._held.items()))
            if now_s < due_s:
                return
            del self._held[listener]
            stop = released(last)
            listener(to_json(stop), stop)

    async def run(self) -> None:
        """Run `step` periodically until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.step()


def released(last: Answer) -> Answer:
    """Return the `stop` that ends a move still held after the reply `last`; marked as `synthetic`."""
    nothing = {"gesture": None, "label": None, "confidence": 0.0, "hand": None, "action": None}
    return {**last, **nothing, "move": "stop", "synthetic": True}
