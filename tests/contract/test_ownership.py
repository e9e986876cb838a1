"""Ownership of partitions: leases, epochs, and the frames of an owner that changes or dies."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest

from gesture_maze.wire import keys
from gesture_maze.wire.errors import RedisRefused, SettingsError
from gesture_maze.worker import keeper as keeper_module
from tests.support.pool import (
    PARTITIONS,
    STREAM,
    A,
    B,
    HandWorker,
    Subscriber,
    add,
    hand,
    joined,
    outcomes,
    sessions_of,
    standing,
)
from tests.support.servers import Server


def test_partitions_after_a_join_and_a_drain_are_rebalanced(client: Any, replies: Subscriber) -> None:
    a = joined(client)
    add(client, hand(A, 1))
    a.work()
    b = HandWorker(client, "b")
    b.join()
    a.join()
    a.work()
    b.join()
    b.work()
    assert [len(w.loop.partitions) for w in (a, b)] == [2, 2]
    add(client, hand(A, 2))
    a.work()
    b.work()
    b.loop.drain()
    a.join()
    a.work()
    assert len(a.loop.partitions) == PARTITIONS
    add(client, hand(A, 3))
    a.work()
    assert replies.seqs() == [1, 2, 3]
    assert b.count("maze_fenced_commits_total", by="redis") == 0


def test_gesture_held_across_a_handover_is_not_reset(client: Any, replies: Subscriber) -> None:
    a = joined(client)
    for seq in range(4):
        add(client, hand(A, seq))
    a.work()
    a.loop.drain()
    b = joined(client, "b")
    add(client, hand(A, 3))
    for seq in range(4, 12):
        add(client, hand(A, seq))
    b.work()
    assert replies.seqs() == list(range(12)), "the last seq is known too: 3 was a repetition"
    moves = [(reply["seq"], reply["move"]) for reply in replies.replies if reply["move"]]
    # held since seq 2; without the rebuilt state it would settle again at seq 6
    assert moves == [(2, "up")]


def test_keeper_whose_step_fails_logs_it_and_keeps_its_leases(
    client: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(keeper_module, "RETRY_S", 0.0)
    worker = joined(client)
    stop, steps = threading.Event(), 0

    def step(_now_s: float) -> None:
        nonlocal steps
        steps += 1
        if steps < 3:
            raise ValueError("not a number")
        stop.set()

    monkeypatch.setattr(worker.keeper, "step", step)
    worker.keeper.run(stop, time.monotonic)
    assert capsys.readouterr().err.count("keeper_failed") == 2
    assert len(worker.keeper.held()) == PARTITIONS


def test_worker_with_a_lost_lease_commits_nothing(client: Any, replies: Subscriber) -> None:
    a = joined(client)
    add(client, hand(A, 1))
    client.set(keys.lease_key(1), "thief:99999999999999")
    a.work()
    assert replies.seqs() == []
    assert outcomes(client, 1) == {}
    assert standing(client)["last-delivered-id"] == b"0-0"
    assert a.count("maze_fenced_commits_total", by="redis") == 1
    assert 1 not in a.loop.partitions
    client.delete(keys.lease_key(1))
    a.join()
    a.work()
    assert replies.seqs() == [1], "taken again, from the cursor"


def test_lease_that_is_not_renewed_is_not_used(client: Any, replies: Subscriber) -> None:
    a = HandWorker(client)
    # renewed over 0.7 of the lease's time ago: the worker stops by its own clock, before the lease ends
    a.keeper.step(time.monotonic() - 0.75 * a.settings.lease_ttl_ms / 1000)
    a.work()
    add(client, hand(A, 1))
    a.work(3)
    assert a.count("maze_fenced_commits_total", by="clock") == 1
    assert replies.seqs() == []


def test_epochs_of_successive_owners_increase(client: Any) -> None:
    seen = []
    for name in "abc":
        worker = joined(client, name)
        seen.append(int(client.get(keys.lease_key(1)).decode().rpartition(":")[2]))
        worker.loop.drain()
    assert seen == sorted(set(seen))
    client.set(keys.epoch_key(1), str(10**15))
    joined(client, "d")
    assert client.get(keys.lease_key(1)) == b"d:%d" % (10**15 + 1)


def test_reconnect_takes_a_new_epoch_and_answers_each_frame_once(client: Any, replies: Subscriber) -> None:
    a = joined(client)
    add(client, hand(A, 1))
    a.work()
    before = client.get(keys.lease_key(1))
    add(client, hand(A, 2))
    a.loop.reconnect()
    a.work()
    assert client.get(keys.lease_key(1)) != before
    assert replies.seqs() == [1, 2]


def test_topology_takes_compact_landmarks_while_every_live_worker_does(client: Any) -> None:
    a, b = HandWorker(client, "a"), HandWorker(client, "b")
    found = []
    for worker, info in ((a, COMPACT), (b, COMPACT), (b, FULL), (a, COMPACT), (b, COMPACT)):
        worker.keeper.describe(info)
        worker.join()
        found.append(client.hget(keys.TOPOLOGY, "compact"))
    assert found == [b"1", b"1", b"0", b"0", b"1"]
    b.keeper.describe("{}")  # an older worker
    b.join()
    assert client.hget(keys.TOPOLOGY, "compact") == b"0"
    b.loop.drain()
    a.join()
    assert client.hget(keys.TOPOLOGY, "compact") == b"1"


COMPACT, FULL = json.dumps({"compact": True}), json.dumps({"compact": False})


def test_pool_after_flushall_recreates_its_keys(client: Any, replies: Subscriber) -> None:
    a = joined(client)
    add(client, hand(A, 1))
    a.work()
    client.flushall()
    a.join()
    a.work()
    assert len(a.loop.partitions) == PARTITIONS
    assert client.hgetall(keys.TOPOLOGY) == {b"version": b"1", b"partitions": b"4"}
    add(client, hand(A, 2))
    a.work()
    assert replies.seqs() == [1, 2]
    assert outcomes(client, 1) == {"answered": 1, "frames": 1, "entries": 1}


def test_destroyed_group_is_recreated_at_the_worker_cursor(client: Any, replies: Subscriber) -> None:
    a = joined(client)
    add(client, hand(A, 1))
    a.work()
    client.xgroup_destroy(STREAM, keys.GROUP)
    add(client, hand(A, 2))
    a.work()
    assert replies.seqs() == [1, 2]
    assert standing(client)["lag"] == 0


def test_worker_with_another_topology_does_not_start(client: Any) -> None:
    client.hset(keys.TOPOLOGY, mapping={"version": 1, "partitions": 64})
    with pytest.raises(SettingsError, match="--partitions 64"):
        HandWorker(client).join()


def test_stream_replaced_by_another_type_stops_only_its_partition(real_server: Server) -> None:
    client = real_server.client
    elsewhere = sessions_of(2, 1)[0]
    replies = Subscriber(client, A, elsewhere)
    a = joined(client)
    client.delete(STREAM)
    client.set(STREAM, "not a stream")
    with pytest.raises(RedisRefused):
        a.work(50)  # the blocked read must end first
    a.loop.reconnect()
    add(client, hand(elsewhere, 1))
    a.work()
    assert (sorted(a.loop.partitions), replies.seqs()) == ([0, 2, 3], [1])
    client.delete(STREAM)
    add(client, hand(A, 2))
    a.join()
    a.work()
    assert replies.seqs(A) == [2]
    replies.close()
    HandWorker.close_all()


def test_partition_of_a_wrong_type_at_start_does_not_block_the_rest(client: Any, replies: Subscriber) -> None:
    client.set(STREAM, "not a stream")
    a = HandWorker(client)
    a.join()
    a.work()
    assert sorted(a.loop.partitions) == [0, 2, 3]


class _Dies(BaseException):
    """Simulate the death of the process in the middle of a batch."""


class _KillsOn:
    version = "kills-1"

    def __init__(self, label: int) -> None:
        self.label = label

    def classify(self, landmarks: Any, aspect: Any) -> Any:
        labels = landmarks[:, 0, 0].astype(int)
        if (labels == self.label).any():
            raise _Dies
        return labels, aspect * 0 + 0.95


def _survivor_of(client: Any, names: str, **limits: int) -> tuple[HandWorker, int]:
    """Let owners whose model kills them on "rock" work in turn, until one of them survives.

    Args:
        client: a redis-py client.
        names: of the owners, one letter each.
        limits: settings of theirs.

    Returns:
        The owner that survives, and the number of those that died before it.
    """
    for deaths, name in enumerate(names):
        worker = HandWorker(client, name, model=_KillsOn(11), **limits)
        worker.join()
        try:
            worker.work()
        except _Dies:
            worker.broker.release_dead(name)
        else:
            return worker, deaths
    pytest.fail(f"all of {names} died")


def test_frame_that_kills_three_workers_is_dead_lettered_and_the_rest_are_answered(
    client: Any, replies: Subscriber
) -> None:
    add(client, hand(A, 1), hand(B, 1, "rock"), hand(A, 2))
    add(client, hand(A, 3))
    _, deaths = _survivor_of(client, "abcde", deadline_ms=0, supersede_ms=0)
    assert deaths == 3
    assert (replies.seqs(A), replies.seqs(B)) == ([1, 2, 3], [])
    (dead_letter,) = (fields for _, fields in client.xrange(keys.dead_key(1)))
    assert (dead_letter[b"reason"], dead_letter[b"s"]) == (b"killed_worker", B.encode())
    assert outcomes(client, 1) == {"answered": 3, "buried": 1, "frames": 4, "entries": 2}


def test_frames_after_deaths_of_idle_workers_are_answered(client: Any, replies: Subscriber) -> None:
    """Workers die while idle: entries added later are not suspect."""
    for name in "abcde":
        joined(client, name).broker.release_dead(name)
    worker = joined(client, "f")
    add(client, hand(A, 1))
    worker.work()
    assert replies.seqs() == [1]
    assert outcomes(client, 1) == {"answered": 1, "frames": 1, "entries": 1}


def test_dead_lettered_frame_during_session_rebuild_is_not_classified(
    client: Any, replies: Subscriber
) -> None:
    add(client, hand(A, 1))
    add(client, hand(B, 1, "rock"))
    for name in "abc":
        worker = HandWorker(client, name, model=_KillsOn(11), deadline_ms=0, supersede_ms=0)
        worker.join()
        with pytest.raises(_Dies):
            worker.work()
        worker.broker.release_dead(name)
    burier = HandWorker(client, "d", model=_KillsOn(11), deadline_ms=0, supersede_ms=0)
    burier.join()
    burier.work()
    burier.loop.drain()
    successor = HandWorker(client, "e", model=_KillsOn(11), deadline_ms=0, supersede_ms=0)
    successor.join()
    add(client, hand(A, 1), hand(A, 2))
    successor.work()
    assert replies.seqs() == [1, 2]
    assert outcomes(client, 1)["duplicate"] == 1


def test_stale_frame_during_session_rebuild_is_not_classified(client: Any, replies: Subscriber) -> None:
    first = HandWorker(client, "a", model=_KillsOn(11), deadline_ms=0)
    add(client, hand(B, 1, "rock"))
    first.join()
    with pytest.raises(_Dies):
        first.work()
    first.broker.release_dead("a")
    time.sleep(0.1)
    second = HandWorker(client, "b", model=_KillsOn(11), deadline_ms=50)
    second.join()
    second.work()
    assert outcomes(client, 1)["stale"] == 1
    second.broker.release_dead("b")
    third = HandWorker(client, "c", model=_KillsOn(11), deadline_ms=0)
    third.join()
    add(client, hand(A, 1))
    third.work()
    assert replies.seqs() == [1]


@pytest.mark.parametrize("outcome", ["stale", "superseded"])
def test_frame_never_classified_that_kills_during_session_rebuild_kills_one_worker(
    client: Any, replies: Subscriber, outcome: str
) -> None:
    second_ago = f"{round(time.time() * 1000) - 1000}-0"
    add(client, hand(B, 1, "rock"), hand(B, 2), entry_id=second_ago)
    limits = {"deadline_ms": 50} if outcome == "stale" else {"deadline_ms": 60_000, "supersede_ms": 50}
    first = joined(client, model=_KillsOn(11), **limits)
    first.work()
    assert outcomes(client, 1)[outcome] >= 1
    first.loop.drain()
    worker, deaths = _survivor_of(client, "bcd", deadline_ms=0)
    add(client, hand(A, 1))
    worker.work()
    assert deaths == 1
    assert replies.seqs(A) == [1]


def test_suspect_ranges_after_further_deaths_are_kept(client: Any) -> None:
    for name in "abc":
        add(client, hand(A, ord(name)))
        worker = joined(client, name, deadline_ms=0)
        worker.work()
        add(client, hand(A, 1000 + ord(name)))
        worker.broker.release_dead(name)
    grant = joined(client, "d").loop.partitions[1].grant
    ids = [entry_id for entry_id, _ in client.xrange("frames:{1}")]
    unsafe = [one for one in ids if any(after < one <= until for after, until in grant.unsafe)]
    assert unsafe == [ids[1], ids[2], ids[3], ids[4], ids[5]]


@pytest.mark.parametrize("how", ["reconnects", "is released"])
def test_suspects_after_a_reconnect_or_a_release_are_kept(client: Any, replies: Subscriber, how: str) -> None:
    """The next owner loses its connection, or drains, before it processes an entry."""
    add(client, hand(A, 1), hand(B, 1, "rock"))
    first = HandWorker(client, "a", model=_KillsOn(11), deadline_ms=0, supersede_ms=0)
    first.join()
    with pytest.raises(_Dies):
        first.work()
    first.broker.release_dead("a")
    second = HandWorker(client, "b", model=_KillsOn(11), deadline_ms=0, supersede_ms=0)
    second.join()
    suspect_until = second.keeper.held()[1].suspect_until
    assert suspect_until is not None
    if how == "reconnects":
        second.keeper.acquire(1, time.monotonic())
        assert second.keeper.held()[1].suspect_until == suspect_until
    else:
        second.keeper.release([1])
        third = HandWorker(client, "c", deadline_ms=0, supersede_ms=0)
        third.keeper.acquire(1, time.monotonic())
        assert third.keeper.held()[1].suspect_until == suspect_until
