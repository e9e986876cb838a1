"""Commits of several partitions in one call of the script: each is done, refused or fenced on its own."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from gesture_maze.wire import keys
from gesture_maze.worker.records import Commit
from gesture_maze.worker.redis.commits import REPLIES_PER_SCRIPT, Committer, Result
from gesture_maze.worker.redis.streams import StreamReader
from gesture_maze.worker.sessions import reply_lead
from tests.support.servers import Server

MESSAGE = "[1]"


def commit_of(partition: int, *, replies: int = 1, dead_letters: int = 0) -> Commit:
    channel = keys.actions_channel(partition, "one")
    outcomes = {
        "answered": replies,
        "rejected": dead_letters,
        "frames": replies + dead_letters,
        "entries": 1,
    }
    return Commit(
        partition,
        f"w:{partition}",
        b"5-0",
        3,
        outcomes,
        outcomes,
        [f"{reply_lead(channel)}{len(MESSAGE)}\r\n{MESSAGE}\r\n"] * replies,
        [[b"s", b"one", b"reason", b"bad_seq"]] * dead_letters,
    )


def own(client: Any, *partitions: int) -> None:
    """Give the partitions to worker `w`, each with one entry that is not committed."""
    for partition in partitions:
        client.set(keys.lease_key(partition), f"w:{partition}")
        client.xgroup_create(keys.frames_key(partition), keys.GROUP, "0-0", mkstream=True)
        client.xadd(keys.frames_key(partition), {"s": "x"}, id="5-0")


def cursor(client: Any, partition: int) -> bytes:
    return bytes(client.xinfo_groups(keys.frames_key(partition))[0]["last-delivered-id"])


@pytest.fixture
def committer(client: Any) -> Any:
    found = Committer(client, dead_letters=100, dead_letter_bytes=100_000)
    yield found
    found.close()


def test_commits_sent_together_have_each_its_own_result(client: Any, committer: Committer) -> None:
    own(client, 0, 1, 2, 3, 4)
    client.set(keys.lease_key(1), "other:7")
    client.delete(keys.lease_key(2))
    client.rpush(keys.lease_key(2), "not a lease")
    client.set(keys.outcomes_key(3), "not counters")
    listener = client.pubsub()
    listener.subscribe(*[keys.actions_channel(partition, "one") for partition in range(5)])
    assert [listener.get_message(timeout=5)["type"] for _ in range(5)] == ["subscribe"] * 5

    committer.send([commit_of(partition, dead_letters=1) for partition in range(5)])
    settled = committer.settle()

    assert [(commit.partition, result) for commit, result, _ in settled] == [
        (0, Result.DONE), (1, Result.FENCED), (2, Result.REFUSED), (3, Result.DONE), (4, Result.DONE),
    ]  # fmt: skip
    assert ["WRONGTYPE" in error for _, _, error in settled] == [False, False, True, True, False]
    assert [cursor(client, partition) for partition in range(5)] == [b"5-0", b"0-0", b"0-0", b"5-0", b"5-0"]
    assert [client.xlen(keys.dead_key(partition)) for partition in range(5)] == [1, 0, 0, 1, 1]
    assert client.hgetall(keys.outcomes_key(4)) == {
        b"answered": b"1", b"rejected": b"1", b"frames": b"2", b"entries": b"1",
    }  # fmt: skip
    received = [listener.get_message(timeout=5) for _ in range(3)]
    expected = [keys.actions_channel(partition, "one").encode() for partition in (0, 3, 4)]
    assert [(one["channel"], one["data"]) for one in received] == [(at, b"[1]") for at in expected]
    listener.close()


def test_commits_with_many_replies_are_sent_in_several_calls(client: Any, committer: Committer) -> None:
    own(client, *range(6))
    sizes = (1, REPLIES_PER_SCRIPT + 1, 0, REPLIES_PER_SCRIPT, 1, 1)
    committer.send([commit_of(partition, replies=size) for partition, size in enumerate(sizes)])
    assert [[len(commit.replies) for commit in group] for group in committer._sent] == [
        [1], [REPLIES_PER_SCRIPT + 1], [0, REPLIES_PER_SCRIPT], [1, 1],
    ]  # fmt: skip
    assert [result for _, result, _ in committer.settle()] == [Result.DONE] * 6
    assert [int(client.hget(keys.outcomes_key(partition), "answered")) for partition in range(6)] == [*sizes]


def test_commits_after_the_server_forgot_the_script_are_done(client: Any, committer: Committer) -> None:
    own(client, 0, 1)
    committer.send([commit_of(0)])
    committer.settle()
    client.script_flush()
    committer.send([commit_of(1), commit_of(0)])
    assert [(commit.partition, result) for commit, result, _ in committer.settle()] == [
        (1, Result.DONE), (0, Result.DONE),
    ]  # fmt: skip


def test_commit_of_a_host_with_any_name_and_of_any_bytes_is_done(client: Any, committer: Committer) -> None:
    client.set(keys.lease_key(0), "h\u00e9-\u65e5:1")
    client.xgroup_create(keys.frames_key(0), keys.GROUP, "0-0", mkstream=True)
    client.xadd(keys.frames_key(0), {"s": "x"}, id="5-0")
    fields = [b"s", bytes(range(256)), b"cause", "\u65e5\r\n".encode(), b"empty", b""]
    committer.send([commit_of(0)._replace(token="h\u00e9-\u65e5:1", dead_letters=[fields])])
    assert [result for _, result, _ in committer.settle()] == [Result.DONE]
    ((_, found),) = client.xrange(keys.dead_key(0))
    assert found == dict(zip(fields[::2], fields[1::2], strict=True))


def test_wait_for_frames_ends_when_results_of_commits_arrive(real_server: Server) -> None:
    client = real_server.client
    own(client, 0)
    wake, pulse = os.pipe()
    committer, reader = Committer(client, dead_letters=100, dead_letter_bytes=100_000), StreamReader(client)
    reader.request({0: b"5-0"}, 1, 20_000)
    assert committer.due == ()
    committer.send([commit_of(0)])
    begun_s = time.monotonic()
    assert not reader.wait(20.0, (wake, *committer.due)), "there is no frame"
    assert time.monotonic() - begun_s < 10
    assert [result for _, result, _ in committer.settle()] == [Result.DONE]
    assert committer.due == ()
    client.xadd(keys.frames_key(0), {"s": "x"}, id="6-0")
    assert reader.wait(20.0, (wake,))
    assert [read.ids for read in reader.receive()] == [[b"6-0"]]
    for descriptor in (wake, pulse):
        os.close(descriptor)
    committer.close()
    reader.close()
