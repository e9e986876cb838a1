"""The slot of a key, the key of a command, and the table of slots. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from redis.crc import key_slot

from gesture_maze.wire.keys import TOPOLOGY

SLOTS: Final = 16384
CLAIM_S: Final = 2.0
"""For how long a claim wins over tables: by then every node that is not cut off has learnt of a move."""
_SCRIPTS: Final = frozenset({"EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO"})
_NO_KEY: Final = frozenset(
    {
        "ACL",
        "AUTH",
        "CLIENT",
        "CLUSTER",
        "COMMAND",
        "CONFIG",
        "DBSIZE",
        "ECHO",
        "FLUSHALL",
        "FLUSHDB",
        "HELLO",
    }
    | {"INFO", "KEYS", "LASTSAVE", "LATENCY", "MULTI", "PING", "PUBLISH", "PUBSUB", "ROLE", "SCAN", "SCRIPT"}
    | {"SLOWLOG", "TIME", "WAIT"}
)
_CONTAINERS: Final = frozenset({"XINFO", "XGROUP", "OBJECT", "MEMORY"})
"""Commands whose key follows a subcommand."""


class Address(NamedTuple):
    """Where a node listens."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def slot_of(key: str | bytes) -> int:
    """Return the slot of a key or of a sharded channel."""
    return key_slot(key.encode() if isinstance(key, str) else key)


POOL_SLOT: Final = slot_of(TOPOLOGY)
"""The slot of all pool-wide keys. Commands without a key go to its node."""


def slot_of_command(words: Sequence[Any]) -> int:
    """Return the slot whose node runs a command.

    Args:
        words: in redis-py's form; the first word may contain a subcommand, after a space.
    """
    key = _key_of(words)
    if key is None:
        return POOL_SLOT
    return slot_of(key if isinstance(key, (str, bytes)) else str(key))


def _key_of(words: Sequence[Any]) -> Any:
    first, _, sub = str(words[0]).upper().partition(" ")
    if first in _NO_KEY:
        return None
    if first in _SCRIPTS:
        return words[3] if len(words) > 3 and int(words[2]) else None
    if first in ("XREAD", "XREADGROUP"):
        names = [str(word).upper() for word in words[:-1]]
        return words[names.index("STREAMS") + 1]
    at = 2 if first in _CONTAINERS and not sub else 1
    return words[at] if len(words) > at else None


@dataclass(frozen=True, slots=True)
class Node:
    """A node and the slots that it serves.

    Attributes:
        address: where it listens.
        id: its id in the cluster.
    """

    address: Address
    id: str


@dataclass(frozen=True, slots=True)
class Range:
    """Slots that one primary serves, first and last included, and its replicas."""

    first: int
    last: int
    primary: Node
    replicas: tuple[Node, ...]


class SlotTable:
    """Which primary serves each slot.

    Args:
        ranges: ranges that do not overlap; slots may be missing.
    """

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self.ranges: Final = tuple(sorted(ranges, key=lambda one: one.first))
        self._firsts: Final = [one.first for one in self.ranges]

    @classmethod
    def of(cls, answer: Any, asked: Address) -> SlotTable:
        """Return the table in an answer to CLUSTER SLOTS.

        Args:
            answer: [[first slot, last slot, [host, port, id, ...] of the primary, the same of a replica,
                ...], ...]; an empty host is that of the node that was asked.
            asked: the node that was asked.
        """
        return cls(
            Range(int(first), int(last), *_nodes(nodes, asked)) for first, last, *nodes in answer if nodes
        )

    def primary(self, slot: int) -> Address | None:
        """Return the primary of a slot, or None if none serves it."""
        at = bisect_right(self._firsts, slot) - 1
        if at < 0 or self.ranges[at].last < slot:
            return None
        return self.ranges[at].primary.address

    def primaries(self) -> list[Address]:
        """Return the primaries that serve slots, in the order of their first slots."""
        return list(dict.fromkeys(one.primary.address for one in self.ranges))

    def addresses(self) -> Iterator[Address]:
        """Yield the addresses of all nodes, primaries first; some more than once."""
        yield from self.primaries()
        for one in self.ranges:
            for replica in one.replicas:
                yield replica.address

    def is_complete(self) -> bool:
        """Return whether every slot has a primary."""
        return sum(one.last - one.first + 1 for one in self.ranges) == SLOTS


class _Claim(NamedTuple):
    """Slots of which a node is known to be the primary, first and last included."""

    address: Address
    first: int
    last: int
    until_s: float


class Claims:
    """Slots whose primary is known better than from the table of another node.

    The nodes of a cluster learn of a move one after the other, so that a table may be older than what is
    known already: a node that takes slots over knows it first, and one that answers MOVED knows that it does
    not serve the slot. Of two claims the newer one wins. Threads may share an object.
    """

    def __init__(self) -> None:
        self._claims: tuple[_Claim, ...] = ()
        """Newest first. Replaced as a whole, never changed."""

    def on_moved(self, slot: int, address: Address, now_s: float) -> None:
        """Note that MOVED has named the primary of a slot."""
        self._add([_Claim(address, slot, slot, now_s + CLAIM_S)], now_s)

    def on_table(self, table: SlotTable, source: Address, now_s: float) -> None:
        """Note what a node's own table says of that node; it replaces all former claims for it."""
        self.forget(source)
        found = [one for one in table.ranges if one.primary.address == source]
        self._add([_Claim(source, one.first, one.last, now_s + CLAIM_S) for one in found], now_s)

    def forget(self, address: Address) -> None:
        """Drop the claims for a node, because it has failed or refused a command."""
        self._claims = tuple(one for one in self._claims if one.address != address)

    def primary(self, slot: int, now_s: float) -> Address | None:
        """Return the primary of a slot, or None if no claim says."""
        for one in self._claims:
            if one.first <= slot <= one.last and now_s < one.until_s:
                return one.address
        return None

    def addresses(self, now_s: float) -> list[Address]:
        """Return the nodes that claims name."""
        return [one.address for one in self._claims if now_s < one.until_s]

    def _add(self, claims: Iterable[_Claim], now_s: float) -> None:
        self._claims = (*claims, *(one for one in self._claims if now_s < one.until_s))


def _nodes(nodes: Sequence[Any], asked: Address) -> tuple[Node, tuple[Node, ...]]:
    found = [
        Node(Address(_text(node[0]) or asked.host, int(node[1])), _text(node[2]) if len(node) > 2 else "")
        for node in nodes
    ]
    return found[0], tuple(found[1:])


def _text(word: Any) -> str:
    return word.decode() if isinstance(word, bytes) else str(word or "")
