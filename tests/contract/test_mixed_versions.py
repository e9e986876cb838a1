"""Workers of the previous release (0.1.0) beside new ones: what they wrote to Redis, byte for byte.

They do not see each other's heartbeats (the roster has another key), so leases, epochs, suspects and cursors
are all that they share.
"""

from __future__ import annotations

import struct
import time
from typing import Any

import pytest

from gesture_maze.wire import keys
from gesture_maze.wire.replies import Reply
from gesture_maze.worker.redis.scripts import lua
from tests.support.pool import STREAM, A, HandWorker, Subscriber, hand, joined, outcomes, standing

OLD_TOKEN = b"host-1-old:1700000000000"
OLD_REPLY = (
    b'{"v":1,"session":"player-2","seq":17,"t":1700000000000,"gesture":"like","label":16,"confidence":0.987,'
    b'"hand":"right","action":"up","move":"up","model":"hagrid-mlp-1"}'
)


@pytest.fixture
def replies(client: Any) -> Any:
    found = Subscriber(client, A)
    yield found
    found.close()


def _old_entry(client: Any, session: str, seq: int) -> bytes:
    """Add an entry as the previous release packed it."""
    meta = struct.pack("<QqfI", seq, seq * 40, 1.0, 1)
    landmarks = struct.pack("<63f", 16.0, *[0.0] * 62)
    return bytes(client.xadd(STREAM, {"s": session, "m": meta, "l": landmarks}))


def test_partition_of_a_live_old_worker_is_left_to_it_and_taken_over_after_its_death(
    client: Any, replies: Subscriber
) -> None:
    client.hset("maze:topology", mapping={"version": 1, "partitions": 4})
    client.zadd("maze:workers", {"host-1-old": time.time() * 1000})
    client.xgroup_create(STREAM, "maze", "0-0", mkstream=True)
    client.set("lease:{1}", OLD_TOKEN, px=20_000)
    client.set("epoch:{1}", b"1700000000000")
    client.hset("suspect:{1}", "owner", OLD_TOKEN)
    _old_entry(client, A, 1)
    worker = HandWorker(client, "new")
    worker.join()
    worker.work()
    assert set(worker.loop.partitions) == {0, 2, 3}
    assert client.get("lease:{1}") == OLD_TOKEN

    client.delete("lease:{1}")  # it died, and its lease ran out
    worker.join()
    worker.work(8)
    assert replies.seqs() == [1]
    assert int(client.get("epoch:{1}")) > 1700000000000
    assert outcomes(client, 1)["answered"] == 1


def test_late_commit_of_an_old_worker_is_fenced(client: Any, replies: Subscriber) -> None:
    worker = joined(client, "new")
    entry_id = _old_entry(client, A, 1)
    names = ["lease:{1}", STREAM, "outcomes:{1}", "dead:{1}"]
    late = [OLD_TOKEN, entry_id, 1, 1, 1, "answered", 1, 0]
    common = ["maze", "PUBLISH", 10_000, 4_000_000, 6 + len(late)]
    channel = keys.actions_channel(1, A)
    assert client.eval(lua("commit"), 4, *names, *common, *late, channel, OLD_REPLY) == [b"FENCED"]
    assert standing(client)["last-delivered-id"] == b"0-0"
    worker.work()
    assert replies.seqs() == [1]


def test_reply_of_an_old_worker_is_read_by_the_new_client() -> None:
    reply = Reply.model_validate_json(OLD_REPLY)
    assert (reply.seq, reply.move, reply.gesture) == (17, "up", "like")
    assert hand(A, 1).session == A
