"""How much one client may do: frames per second, faults, sockets per address. Pure; time is passed in."""

from __future__ import annotations

from typing import Final

from gesture_maze.gateway.refusals import GatewayError, Refusal

BURST_S: Final = 0.5
"""Burst of frames that may arrive at once after a network delay, in seconds of the frame rate."""
HEADROOM: Final = 1.1
"""Tolerance for the jitter of a 30 fps camera: a strict limit would refuse a frame now and then."""
MOST_FAULTS: Final = 60.0
"""Faults, minus those forgiven, after which a client is disconnected."""
FORGIVEN_PER_S: Final = 2.0
MOST_NETWORKS: Final = 10_000
"""Networks whose rate is remembered, about 250 bytes each."""


class Allowance:
    """A token bucket.

    Args:
        rate: how many per second.
        now_s: monotonic seconds.
        burst: how many at once; by default `BURST_S` seconds' worth.
    """

    __slots__ = ("_full", "_left", "_rate", "_seen_s")

    def __init__(self, rate: float, now_s: float, burst: float | None = None) -> None:
        self._rate: Final = rate * HEADROOM
        self._full: Final = max(rate * BURST_S if burst is None else burst, 1.0)
        self._left = self._full
        self._seen_s = now_s

    def take(self, now_s: float, weight: int = 1) -> bool:
        """Take `weight` tokens, and return whether there was one. The allowance may go below zero."""
        self._left = min(self._full, self._left + (now_s - self._seen_s) * self._rate)
        self._seen_s = now_s
        if self._left < 1:
            return False
        self._left -= weight
        return True


class Rates:
    """A token bucket for each network. Memory is bounded: the one not seen for longest is forgotten.

    Args:
        rate: how many per second.
        burst: how many at once.
    """

    def __init__(self, rate: float, burst: float) -> None:
        self._rate: Final = rate
        self._burst: Final = burst
        self._buckets: Final[dict[str, Allowance]] = {}

    def take(self, network: str, now_s: float, weight: int = 1) -> bool:
        """Take `weight` tokens for this network, and return whether there was one."""
        bucket = self._buckets.pop(network, None) or Allowance(self._rate, now_s, self._burst)
        self._buckets[network] = bucket
        if len(self._buckets) > MOST_NETWORKS:
            del self._buckets[next(iter(self._buckets))]
        return bucket.take(now_s, weight)


class FaultBudget:
    """Counts a client's faults and forgives them slowly."""

    __slots__ = ("_faults", "_seen_s")

    def __init__(self, now_s: float) -> None:
        self._faults = 0.0
        self._seen_s = now_s

    def ends(self, weight: float, now_s: float) -> bool:
        """Count a fault, and return whether there are too many."""
        self._faults = max(0.0, self._faults - (now_s - self._seen_s) * FORGIVEN_PER_S) + weight
        self._seen_s = now_s
        return self._faults > MOST_FAULTS


class ConcurrencyLimit:
    """Limits how many connections or requests are open at the same time, per network and in total.

    Args:
        per_network: limit per network.
        in_total: limit of all networks together.
        refusal: raised when a network is at its limit.
        full: raised when the total is at its limit; by default the same as `refusal`.
    """

    def __init__(
        self,
        per_network: int,
        in_total: int,
        refusal: Refusal = Refusal.TOO_MANY_SESSIONS,
        full: Refusal | None = None,
    ) -> None:
        self._per_network: Final = per_network
        self._in_total: Final = in_total
        self._refusal: Final = refusal
        self._full: Final = full or refusal
        self._inside: Final[dict[str, int]] = {}
        self._count = 0

    def check(self, network: str) -> None:
        """Check that another one may be opened, without counting it.

        Raises:
            GatewayError: the limit is reached.
        """
        if self._count >= self._in_total:
            raise GatewayError(self._full, "the game is full: try again later")
        if network and self._inside.get(network, 0) >= self._per_network:
            message = f"your network has reached its limit of {self._per_network}: close some first"
            raise GatewayError(self._refusal, message)

    def enter(self, network: str) -> None:
        """Count one that is opened. The network "" counts towards the total only.

        Raises:
            GatewayError: the limit is reached; it is not counted.
        """
        self.check(network)
        self._inside[network] = self._inside.get(network, 0) + 1
        self._count += 1

    def leave(self, network: str) -> None:
        """Count one that is closed."""
        self._count -= 1
        self._inside[network] -= 1
        if not self._inside[network]:
            del self._inside[network]

    def __len__(self) -> int:
        """Return how many are open."""
        return self._count
