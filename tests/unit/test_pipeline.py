"""From entries to effects: every frame ends in exactly one outcome, and its neighbours do not care."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesture_maze.wire import keys
from gesture_maze.wire.errors import RejectReason
from gesture_maze.wire.frames import Frame, pack
from gesture_maze.wire.gestures import DEFAULT_ACTIONS, LABELS
from gesture_maze.worker.partition import Partition
from gesture_maze.worker.pipeline import Pipeline
from gesture_maze.worker.policy import Policy, Rules
from gesture_maze.worker.records import Commit, Grant, Read

NOW_MS = 1_700_000_010_000
PARTITIONS = 4
HERE = [name for name in (f"p{n}" for n in range(99)) if keys.partition_of(name, PARTITIONS) == 1]
ELSEWHERE = next(name for name in (f"p{n}" for n in range(99)) if keys.partition_of(name, PARTITIONS) == 2)


class Faulty:
    """Sees in the wrist's x which gesture is meant; negative ones it cannot bear."""

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


def pipeline(model: Any = None, **changed: Any) -> Pipeline:
    settings: dict[str, Any] = {
        "threshold": 0.7, "actions": DEFAULT_ACTIONS, "deadline_ms": 1000, "supersede_ms": 500, "worker": "w",
    }  # fmt: skip
    return Pipeline(model or Faulty(), policy=Policy(Rules()), **settings | changed)


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


def run(pipe: Pipeline, owned: Partition, got: Read, **options: Any) -> tuple[Commit, list[dict[str, Any]]]:
    (commit,), _ = pipe.run([(owned, got)], NOW_MS, **options)
    return commit, [json.loads(text) for text in commit.replies[1::2]]


def outcomes(commit: Commit) -> dict[str, int]:
    return {name: n for name, n in commit.outcomes.items() if name not in ("frames", "entries") and n}


def test_a_frame_is_answered_on_its_own_channel() -> None:
    commit, replies = run(pipeline(), partition(), read(entry(frame(HERE[0], 7, "four", t=123))))
    assert commit.replies[0] == keys.actions_channel(1, HERE[0]).encode()
    assert replies == [
        {
            "v": 1, "session": HERE[0], "seq": 7, "t": 123, "gesture": "four", "label": 3,
            "confidence": 0.988, "action": "right", "move": None, "model": "faulty-1",
        }
    ]  # fmt: skip
    assert (commit.last_id, commit.entries_read, outcomes(commit)) == (
        f"{NOW_MS - 5}-0".encode(),
        1,
        {"answered": 1},
    )


def test_no_hand_is_answered_without_a_gesture() -> None:
    _, (reply,) = run(pipeline(), partition(), read(entry(Frame(HERE[0], 1, 0, None))))
    assert (reply["gesture"], reply["label"], reply["confidence"], reply["action"]) == (None, None, 0.0, None)


def test_below_the_threshold_there_is_no_action() -> None:
    _, (reply,) = run(pipeline(threshold=0.99), partition(), read(entry(frame(HERE[0], 1))))
    assert (reply["gesture"], reply["action"]) == ("like", None)


def test_the_mapping_is_a_setting() -> None:
    pipe = pipeline(actions={"fist": "up"})
    _, replies = run(pipe, partition(), read(entry(frame(HERE[0], 1, "fist"), frame(HERE[1], 1, "like"))))
    assert [reply["action"] for reply in replies] == ["up", None]


def test_a_repeated_or_lower_seq_is_a_duplicate_within_a_batch_and_across() -> None:
    pipe, owned = pipeline(), partition()
    first, replies = run(
        pipe, owned, read(entry(frame(HERE[0], 1)), entry(frame(HERE[0], 1), frame(HERE[0], 2)))
    )
    assert [reply["seq"] for reply in replies] == [1, 2]
    again, _ = run(
        pipe, owned, read(entry(frame(HERE[0], 2)), entry(frame(HERE[0], 0)), entry(frame(HERE[0], 3)))
    )
    assert outcomes(first) == {"answered": 2, "duplicate": 1}
    assert outcomes(again) == {"answered": 1, "duplicate": 2}


def test_too_old_is_stale_by_the_entry_id_and_its_retry_a_duplicate() -> None:
    pipe, owned = pipeline(), partition()
    stale, _ = run(pipe, owned, read(entry(frame(HERE[0], 1)), age_ms=1001))
    again, _ = run(pipe, owned, read(entry(frame(HERE[0], 1))))
    assert outcomes(stale) == {"stale": 1}
    assert outcomes(again) == {"duplicate": 1}


