"""The frame path from entries to a commit: each frame ends in exactly one outcome."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesture_maze.wire import keys
from gesture_maze.wire.decode import FEW_FRAMES
from gesture_maze.wire.errors import RejectReason
from gesture_maze.wire.frames import Frame, pack, to_compact
from gesture_maze.wire.gestures import DEFAULT_ACTIONS, LABELS, LabelSet
from gesture_maze.worker.admit import Limits
from gesture_maze.worker.batch import Batch
from gesture_maze.worker.partition import Partition
from gesture_maze.worker.path import FramePath
from gesture_maze.worker.policy import Policy
from gesture_maze.worker.records import Commit, Grant, Read
from gesture_maze.worker.rules import Rules
from gesture_maze.worker.serving.serving import Serving

NOW_MS = 1_700_000_010_000
PARTITIONS = 4
HERE = [name for name in (f"p{n}" for n in range(99)) if keys.partition_of(name, PARTITIONS) == 1]
ELSEWHERE = next(name for name in (f"p{n}" for n in range(99)) if keys.partition_of(name, PARTITIONS) == 2)


class Faulty:
    """Model that returns the wrist's x as the label and raises for a negative one."""

    version = "faulty-1"

    def __init__(self) -> None:
        self.calls: list[int] = []

    def classify(
        self, landmarks: npt.NDArray[np.float32], aspect: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        self.calls.append(len(landmarks))
        labels = landmarks[:, 0, 0].astype(np.int64)
        if (labels < 0).any():
            raise RuntimeError("boom")
        return labels, np.full(len(labels), 0.9876, np.float32)


def frame_path(
    model: Any = None,
    threshold: float = 0.7,
    actions: Any = None,
    deadline_ms: int = 1000,
    supersede_ms: int = 500,
) -> FramePath:
    serving = Serving.of(model or Faulty(), threshold, actions or DEFAULT_ACTIONS)
    return FramePath(serving, Limits(deadline_ms, supersede_ms), Policy(Rules()), "w")


def partition() -> Partition:
    return Partition(Grant(1, "w:1", b"0-0", 0, None), PARTITIONS)


def frame(session: str, seq: int, gesture: str = "like", t: int = 0) -> Frame:
    landmarks = np.zeros((21, 3), np.float32)
    landmarks[0, 0] = LABELS.get(gesture, -1)
    return Frame(session, seq, t, landmarks)


def entry(*frames: Frame) -> list[bytes]:
    s, m, landmarks = pack(frames)
    return [b"s", s, b"m", m, b"l", landmarks]


def read(*entries: list[bytes], age_ms: int = 5) -> Read:
    ids = [f"{NOW_MS - age_ms}-{n}".encode() for n in range(len(entries))]
    return Read(1, ids, list(entries))


def process(path: FramePath, owned: Partition, got: Read) -> Batch:
    batch = path.begin([(owned, got)], NOW_MS)
    path.decode(batch)
    path.admit(batch)
    path.classify(batch)
    path.decide(batch)
    return batch


def run(path: FramePath, owned: Partition, got: Read) -> tuple[Commit, list[dict[str, Any]]]:
    commit = process(path, owned, got).parts[0].commit()
    owned.advance(commit)
    return commit, [json.loads(message) for _, message in published(commit)]


def published(commit: Commit) -> list[tuple[str, str]]:
    """Return the channel and message of each reply in the RESP of a commit."""
    found = []
    for reply in commit.replies:
        channel_size, channel, message_size, message, end = reply.split("\r\n")
        assert (channel_size, message_size, end) == (f"${len(channel)}", f"${len(message)}", "")
        found.append((channel, message))
    return found


def test_reply_names_the_hand_and_the_action_of_that_hand() -> None:
    path = frame_path(actions={"like": "up", "left:like": "left"})
    frames = [frame(HERE[0], 1), replace(frame(HERE[0], 2), left=True), Frame(HERE[0], 3, 0, None, left=True)]
    _, replies = run(path, partition(), read(entry(*frames)))
    assert [one["hand"] for one in replies] == ["right", "left", None]
    assert [one["action"] for one in replies] == ["up", "left", None]
    assert [one["gesture"] for one in replies] == ["like", "like", None]


def test_batches_around_swap_have_the_names_of_the_model_that_judged_them() -> None:
    path, owned = frame_path(actions={"like": "up", "swipe": "left"}), partition()
    labels = LabelSet(("palm", "swipe"), (8, 19))
    swapped = Serving.of(Faulty(), 0.7, {"like": "up", "swipe": "left"}, labels=labels)
    before = path.begin([(owned, read(entry(frame(HERE[0], 1, "fist"))))], NOW_MS)
    path.offer(swapped)
    for stage in (path.decode, path.admit, path.classify, path.decide):
        stage(before)
    _, [reply] = run(path, owned, read(entry(frame(HERE[0], 2, "fist"))))  # fist is label 1
    first = json.loads(published(before.parts[0].commit())[0][1])
    assert (first["gesture"], first["label"], first["action"]) == ("fist", 1, None)
    assert (reply["gesture"], reply["label"], reply["action"]) == ("swipe", 19, "left")


def outcomes(commit: Commit) -> dict[str, int]:
    return {name: n for name, n in commit.outcomes.items() if name not in ("frames", "entries") and n}


def test_frame_is_answered_on_the_channel_of_its_session() -> None:
    commit, replies = run(frame_path(), partition(), read(entry(frame(HERE[0], 7, "four", t=123))))
    assert published(commit)[0][0] == keys.actions_channel(1, HERE[0])
    assert replies == [
        {
            "v": 1, "session": HERE[0], "seq": 7, "t": 123, "gesture": "four", "label": 3,
            "confidence": 0.988, "hand": "right", "action": "right", "move": None, "model": "faulty-1",
        }
    ]  # fmt: skip
    assert (commit.last_id, commit.entries_read, outcomes(commit)) == (
        f"{NOW_MS - 5}-0".encode(),
        1,
        {"answered": 1},
    )


def test_replies_to_entry_with_reply_channel_are_one_message_in_order() -> None:
    ticks = [
        [*entry(frame(HERE[0], 1), frame(HERE[1], 1)), b"r", b"server-1"],
        entry(frame(HERE[0], 2)),
        [*entry(frame(HERE[0], 3), frame(HERE[1], 3)), b"r", b"server-2"],
    ]
    commit = process(frame_path(), partition(), read(*ticks)).parts[0].commit()
    found = [
        (channel, [(one["session"], one["seq"]) for one in as_list(json.loads(message))])
        for channel, message in published(commit)
    ]
    assert found == [
        ("actions:{1}:@server-1", [(HERE[0], 1), (HERE[1], 1)]),
        (keys.actions_channel(1, HERE[0]), [(HERE[0], 2)]),
        ("actions:{1}:@server-2", [(HERE[0], 3), (HERE[1], 3)]),
    ]
    assert outcomes(commit) == {"answered": 5}


def as_list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found]


