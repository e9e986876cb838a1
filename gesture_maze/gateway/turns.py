"""Fairness between the networks whose requests share one event loop, and delays for refused requests."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import Final

from gesture_maze.gateway.limits import ConcurrencyLimit, Rates
from gesture_maze.gateway.refusals import GatewayError

HELD_S: Final = 1.0
"""Least time that a refusal is held back, the same as Retry-After: a client that waits for it cannot ask
again meanwhile."""
SPREAD_S: Final = 1.0
"""Up to how much longer it is held back, at random: otherwise the requests of a burst would all be answered,
and come again, in one pass of the event loop."""
REFUSALS_PER_S: Final = 20.0
"""Refusals of a network per second that are sent at once, and as many at the same time."""
HELD_PER_NETWORK: Final = 256
HELD_IN_TOTAL: Final = 2000


class Turns:
    """Lets one request of each network begin per pass of the event loop.

    A hundred requests that arrive together would otherwise be handled in one pass, and every player's frame
    would wait behind all of them.
    """

    def __init__(self) -> None:
        self._waiting: Final[dict[str, deque[asyncio.Future[None]]]] = {}

    async def take(self, network: str) -> None:
        """Wait for this request's turn. A request that is cancelled while it waits gives up its place."""
        loop = asyncio.get_running_loop()
        queue = self._waiting.get(network)
        if queue is None:
            self._waiting[network] = deque()
            loop.call_soon(self._next, network)
            return
        mine = loop.create_future()
        queue.append(mine)
        await mine

    def __len__(self) -> int:
        """Return the number of networks whose requests take turns now."""
        return len(self._waiting)

    def _next(self, network: str) -> None:
        """Wake the next request that still waits, and schedule this for the following pass."""
        queue = self._waiting[network]
        while queue:
            one = queue.popleft()
            if not one.done():
                one.set_result(None)
                asyncio.get_running_loop().call_soon(self._next, network)
                return
        del self._waiting[network]


class Holds:
    """Holds back the refusals of networks that keep sending requests. The number of refusals held is
    bounded."""

    def __init__(self) -> None:
        self._at_once: Final = Rates(REFUSALS_PER_S, REFUSALS_PER_S)
        self._held: Final = ConcurrencyLimit(HELD_PER_NETWORK, HELD_IN_TOTAL)

    async def hold(self, network: str, now_s: float) -> None:
        """Wait before a refusal is sent, if this network has been refused often."""
        if self._at_once.take(network, now_s):
            return
        try:
            self._held.enter(network)
        except GatewayError:
            return  # memory matters more than time
        try:
            await asyncio.sleep(HELD_S + random.uniform(0.0, SPREAD_S))
        finally:
            self._held.leave(network)

    def __len__(self) -> int:
        """Return how many refusals are held back."""
        return len(self._held)
