"""Workers with different `--lease-ttl-ms` in one pool."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from gesture_maze.wire import keys
from tests.support.pool import PARTITIONS, HandWorker, joined

LONG_MS, SHORT_MS = 20_000, 1000


def _silent_for(client: Any, worker: str, silent_ms: int) -> None:
    """Let the last heartbeat of a worker be that long ago."""
    seconds, micros = client.time()
    client.zadd(keys.WORKERS, {worker: seconds * 1000 + micros // 1000 - silent_ms})


@pytest.mark.parametrize(
    ("info", "silent_ms", "live"),
    [
        ({"lease_ttl_ms": LONG_MS}, 2 * SHORT_MS, True),
        ({"lease_ttl_ms": LONG_MS}, LONG_MS + 1000, False),
        ({"lease_ttl_ms": 10**15}, 601_000, False),
        ({"lease_ttl_ms": "long"}, 2 * SHORT_MS, False),
        ({}, 2 * SHORT_MS, False),
    ],
    ids=["between heartbeats", "silent", "too long", "no number", "of an older release"],
)
def test_worker_is_dead_after_the_ttl_that_it_states(
    client: Any, info: dict[str, Any], silent_ms: int, live: bool
) -> None:
    long = joined(client, "long", lease_ttl_ms=LONG_MS)
    long.keeper.describe(json.dumps(info))
    long.join()
    _silent_for(client, "long", silent_ms)
    short = HandWorker(client, "short", lease_ttl_ms=SHORT_MS)
    assert short.broker.roster("short", "{}").workers == (["long", "short"] if live else ["short"])


def test_leases_of_a_live_worker_with_a_longer_ttl_are_left_to_it(client: Any) -> None:
    long = joined(client, "long", lease_ttl_ms=LONG_MS)
    long.keeper.describe(json.dumps({"lease_ttl_ms": LONG_MS}))
    long.join()
    _silent_for(client, "long", 2 * SHORT_MS)
    short = HandWorker(client, "short", lease_ttl_ms=SHORT_MS)
    short.keeper.step(time.monotonic())
    held = [client.get(keys.lease_key(partition)) for partition in range(PARTITIONS)]
    assert [lease.split(b":")[0] for lease in held] == [b"long"] * PARTITIONS