def test_frames_without_answer_are_missing_from_message_on_reply_channel() -> None:
    tick = [*entry(frame(HERE[0], 1), frame(HERE[1], 1, "unknown"), frame(HERE[2], 1)), b"r", b"me"]
    again = [*entry(frame(HERE[0], 1)), b"r", b"me"]
    commit = process(frame_path(), partition(), read(tick, again)).parts[0].commit()
    ((_, message),) = published(commit)
    assert [one["session"] for one in json.loads(message)] == [HERE[0], HERE[2]]
    assert outcomes(commit) == {"answered": 2, "buried": 1, "duplicate": 1}
    assert commit.dead_letters[0][6:8] == [b"r", b"me"]


def test_entry_with_malformed_reply_channel_is_rejected() -> None:
    commit, replies = run(frame_path(), partition(), read([*entry(frame(HERE[0], 1)), b"r", b"a b"]))
    assert (replies, outcomes(commit)) == ([], {"rejected": 1})
    assert b"bad_reply_to" in commit.dead_letters[0]


def test_frame_without_a_hand_is_answered_without_a_gesture() -> None:
    _, (reply,) = run(frame_path(), partition(), read(entry(Frame(HERE[0], 1, 0, None))))
    assert (reply["gesture"], reply["label"], reply["confidence"], reply["action"]) == (None, None, 0.0, None)


def test_frame_below_the_threshold_has_no_action() -> None:
    _, (reply,) = run(frame_path(threshold=0.99), partition(), read(entry(frame(HERE[0], 1))))
    assert (reply["gesture"], reply["action"]) == ("like", None)


def test_actions_setting_maps_gestures_to_actions() -> None:
    path = frame_path(actions={"fist": "up"})
    _, replies = run(path, partition(), read(entry(frame(HERE[0], 1, "fist"), frame(HERE[1], 1, "like"))))
    assert [reply["action"] for reply in replies] == ["up", None]


def test_repeated_or_lower_seq_is_a_duplicate_within_and_across_batches() -> None:
    path, owned, here = frame_path(), partition(), HERE[0]
    first, replies = run(path, owned, read(entry(frame(here, 1)), entry(frame(here, 1), frame(here, 2))))
    assert [reply["seq"] for reply in replies] == [1, 2]
    again, _ = run(path, owned, read(entry(frame(here, 2)), entry(frame(here, 0)), entry(frame(here, 3))))
    owned.sessions.by_id[here.encode()].active_ms = 0
    third, _ = run(path, owned, read(entry(frame(here, 1))))
    counts = {"answered": 2, "duplicate": 1}, {"answered": 1, "duplicate": 2}, {"duplicate": 1}
    assert (outcomes(first), outcomes(again), outcomes(third)) == counts
    assert owned.sessions.forget_older(NOW_MS) == 0, "a duplicate keeps its session"


