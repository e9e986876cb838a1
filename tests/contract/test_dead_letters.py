"""Dead letters are listed, redriven once and purged, on every server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gesture_maze.producer import Backpressure
from gesture_maze.wire import keys
from gesture_maze.worker.redis.dead_letters import DeadLetters, preview
from tests.support.pool import PARTITIONS, HandWorker, add, hand, outcomes, sessions_of
from tests.support.servers import Server


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    HandWorker.close_all()


@pytest.fixture
def dead_letters(server: Server) -> DeadLetters:
    """Two dead letters on partition 1, one on partition 3, written by a worker in this order: 1, 3, 1."""
    worker = HandWorker(server.client)
    worker.join()
    for partition, fields in ((1, {"foo": "bar"}), (3, {"json": "{"}), (1, {"json": "[]"})):
        server.client.xadd(keys.frames_key(partition), fields)
        worker.work()
    return DeadLetters(server.client, PARTITIONS)


def test_dead_letters_of_all_partitions_are_listed_newest_first(dead_letters: DeadLetters) -> None:
    found = dead_letters.newest()
    assert [(one.partition, one.reason) for one in found] == [
        (1, "bad_json"), (3, "bad_json"), (1, "unknown_encoding"),
    ]  # fmt: skip
    assert found[2].fields == (b"foo", b"bar")
    assert found[2].worker == "a"
    assert found[0].entry.count("-") == 1


def test_dead_letters_by_partition_reason_and_limit_are_filtered(dead_letters: DeadLetters) -> None:
    assert [one.partition for one in dead_letters.newest(partition=3)] == [3]
    assert [one.partition for one in dead_letters.newest(reason="bad_json")] == [1, 3]
    assert [one.partition for one in dead_letters.newest(reason="bad_json", limit=1)] == [1]
    assert dead_letters.newest(reason="no_such") == []


def test_dead_letters_beyond_one_page_are_all_listed(server: Server) -> None:
    for number in range(250):
        server.client.xadd(
            keys.dead_key(number % 2),
            {"n": str(number), "reason": "r", "entry": "1-1", "worker": "w"},
            id=f"{number + 1}-0",
        )
    found = DeadLetters(server.client, PARTITIONS).newest()
    assert [int(one.fields[1]) for one in found] == list(range(249, -1, -1))


def test_dead_letter_by_partition_and_id_is_found(dead_letters: DeadLetters) -> None:
    one = dead_letters.newest(limit=1)[0]
    assert dead_letters.get(one.partition, one.dead_id) == one
    assert dead_letters.get(one.partition, b"1-1") is None


def test_dead_letter_redriven_twice_is_sent_once(server: Server, dead_letters: DeadLetters) -> None:
    one = dead_letters.newest(partition=3)[0]
    before = server.client.xlen(keys.frames_key(3))
    entry = dead_letters.redrive(one)
    assert entry is not None
    assert dead_letters.redrive(one) is None
    assert server.client.xlen(keys.frames_key(3)) == before + 1
    ((_, fields),) = server.client.xrange(keys.frames_key(3), entry, entry) or [(None, None)]
    assert b"{" in (fields.values() if isinstance(fields, dict) else fields)
    assert b"reason" not in fields
    assert dead_letters.newest(partition=3) == []


def test_redriven_frame_without_its_fault_is_answered_once(server: Server) -> None:
    early, late = sessions_of(2, 2)
    broken = HandWorker(server.client, "a", model=Broken(), deadline_ms=0)
    broken.join()
    add(server.client, hand(early, 1), entry_id="1000-0")
    add(server.client, hand(late, 1), entry_id="2000-0")
    broken.work()
    dead_letters = DeadLetters(server.client, PARTITIONS)
    _, dead_letter = dead_letters.newest(reason="processing_failed")
    assert preview(dead_letter).session == early
    broken.loop.drain()

    # the new owner does not rebuild sessions as far back as the dead-lettered frame
    whole = HandWorker(server.client, "b", rebuild_ms=100, deadline_ms=0)
    whole.join()
    dead_letters.redrive(dead_letter)
    dead_letters.redrive(dead_letter)
    whole.work()
    assert outcomes(server.client, 2) == {"frames": 3, "entries": 3, "buried": 2, "answered": 1}


class Broken:
    version = "broken-1"

    def classify(self, landmarks: object, aspect: object) -> tuple[object, object]:
        raise ValueError("no")


def test_redrive_out_of_memory_keeps_the_dead_letter(real_server: Server) -> None:
    client = real_server.client
    worker = HandWorker(client)
    worker.join()
    client.xadd(keys.frames_key(0), {"foo": "bar"})
    worker.work()
    dead_letters = DeadLetters(client, PARTITIONS)
    (dead_letter,) = dead_letters.newest()
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(Backpressure, match="was not redriven"):
            dead_letters.redrive(dead_letter)
    finally:
        client.config_set("maxmemory", 0)
    assert dead_letters.newest() == [dead_letter]


def test_purge_of_a_partition_keeps_the_dead_letters_of_others(dead_letters: DeadLetters) -> None:
    assert dead_letters.purge(dead_letters.newest(partition=1)) == 2
    assert dead_letters.purge([]) == 0
    assert [one.partition for one in dead_letters.newest()] == [3]


def test_dead_letter_of_a_foreign_writer_is_listed_and_redriven_unchanged(server: Server) -> None:
    server.client.xadd(keys.dead_key(0), {"json": "{}"})
    dead_letters = DeadLetters(server.client, PARTITIONS)
    (dead_letter,) = dead_letters.newest()
    assert (dead_letter.reason, dead_letter.fields) == ("", (b"json", b"{}"))
    assert dead_letters.redrive(dead_letter) is not None
    assert server.client.xlen(keys.frames_key(0)) == 1
