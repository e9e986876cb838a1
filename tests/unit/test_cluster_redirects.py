"""What the clients of a cluster do when a node sends a command elsewhere."""

from __future__ import annotations

from typing import Any

import pytest
from redis import exceptions

from gesture_maze.producer.cluster.aio import AsyncClusterRedis
from gesture_maze.producer.cluster.client import ClusterRedis
from gesture_maze.producer.cluster.slots import Address

SEED = Address("old", 7000)
NEW = Address("new", 7001)
WORDS = ("GET", "a")
MOVED = exceptions.MovedError("15495 new:7001")
ASK = exceptions.AskError("15495 new:7001")
ANSWERS = [
    pytest.param(MOVED, [("learn", 15495, NEW), ("run", NEW)], id="moved"),
    pytest.param(ASK, [("ask", NEW)], id="ask"),
]


@pytest.mark.parametrize(("answer", "wanted"), ANSWERS)
def test_client_that_is_sent_elsewhere_learns_of_a_move_and_not_of_one_under_way(
    answer: Exception, wanted: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Any] = []
    client = ClusterRedis([SEED], {})
    monkeypatch.setattr(client, "node", lambda address: address)
    monkeypatch.setattr(client, "learn", lambda slot, address: done.append(("learn", slot, address)))
    monkeypatch.setattr(client, "_run_on", lambda node, *_: done.append(("run", node)))
    monkeypatch.setattr(client, "_ask", lambda node, *_: done.append(("ask", node)))
    client._redirected(WORDS, {}, answer)
    assert done == wanted


@pytest.mark.parametrize(("answer", "wanted"), ANSWERS)
async def test_async_client_that_is_sent_elsewhere_learns_of_a_move_and_not_of_one_under_way(
    answer: Exception, wanted: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Any] = []
    client = AsyncClusterRedis([SEED], {})

    async def learn(slot: int, address: Address) -> None:
        done.append(("learn", slot, address))

    async def run(node: Any, *_: Any, asking: bool) -> None:
        done.append(("ask" if asking else "run", node))

    monkeypatch.setattr(client, "node", lambda address: address)
    monkeypatch.setattr(client, "learn", learn)
    monkeypatch.setattr(client, "_run_redirected", run)
    await client._redirected(WORDS, {}, answer)
    assert done == wanted