def test_frame_past_the_deadline_is_stale_and_its_retry_a_duplicate() -> None:
    path, owned = frame_path(), partition()
    stale, _ = run(path, owned, read(entry(frame(HERE[0], 1)), age_ms=1001))
    again, _ = run(path, owned, read(entry(frame(HERE[0], 1))))
    assert outcomes(stale) == {"stale": 1}
    assert outcomes(again) == {"duplicate": 1}


def test_frame_without_a_deadline_is_answered_at_any_age() -> None:
    old = read(entry(frame(HERE[0], 1)), age_ms=10**9)
    commit, _ = run(frame_path(deadline_ms=0, supersede_ms=0), partition(), old)
    assert outcomes(commit) == {"answered": 1}


def test_backlog_answers_only_the_newest_frame_of_each_session() -> None:
    got = read(entry(frame(HERE[0], 1), frame(HERE[1], 1)), entry(frame(HERE[0], 2)), age_ms=600)
    commit, replies = run(frame_path(), partition(), got)
    assert outcomes(commit) == {"superseded": 1, "answered": 2}
    assert [(reply["session"], reply["seq"]) for reply in replies] == [(HERE[1], 1), (HERE[0], 2)]


def test_frame_of_another_partition_is_rejected_and_its_neighbour_answered() -> None:
    commit, replies = run(frame_path(), partition(), read(entry(frame(ELSEWHERE, 1), frame(HERE[0], 1))))
    assert outcomes(commit) == {"rejected": 1, "answered": 1}
    assert [reply["session"] for reply in replies] == [HERE[0]]
    fields = commit.dead_letters[0]
    dead_letter = dict(zip(fields[::2], fields[1::2], strict=True))
    assert dead_letter[b"reason"] == b"wrong_partition"
    assert dead_letter[b"s"] == ELSEWHERE.encode()


@pytest.mark.parametrize(
    ("text", "session"),
    [
        ('{"session": "ann", "seq": 1, "t": 0, "landmarks": [[1, 2]]}', "ann"),
        ('{"landmarks": [], "seq": -1, "t": 0, "session":"ann"}', "ann"),
        ('{"session": "no such name", "seq": 1}', ""),
        ('[{"session": "ann", "seq": 1', "ann"),
        ('[{"session": "ann"}, {"session": "bob"}, ', ""),
        ("[", ""),
        ("", ""),
    ],
)
def test_rejected_frame_names_its_session_if_readable(text: str, session: str) -> None:
    batch = process(frame_path(), partition(), read([b"json", text.encode()]))
    assert [one.session for one in batch.parts[0].rejected] == [session]


def test_dead_letter_of_many_fields_is_truncated() -> None:
    commit, _ = run(frame_path(), partition(), read([b"x", b"y"] * 5000))
    assert len(commit.dead_letters[0]) < 300


def test_dead_letter_over_the_size_limit_is_truncated_and_records_its_size() -> None:
    commit, _ = run(frame_path(), partition(), read([b"x", b"y" * 900_000]))
    fields = commit.dead_letters[0]
    assert sum(map(len, fields)) < 20_000
    assert dict(zip(fields[::2], fields[1::2], strict=True))[b"cut"] == b"900001"


def test_frame_that_fails_is_buried_with_its_cause_and_the_rest_are_answered() -> None:
    model = Faulty()
    got = read(entry(frame(HERE[0], 1), frame(HERE[1], 1, "poison")), entry(frame(HERE[2], 1)))
    commit, replies = run(frame_path(model), partition(), got)
    assert outcomes(commit) == {"answered": 2, "buried": 1}
    assert {reply["session"] for reply in replies} == {HERE[0], HERE[2]}
    fields = commit.dead_letters[0]
    dead_letter = dict(zip(fields[::2], fields[1::2], strict=True))
    assert dead_letter[b"reason"] == RejectReason.PROCESSING_FAILED.encode()
    assert dead_letter[b"cause"] == b"RuntimeError('boom')"
    assert model.calls == [3, 1, 2, 1, 1], "together, then by halves; three calls held the one that fails"


def test_single_frame_that_fails_is_tried_three_times() -> None:
    model = Faulty()
    commit, _ = run(frame_path(model), partition(), read(entry(frame(HERE[0], 1, "poison"))))
    assert outcomes(commit) == {"buried": 1}
    assert model.calls == [1, 1, 1]


def test_model_that_always_fails_is_not_called_once_per_frame() -> None:
    model = Faulty()
    entries = [entry(*(frame(HERE[n], seq, "poison") for n in range(8))) for seq in range(64)]
    commit, _ = run(frame_path(model), partition(), read(*entries))
    assert outcomes(commit) == {"buried": 512}
    assert len(model.calls) == 65