def test_without_a_deadline_everything_is_answered() -> None:
    commit, _ = run(
        pipeline(deadline_ms=0, supersede_ms=0), partition(), read(entry(frame(HERE[0], 1)), age_ms=10**9)
    )
    assert outcomes(commit) == {"answered": 1}


def test_under_a_backlog_the_newest_frame_of_each_session_is_answered() -> None:
    got = read(entry(frame(HERE[0], 1), frame(HERE[1], 1)), entry(frame(HERE[0], 2)), age_ms=600)
    commit, replies = run(pipeline(), partition(), got)
    assert outcomes(commit) == {"superseded": 1, "answered": 2}
    assert [(reply["session"], reply["seq"]) for reply in replies] == [(HERE[1], 1), (HERE[0], 2)]


def test_a_session_of_another_partition_is_rejected_beside_its_neighbour() -> None:
    commit, replies = run(pipeline(), partition(), read(entry(frame(ELSEWHERE, 1), frame(HERE[0], 1))))
    assert outcomes(commit) == {"rejected": 1, "answered": 1}
    assert [reply["session"] for reply in replies] == [HERE[0]]
    letter = dict(zip(commit.letters[0][::2], commit.letters[0][1::2], strict=True))
    assert letter[b"reason"] == b"wrong_partition"
    assert letter[b"s"] == ELSEWHERE.encode()


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
def test_who_was_refused_is_told_where_it_can_be_read(text: str, session: str) -> None:
    _, tally = pipeline().run([(partition(), read([b"json", text.encode()]))], NOW_MS, lambda *_: 0)
    assert [one[3] for one in tally.rejected] == [session]


def test_a_letter_of_many_fields_is_cut_to_what_lua_can_unpack() -> None:
    commit, _ = run(pipeline(), partition(), read([b"x", b"y"] * 5000))
    assert len(commit.letters[0]) < 300


def test_a_frame_that_fails_is_buried_and_its_batch_mates_are_answered() -> None:
    model = Faulty()
    got = read(entry(frame(HERE[0], 1), frame(HERE[1], 1, "poison")), entry(frame(HERE[2], 1)))
    commit, replies = run(pipeline(model), partition(), got)
    assert outcomes(commit) == {"answered": 2, "buried": 1}
    assert {reply["session"] for reply in replies} == {HERE[0], HERE[2]}
    assert commit.letters[0][-5] == RejectReason.PROCESSING_FAILED.encode()
    assert model.calls == [3, 1, 1, 1, 1, 1], "once together, then alone: three tries for the one that fails"


def test_a_suspect_is_noted_before_it_is_tried_and_buried_after_three_deaths() -> None:
    model, notes = Faulty(), []

    def attempt(_: Partition, note: str) -> int:
        notes.append((note, list(model.calls)))
        return 2 if f"/{HERE[1]}/" in note else 1

    got = read(entry(frame(HERE[0], 1), frame(HERE[1], 1)))
    commit, replies = run(pipeline(model), partition(), got, attempt=attempt)
    assert outcomes(commit) == {"answered": 1, "buried": 1}
    assert [reply["session"] for reply in replies] == [HERE[0]]
    assert notes == [(f"{NOW_MS - 5}-0/{HERE[0]}/1", []), (f"{NOW_MS - 5}-0/{HERE[1]}/1", [1])]


def test_rebuilding_leaves_sessions_where_they_were() -> None:
    past = [entry(frame(HERE[0], seq, "like", t=seq * 40)) for seq in range(10)]
    live, rebuilt = partition(), partition()
    pipe = pipeline()
    run(pipe, live, read(*past))
    pipe.rebuild(rebuilt, read(*past))
    following = read(*[entry(frame(HERE[0], seq, "like", t=seq * 40)) for seq in range(10, 30)])
    expected = run(pipe, live, following)[1]
    assert [reply["move"] for reply in expected].count("up") == 3
    assert run(pipe, rebuilt, following)[1] == expected


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
def test_every_frame_ends_in_exactly_one_outcome(entries: list[Any], age_ms: int) -> None:
    raw = [e if isinstance(e[0], bytes) else entry(*(frame(*one) for one in e)) for e in entries]
    frames = sum(1 if isinstance(e[0], bytes) else len(e) for e in entries)
    commit, replies = run(pipeline(), partition(), read(*raw, age_ms=age_ms))
    counted = Counter(outcomes(commit))
    assert counted.total() == commit.outcomes["frames"] == frames
    assert counted["answered"] == len(replies)
    assert counted["rejected"] + counted["buried"] == len(commit.letters)
    seqs: dict[str, int] = {}
    for reply in replies:
        assert reply["seq"] > seqs.get(reply["session"], -1), "seqs on a channel strictly rise"
        seqs[reply["session"]] = reply["seq"]
