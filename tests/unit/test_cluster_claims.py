"""What is known first-hand of a slot wins over the tables of nodes that have not learnt of its move yet."""

from __future__ import annotations

from typing import Any

import pytest

from gesture_maze.producer.cluster.aio import AsyncClusterRedis
from gesture_maze.producer.cluster.client import ClusterRedis
from gesture_maze.producer.cluster.slots import CLAIM_S, Address, Claims, SlotTable

OLD, NEW, OTHER = Address("old", 7000), Address("new", 7001), Address("other", 7002)
SLOT, FAR_SLOT = 9, 10_000


def table(first: Address, second: Address) -> SlotTable:
    """Return a table in which a node serves the lower half of the slots, and another the upper half."""
    return SlotTable.of(answer(first, second), OTHER)


def answer(first: Address, second: Address) -> list[Any]:
    """Return the answer to CLUSTER SLOTS that `table` reads."""
    return [[0, 8191, [first.host.encode(), first.port]], [8192, 16383, [second.host.encode(), second.port]]]


def test_claims_after_moved_name_the_primary_of_that_slot_only() -> None:
    claims = Claims()
    claims.on_moved(SLOT, NEW, 0.0)
    assert (claims.primary(SLOT, 1.0), claims.primary(SLOT + 1, 1.0)) == (NEW, None)


def test_claims_of_a_node_are_those_of_its_own_last_table() -> None:
    claims = Claims()
    claims.on_table(table(NEW, OTHER), NEW, 0.0)
    assert (claims.primary(SLOT, 1.0), claims.primary(FAR_SLOT, 1.0)) == (NEW, None)
    claims.on_table(table(OLD, NEW), NEW, 1.0)
    assert (claims.primary(SLOT, 1.0), claims.primary(FAR_SLOT, 1.0)) == (None, NEW)


def test_claims_that_contradict_are_decided_by_the_newer_one() -> None:
    claims = Claims()
    claims.on_table(table(OLD, OTHER), OLD, 0.0)
    claims.on_moved(SLOT, NEW, 0.1)
    assert (claims.primary(SLOT, 1.0), claims.primary(SLOT + 1, 1.0)) == (NEW, OLD)


def test_claims_end_with_time_and_when_their_node_fails() -> None:
    claims = Claims()
    claims.on_moved(SLOT, OLD, 0.0)
    claims.on_moved(SLOT, NEW, 1.0)
    assert claims.primary(SLOT, 1.0 + CLAIM_S) is None
    claims.forget(NEW)
    assert (claims.primary(SLOT, 1.5), claims.addresses(1.5)) == (OLD, [OLD])


class Node:
    """A node that answers with a table, which it may have from before a move."""

    def __init__(self, slots: list[Any]) -> None:
        self.slots = slots

    def execute_command(self, *words: Any) -> list[Any]:
        assert words == ("CLUSTER SLOTS",)
        return self.slots


class AsyncNode(Node):
    """`Node` for asyncio."""

    async def execute_command(self, *words: Any) -> list[Any]:  # type: ignore[override]
        return super().execute_command(*words)


ANSWERS = {OLD: answer(OLD, OTHER), NEW: answer(NEW, OTHER), OTHER: answer(OLD, OTHER)}
"""`NEW` has taken over from `OLD`, and no other node knows it yet."""


def test_client_that_was_sent_to_a_new_primary_keeps_it_when_another_node_has_an_older_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = ClusterRedis([OTHER], {})
    nodes = {address: Node(slots) for address, slots in ANSWERS.items()}
    monkeypatch.setattr(client, "node", nodes.__getitem__)
    client.refresh()
    client.learn(SLOT, NEW)
    read_again(monkeypatch)
    client.refresh(OTHER)
    # `NEW` itself has named the whole range, of which MOVED has named one slot
    assert [client.primary(slot) for slot in (SLOT, SLOT + 1, FAR_SLOT)] == [NEW, NEW, OTHER]
    client.doubt(SLOT)
    assert client.primary(SLOT) == OLD


async def test_async_client_that_was_sent_to_a_new_primary_keeps_it_when_another_node_has_an_older_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = AsyncClusterRedis([OTHER], {})
    nodes = {address: AsyncNode(slots) for address, slots in ANSWERS.items()}
    monkeypatch.setattr(client, "node", nodes.__getitem__)
    await client.refresh()
    await client.learn(SLOT, NEW)
    read_again(monkeypatch)
    await client.refresh(OTHER)
    assert [await client.primary(slot) for slot in (SLOT, SLOT + 1, FAR_SLOT)] == [NEW, NEW, OTHER]
    client.doubt(SLOT)
    assert await client.primary(SLOT) == OLD


def read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients read the table although they have just done so."""
    for module in ("client", "aio"):
        monkeypatch.setattr(f"gesture_maze.producer.cluster.{module}.REFRESH_S", 0.0)