@pytest.mark.parametrize("step", [2, 3, 64])
def test_sound_frames_among_many_that_fail_are_all_answered(step: int) -> None:
    """Every second, every third, or all but each 64th frame fails."""
    model = Faulty()
    sound = {n for n in range(1024) if (n % step == 1 if step == 64 else n % step)}
    frames = [frame(HERE[n % 8], n, "like" if n in sound else "poison") for n in range(1024)]
    entries = [entry(*frames[begin : begin + 8]) for begin in range(0, 1024, 8)]
    commit, replies = run(frame_path(model), partition(), read(*entries))
    assert outcomes(commit) == {"answered": len(sound), "buried": 1024 - len(sound)}
    assert {reply["seq"] for reply in replies} == sound
    assert len(model.calls) <= 2 * 1024 + 64


@pytest.mark.parametrize(
    ("label", "confidence"),
    [(3, float("nan")), (3, float("inf")), (3, 1.5), (3, -0.5), (-1, 0.9), (19, 0.9), (2**40, 0.9)],
)
@pytest.mark.parametrize("others", [1, FEW_FRAMES])
def test_model_output_out_of_range_buries_the_frame(label: int, confidence: float, others: int) -> None:
    class Nonsense:
        version = "nonsense-1"

        def classify(self, landmarks: Any, aspect: Any) -> Any:
            hit = landmarks[:, 0, 0] == LABELS["fist"]
            labels = np.where(hit, label, landmarks[:, 0, 0]).astype(np.int64)
            return labels, np.where(hit, confidence, 0.9).astype(np.float32)

    got = read(entry(frame(HERE[0], 1, "fist"), *(frame(HERE[1], seq, "like") for seq in range(others))))
    commit, replies = run(frame_path(Nonsense()), partition(), got)
    assert outcomes(commit) == {"answered": others, "buried": 1}
    assert [reply["gesture"] for reply in replies] == ["like"] * others


def test_compact_frame_is_rejected_by_a_model_that_needs_z() -> None:
    path = frame_path()
    points = np.full((1, 21, 3), 0.5, np.float32)
    compact = to_compact(points, np.array([True]))
    s, m, full = pack([frame(HERE[0], 1)])
    entries = [[b"s", s, b"m", m, b"c", compact], entry(frame(HERE[1], 1))]
    path.offer(Serving.of(Faulty(), 0.7, DEFAULT_ACTIONS, needs_z=True))
    commit, replies = run(path, partition(), read(*entries))
    assert outcomes(commit) == {"answered": 1, "rejected": 1}
    assert commit.dead_letters[0][-5] == RejectReason.NEEDS_Z.encode()
    assert [reply["session"] for reply in replies] == [HERE[1]]
    assert full


def test_rebuild_from_past_entries_restores_the_session_state() -> None:
    past = [entry(frame(HERE[0], seq, "like", t=seq * 40)) for seq in range(10)]
    live, rebuilt = partition(), partition()
    path = frame_path()
    run(path, live, read(*past))
    path.rebuild(rebuilt, [read(*past)], NOW_MS)
    following = read(*[entry(frame(HERE[0], seq, "like", t=seq * 40)) for seq in range(10, 30)])
    expected = run(path, live, following)[1]
    assert [reply["move"] for reply in expected].count("up") == 3
    assert run(path, rebuilt, following)[1] == expected


ENTRIES = st.lists(
    st.one_of(
        st.lists(
            st.tuples(
                st.sampled_from([*HERE[:4], ELSEWHERE]),
                st.integers(0, 6),
                st.sampled_from(["like", "poison"]),
            ),
            min_size=1,
            max_size=4,
        ),
        st.sampled_from([[b"x", b"y"], [b"json", b"nonsense"], [b"s", b"a", b"m", b"", b"l", b""]]),
    ),
    min_size=1,
    max_size=12,
)


@given(ENTRIES, st.integers(0, 2000))
def test_frame_ends_in_exactly_one_outcome(entries: list[Any], age_ms: int) -> None:
    raw = [e if isinstance(e[0], bytes) else entry(*(frame(*one) for one in e)) for e in entries]
    frames = sum(1 if isinstance(e[0], bytes) else len(e) for e in entries)
    commit, replies = run(frame_path(), partition(), read(*raw, age_ms=age_ms))
    counted = Counter(outcomes(commit))
    assert counted.total() == commit.outcomes["frames"] == frames
    assert counted["answered"] == len(replies)
    assert counted["rejected"] + counted["buried"] == len(commit.dead_letters)
    seqs: dict[str, int] = {}
    for reply in replies:
        assert reply["seq"] > seqs.get(reply["session"], -1), "seqs on a channel strictly rise"
        seqs[reply["session"]] = reply["seq"]
