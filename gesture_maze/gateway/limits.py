"""How much one client may do: frames per second, faults, sockets per address. Pure; time is passed in."""

from __future__ import annotations

from collections import Counter
from typing import Final

from gesture_maze.gateway.refusals import GatewayError, Refusal

BURST_S: Final = 0.5
"""What a network held up may arrive at once: so many seconds' worth of frames."""
HEADROOM: Final = 1.1
"""A camera of 30 fps is not late or early by more; a strict limit would refuse one frame now and then."""
MOST_FAULTS: Final = 60.0
"""Faults, less those forgiven, after which a client is cut off."""
FORGIVEN_PER_S: Final = 2.0


class Allowance:
    """A token bucket: `rate` per second, and `BURST_S` of that at once."""

    __slots__ = ("_full", "_left", "_rate", "_seen_s")

    def __init__(self, rate: float, now_s: float) -> None:
        self._rate: Final = rate * HEADROOM
        self._full: Final = max(rate * BURST_S, 1.0)
        self._left = self._full
        self._seen_s = now_s

    def take(self, now_s: float) -> bool:
        """Whether one more is allowed now."""
        self._left = min(self._full, self._left + (now_s - self._seen_s) * self._rate)
        self._seen_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Patience:
    """Counts a client's faults and forgives them slowly."""

    __slots__ = ("_faults", "_seen_s")

    def __init__(self, now_s: float) -> None:
        self._faults = 0.0
        self._seen_s = now_s

    def ends(self, weight: float, now_s: float) -> bool:
        """Whether this fault is one too many."""
        self._faults = max(0.0, self._faults - (now_s - self._seen_s) * FORGIVEN_PER_S) + weight
        self._seen_s = now_s
        return self._faults > MOST_FAULTS


class Doorkeeper:
    """Lets sockets in while there is room.

    Args:
        per_address: sockets of one address.
        in_all: sockets of all addresses.
    """

    def __init__(self, per_address: int, in_all: int) -> None:
        self._per_address: Final = per_address
        self._in_all: Final = in_all
        self._inside: Final[Counter[str]] = Counter()

    def enter(self, address: str) -> None:
        """Let one in.

        Raises:
            GatewayError: `too_many_sessions`; it is not inside.
        """
        if self._inside.total() >= self._in_all:
            raise GatewayError(Refusal.TOO_MANY_SESSIONS, "the game is full: come back in a while")
        if self._inside[address] >= self._per_address:
            message = f"{self._per_address} players come from your network already: close another tab"
            raise GatewayError(Refusal.TOO_MANY_SESSIONS, message)
        self._inside[address] += 1

    def leave(self, address: str) -> None:
        """One that was let in has left."""
        self._inside[address] -= 1
        if not self._inside[address]:
            del self._inside[address]

    def __len__(self) -> int:
        """How many are inside."""
        return self._inside.total()
