"""Settings of one session: checked on the wire, applied from the frame that carries them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gesture_maze.capture.reader import CaptureReader, block_of
from gesture_maze.capture.writer import CaptureWriter, lines_of
from gesture_maze.producer import commands
from gesture_maze.producer.plan import Router, columns, plan_arrays, plan_frames
from gesture_maze.producer.settings_book import REPEAT_S, SettingsBook
from gesture_maze.replay.engine import Replay
from gesture_maze.simulator.players import synthesize
from gesture_maze.wire.decode import decode
from gesture_maze.wire.errors import FrameError, RejectReason, SettingsError
from gesture_maze.wire.frames import HAND, META, Frame, pack
from gesture_maze.wire.gestures import LABELS, LabelSet
from gesture_maze.wire.keys import SETTINGS
from gesture_maze.wire.session_settings import NO_SETTINGS, BadSettings, SessionSettings, unpack_settings
from gesture_maze.wire.text import dump, frame_of, object_of
from gesture_maze.worker.serving.serving import Serving
from tests.unit.test_frame_path import HERE, Faulty, entry, frame, frame_path, outcomes, partition, read, run

P1, P2 = HERE[:2]
MANY = {
    "settle_evidence": 700, "first_repeat_ms": 1000, "repeat_ms": 500, "threshold": 0.5,
    "actions": {"fist": "up", "left:fist": "left"},
}  # fmt: skip


def with_settings(fields: list[bytes], settings: Any) -> list[bytes]:
    return [*fields, b"o", settings if isinstance(settings, bytes) else json.dumps(settings).encode()]


def shown(session: str, begin: int, count: int, gesture: str = "like") -> list[Frame]:
    return [frame(session, seq, gesture, t=seq * 33) for seq in range(begin, begin + count)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"settle_evidence": 99}, {"settle_evidence": 5001}, {"settle_evidence": 700.5}, {"repeat_ms": 49},
        {"first_repeat_ms": 60_001}, {"threshold": 1.01}, {"threshold": "0.5"}, {"actions": {"like": "jump"}},
        {"actions": {"both:like": "up"}}, {"actions": {f"g{n}": "up" for n in range(65)}}, {"leave": 0.1},
        {"actions": ["like"]}, [], "eager", 3,
    ],
)  # fmt: skip
def test_settings_outside_their_bounds_are_refused_everywhere(wrong: Any) -> None:
    with pytest.raises(FrameError) as caught:
        SessionSettings.parse(wrong)
    assert caught.value.reason == RejectReason.BAD_SETTINGS
    text = {"session": P1, "seq": 1, "t": 2, "landmarks": [], "settings": wrong}
    with pytest.raises(FrameError) as caught:
        frame_of(text)
    assert caught.value.reason == RejectReason.BAD_SETTINGS
    frames, rejects = decode([with_settings(entry(*shown(P1, 1, 1), *shown(P2, 1, 1)), {"0": wrong})])
    assert [one.reason for one in rejects] == [RejectReason.BAD_SETTINGS], "only the frame that carries them"
    assert frames.sessions == [P2.encode()]
    assert json.loads(rejects[0].fields[-1]) == {"0": wrong}


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{", b"\xff", b'{"2":{}}', b'{"-1":{}}', b'{"a":{}}', b'{"1234567":{}}']
)
def test_settings_field_that_names_no_frame_rejects_the_entry(raw: bytes) -> None:
    frames, rejects = decode([with_settings(entry(*shown(P1, 1, 2)), raw)])
    assert not len(frames)
    assert [one.reason for one in rejects] == [RejectReason.BAD_SETTINGS]


def test_settings_round_trip_in_every_encoding() -> None:
    settings = SessionSettings.parse(MANY)
    assert settings.values() == MANY
    given = Frame(P1, 1, 2, None, settings=settings)
    assert frame_of(json.loads(dump(object_of(given)))).settings == settings
    packed = with_settings(entry(*shown(P1, 1, 2), frame(P2, 1)), {"2": MANY, "0": {}})
    text = [b"json", dump([object_of(given)])]
    frames, rejects = decode([entry(frame(P2, 5)), packed, text])
    assert not rejects
    assert frames.settings == {1: NO_SETTINGS, 3: settings, 4: settings}
    again, _ = decode([frames.fields(row) for row in range(len(frames))])
    assert again.settings == frames.settings
    assert isinstance(unpack_settings(b'{"0":1}', 1)[0], BadSettings)


def test_settings_outside_the_contract_raise_settings_error_without_a_link() -> None:
    for wrong in ({"settle": 3}, {"repeat_ms": 1}, {"actions": {"like": "jump"}}, {"actions": {"": "up"}}):
        name = next(iter(wrong))
        with pytest.raises(SettingsError, match=f"settings of a session: {name}") as caught:
            SessionSettings(**wrong)  # type: ignore[arg-type]
        assert "http" not in str(caught.value)
        with pytest.raises(FrameError, match=rf"^settings\.{name}"):
            SessionSettings.parse(wrong)


@pytest.mark.parametrize("entry_frames", [1, 7, 40])
def test_settings_apply_from_their_frame_on_in_batches_of_any_size(entry_frames: int) -> None:
    path, owned = frame_path(), partition()
    fists = shown(P1, 0, 40, "fist")
    replies = []
    for begin in range(0, 40, entry_frames):
        part = fists[begin : begin + entry_frames]
        found = {str(row): MANY for row, one in enumerate(part) if one.seq == 20}
        _, answers = run(path, owned, read(with_settings(entry(*part), found)))
        replies += answers
    assert [one["seq"] for one in replies if one["action"]] == list(range(20, 40))
    assert [one["seq"] for one in replies if one["move"]] == [21], "eager, with a late repeat"


def test_settings_of_one_session_leave_the_others_alone() -> None:
    path, owned = frame_path(), partition()
    frames = [one for pair in zip(shown(P1, 0, 9), shown(P2, 0, 9), strict=True) for one in pair]
    _, replies = run(path, owned, read(with_settings(entry(*frames), {"0": {"actions": {"like": "down"}}})))
    assert {(one["session"], one["action"]) for one in replies} == {(P1, "down"), (P2, "up")}
    _, replies = run(path, owned, read(with_settings(entry(*shown(P1, 20, 1)), {"0": {}})))
    assert replies[0]["action"] == "up", "without any value the worker's settings apply again"


def test_settings_of_stale_and_superseded_frames_are_adopted() -> None:
    for age_ms, outcome in ((5000, "stale"), (700, "superseded")):
        path, owned = frame_path(), partition()
        late = with_settings(entry(*shown(P1, 1, 2)), {"0": {"actions": {"like": "down"}}})
        commit, _ = run(path, owned, read(late, age_ms=age_ms))
        assert outcomes(commit)[outcome] >= 1
        _, replies = run(path, owned, read(entry(*shown(P1, 5, 1))))
        assert replies[0]["action"] == "down"


def test_settings_follow_a_swap_to_another_label_set() -> None:
    path, owned = frame_path(), partition()
    actions = {"fist": "down", "swipe": "left"}
    _, [before] = run(
        path, owned, read(with_settings(entry(*shown(P1, 0, 1, "fist")), {"0": {"actions": actions}}))
    )
    path.offer(Serving.of(Faulty(), 0.7, {}, labels=LabelSet(("palm", "swipe"), (8, 19))))
    _, [after] = run(path, owned, read(entry(*shown(P1, 1, 1, "fist"))))  # label 1
    assert (before["action"], after["gesture"], after["action"]) == ("down", "swipe", "left")


def test_settings_are_restored_from_the_frames_that_repeat_them() -> None:
    path, owned = frame_path(), partition()
    past = read(with_settings(entry(*shown(P1, 0, 3)), {"1": {"actions": {"like": "down"}}}))
    path.rebuild(owned, [past], None)
    _, [reply] = run(path, owned, read(entry(*shown(P1, 5, 1))))
    assert reply["action"] == "down"


def test_pack_of_frames_ignores_their_settings() -> None:
    assert pack([Frame(P1, 1, 2, None, settings=NO_SETTINGS)]) == pack([Frame(P1, 1, 2, None)])


def test_settings_in_capture_survive_reading_writing_and_replay(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    hands = synthesize(np.full(20, LABELS["fist"]), np.random.default_rng(1)).landmarks
    meta = np.zeros(20, META)
    meta["seq"], meta["captured_ms"], meta["aspect"], meta["flags"] = (
        np.arange(20),
        np.arange(20) * 33,
        4 / 3,
        HAND,
    )
    settings = SessionSettings.parse(MANY)
    with CaptureWriter(path) as writer:
        for line in lines_of([0.0] * 20, ["p1"] * 20, meta, hands, {5: settings}):
            writer.write_text(f"{line}}}")
    with CaptureReader(path) as reader:
        [block] = reader.blocks()
    with CaptureReader(path) as reader:
        assert block_of(list(reader.frames())).settings == block.settings == {5: settings}
    assert block.rows(4, 9).settings == {1: settings}
    for entry_frames in (1, 20):
        with Replay(entry_frames=entry_frames) as replay:
            answers = [json.loads(one) for one in replay.run(block) if one is not None]
        acting = [one["seq"] for one in answers if one["action"] == "up"]
        assert acting
        assert min(acting) >= 5


def test_producer_repeats_settings_until_they_are_taken_back() -> None:
    now_s = [100.0]
    book, eager = SettingsBook(lambda: now_s[0]), SessionSettings(settle_evidence=700)
    assert book.due(["a", "b"], {}) == {}
    assert book.due(["a", "b"], {1: eager}) == {1: eager}
    assert book.due(["b", "b"], {}) == {}
    now_s[0] += REPEAT_S
    assert book.due(["a", "b", "b"], {}) == {1: eager}, "once in a tick"
    book.again(["b", "c"])
    assert book.due(["b"], {}) == {0: eager}, "the send failed"
    assert book.due(["b"], {0: NO_SETTINGS}) == {0: NO_SETTINGS}
    now_s[0] += REPEAT_S
    assert book.due(["b"], {}) == {0: NO_SETTINGS}
    now_s[0] += REPEAT_S
    assert book.due(["b"], {}) == {}


def test_plan_puts_settings_beside_the_frames_of_their_entry() -> None:
    eager = SessionSettings(settle_evidence=700)
    frames = [Frame(f"p{n}", 1, 2, None) for n in range(9)]
    entries = plan_frames(frames, Router(4), {3: eager})
    [one] = [entry for entry in entries if entry.settings]
    sessions = one.fields[0].decode().split()
    assert unpack_settings(one.settings, len(sessions)) == {sessions.index("p3"): eager}
    words = commands.add(one, None)
    assert words[words.index(SETTINGS) + 1] == one.settings
    found = plan_arrays(
        [frame.session for frame in frames],
        columns([frame.session for frame in frames], 1, 2, 1.0, 0, np.zeros((9, 21, 3))),
        Router(4),
        {3: eager},
    )
    assert found == entries
    with pytest.raises(FrameError, match="SessionSettings"):
        plan_frames([Frame("p1", 1, 2, None, settings={"repeat_ms": 300})], Router(4))  # type: ignore[arg-type]
