"""The contract of a worker with Redis: one suite on fakeredis, Valkey and Redis."""

from __future__ import annotations

import json
import time
from typing import Any

from gesture_maze.wire import keys
from gesture_maze.wire.frames import Frame, pack
from tests.support.pool import (
    STREAM,
    A,
    B,
    Subscriber,
    add,
    hand,
    joined,
    outcomes,
    sessions_of,
    standing,
)


def test_frames_sent_before_and_after_the_worker_joins_are_answered_in_order(
    client: Any, replies: Subscriber
) -> None:
    add(client, hand(A, 1), hand(B, 1))
    worker = joined(client)
    for seq in (2, 3):
        add(client, hand(A, seq))
    worker.work()
    assert replies.seqs(A) == [1, 2, 3]
    assert replies.seqs(B) == [1]
    assert outcomes(client, 1) == {"answered": 4, "frames": 4, "entries": 3}


def test_group_after_commits_has_the_cursor_and_no_lag(client: Any) -> None:
    worker = joined(client)
    last = [add(client, hand(A, seq)) for seq in range(5)][-1]
    assert standing(client)["lag"] == 5
    worker.work()
    found = standing(client)
    assert (found["last-delivered-id"], found["entries-read"], found["lag"]) == (last, 5, 0)
    assert found["pending"] == 0, "there is no list of pending entries"


def test_json_entry_written_by_hand_is_answered(client: Any, replies: Subscriber) -> None:
    worker = joined(client)
    client.execute_command(
        "XADD", STREAM, "*", "json", json.dumps({"session": A, "seq": 1, "t": 5, "landmarks": []})
    )
    worker.work()
    assert [(reply["seq"], reply["t"], reply["gesture"]) for reply in replies.read()] == [(1, 5, None)]


def test_bad_frames_become_dead_letters_and_valid_frames_are_answered(
    client: Any, replies: Subscriber
) -> None:
    worker = joined(client)
    text = [
        {"session": A, "seq": 1, "t": 0, "landmarks": []},
        {"session": A, "seq": "2", "t": 0, "landmarks": []},
    ]
    client.xadd(STREAM, {"json": json.dumps(text)})
    client.xadd(STREAM, {"nonsense": "x" * 10})
    elsewhere = sessions_of(2, 1)[0]
    wrong = client.xadd(
        STREAM, {"json": json.dumps({"session": elsewhere, "seq": 1, "t": 0, "landmarks": []})}
    )
    add(client, hand(B, 1))
    worker.work()
    assert (replies.seqs(A), replies.seqs(B)) == ([1], [1])
    dead_letters = [fields for _, fields in client.xrange(keys.dead_key(1))]
    assert sorted(dead_letter[b"reason"] for dead_letter in dead_letters) == [
        b"bad_seq",
        b"unknown_encoding",
        b"wrong_partition",
    ]
    assert {dead_letter[b"worker"] for dead_letter in dead_letters} == {b"a"}
    assert next(x[b"entry"] for x in dead_letters if x[b"reason"] == b"wrong_partition") == wrong
    assert outcomes(client, 1) == {"answered": 2, "rejected": 3, "frames": 5, "entries": 4}
    assert worker.count("maze_frames_rejected_total", reason="bad_seq") == 1


def test_entry_with_thousands_of_fields_is_rejected(client: Any) -> None:
    worker = joined(client)
    client.xadd(STREAM, {f"field-{n}": "x" for n in range(9000)})
    add(client, hand(A, 1))
    worker.work()
    assert outcomes(client, 1) == {"answered": 1, "rejected": 1, "frames": 2, "entries": 2}
    assert client.xlen(keys.dead_key(1)) == 1


def test_retried_frame_is_answered_once(client: Any, replies: Subscriber) -> None:
    worker = joined(client)
    for _ in range(2):
        add(client, hand(A, 1))
    worker.work()
    add(client, hand(A, 1))
    worker.work()
    assert replies.seqs() == [1]
    assert outcomes(client, 1)["duplicate"] == 2


def test_scripts_after_script_flush_are_loaded_again(client: Any, replies: Subscriber) -> None:
    a = joined(client)
    add(client, hand(A, 1))
    a.work()
    client.script_flush()
    add(client, hand(A, 2))
    a.work()
    assert replies.seqs() == [1, 2]


def test_entries_trimmed_before_reading_are_counted(client: Any, replies: Subscriber) -> None:
    a = joined(client)
    add(client, hand(A, 1))
    a.work()
    with client.pipeline(transaction=True) as together:  # a blocked read sees only the remaining entries
        for seq in range(2, 12):
            s, m, landmarks = pack([hand(A, seq)])
            together.xadd(STREAM, {"s": s, "m": m, "l": landmarks})
        together.xtrim(STREAM, maxlen=3, approximate=False)
        together.execute()
    a.work()
    a.keeper._next_survey_s = 0.0
    a.keeper.step(time.monotonic())
    a.loop._retention._next_sweep_s = 0.0
    a.work()
    assert replies.seqs() == [1, 9, 10, 11]
    assert outcomes(client, 1) == {"answered": 4, "trimmed": 7, "frames": 4, "entries": 4}
    assert standing(client)["entries-read"] == 11


def test_retention_trims_only_committed_entries(client: Any) -> None:
    a = joined(client, retention_ms=2, deadline_ms=0, supersede_ms=0, rebuild_ms=1)
    for seq in range(300):
        add(client, hand(A, seq))
    a.work(20)
    a.keeper._next_survey_s = 0.0
    a.keeper.step(time.monotonic())
    a.loop._retention._next_sweep_s = 0.0
    waiting = add(client, hand(A, 1000))
    a.work()
    kept = client.xrange(STREAM)
    assert len(kept) <= 200, "approximate trimming works by nodes of a hundred"
    assert kept[-1][0] == waiting
    assert outcomes(client, 1)["answered"] == 301


def test_frame_older_than_its_deadline_is_shed_as_stale(client: Any, replies: Subscriber) -> None:
    a = joined(client)
    seconds, micros = client.time()
    now_ms = seconds * 1000 + micros // 1000
    add(client, hand(A, 1), entry_id=f"{now_ms - 1500}-0")
    add(client, hand(A, 2))
    a.work()
    assert replies.seqs() == [2]
    assert outcomes(client, 1)["stale"] == 1


def test_outcomes_key_of_a_wrong_type_does_not_stop_the_replies(client: Any, replies: Subscriber) -> None:
    a = joined(client)
    client.set(keys.outcomes_key(1), "not a hash")
    add(client, hand(A, 1))
    a.work()
    assert replies.seqs() == [1]
    assert a.count("maze_redis_errors_total", operation="commit") == 1


def test_frame_without_a_hand_is_answered_without_the_model(client: Any, replies: Subscriber) -> None:
    a = joined(client)
    add(client, Frame(A, 1, 0, None))
    a.work()
    assert [reply["confidence"] for reply in replies.read()] == [0.0]
    assert a.count("model_predictions_total") == 0
