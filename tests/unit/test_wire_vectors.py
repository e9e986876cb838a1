"""The codec against independently computed vectors."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gesture_maze.producer.plan import Router, plan_frames
from gesture_maze.wire.decode import decode
from gesture_maze.wire.frames import Frame, frame_arrays, pack, pack_compact
from gesture_maze.wire.gestures import GESTURES, LABELS, LabelSet
from gesture_maze.wire.keys import actions_channel, partition_of
from gesture_maze.wire.replies import MOVES, Reply, ReplyWriter, reply_head
from gesture_maze.wire.text import frame_of

VECTORS = Path(__file__).parents[1] / "vectors"


def cases(name: str) -> list[Any]:
    found: list[Any] = json.loads((VECTORS / f"{name}.json").read_text())["cases"]
    return found


def named(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", [pytest.param(one, id=one["name"]) for one in cases(name)])


def raw_fields(case: dict[str, Any]) -> list[bytes]:
    if "json" in case:
        return [b"json", case["json"].encode()]
    return [part for name, value in case["fields"].items() for part in (name.encode(), bytes.fromhex(value))]


def frame_of_case(one: dict[str, Any]) -> Frame:
    left, mirrored = one.get("hand") == "left", one.get("mirrored", False)
    return Frame(one["session"], one["seq"], one["t"], one["landmarks"], one["aspect"], left, mirrored)


@pytest.mark.parametrize("name", ["frames", "partitions", "replies", "settings", "rejects"])
def test_committed_vectors_match_generator(name: str) -> None:
    generator = runpy.run_path(str(VECTORS / "make.py"))
    computed = generator["CASES"][name]()
    assert json.loads(json.dumps(computed)) == cases(name)


@named("frames")
def test_pack_of_vector_frames_gives_expected_bytes(case: dict[str, Any]) -> None:
    packed = pack([frame_of_case(one) for one in case["frames"]])
    assert [part.hex() for part in packed] == [case["packed"][name] for name in "sml"]


@named("frames")
def test_packed_and_text_vectors_decode_to_same_frames(case: dict[str, Any]) -> None:
    packed, rejects = decode([raw_fields({"fields": case["packed"]})])
    text, text_rejects = decode([[b"json", case["text"].encode()]])
    assert not rejects
    assert not text_rejects
    assert packed.sessions == text.sessions == [one["session"].encode() for one in case["frames"]]
    assert packed.seq.tolist() == text.seq.tolist() == [one["seq"] for one in case["frames"]]
    assert packed.captured_ms.tolist() == text.captured_ms.tolist() == [one["t"] for one in case["frames"]]
    np.testing.assert_array_equal(packed.aspect, text.aspect)
    np.testing.assert_array_equal(packed.flags, text.flags)
    np.testing.assert_array_equal(packed.landmarks, text.landmarks)


@named("frames")
def test_compact_vectors_have_expected_bytes_and_round_trip(case: dict[str, Any]) -> None:
    frames = [frame_of_case(one) for one in case["frames"]]
    meta, landmarks = frame_arrays(frames)
    fields = pack_compact([one.session for one in frames], meta, landmarks)
    if case["compact"] is None:
        assert fields is None
        return
    assert fields is not None
    assert [part.hex() for part in fields] == [case["packed"]["s"], case["packed"]["m"], case["compact"]]
    found, rejects = decode([[b"s", fields[0], b"m", fields[1], b"c", fields[2]]])
    assert not rejects
    np.testing.assert_allclose(found.landmarks[:, :, :2], landmarks[:, :, :2], atol=3.1e-5)
    assert not found.landmarks[:, :, 2].any()


@named("settings")
def test_settings_vectors_are_packed_and_decode_in_both_encodings(case: dict[str, Any]) -> None:
    frames = [frame_of(one) for one in case["frames"]]
    given = {at: one.settings for at, one in enumerate(frames) if one.settings is not None}
    [entry] = plan_frames(frames, Router(1), given)
    assert json.loads(entry.settings) == json.loads(case["o"])
    s, m, landmarks = entry.fields
    packed, _ = decode([[b"s", s, b"m", m, b"l", landmarks, b"o", case["o"].encode()]])
    text, _ = decode([[b"json", json.dumps(case["frames"]).encode()]])
    assert packed.settings == text.settings == given


@named("rejects")
def test_bad_entry_vector_is_rejected_with_its_reason(case: dict[str, Any]) -> None:
    frames, rejects = decode([raw_fields(case)])
    assert len(frames) == 0
    assert [one.reason for one in rejects] == [case["reason"]]


@pytest.mark.parametrize("case", cases("partitions"))
def test_partition_of_session_matches_vector(case: dict[str, Any]) -> None:
    for partitions, partition in case["partition"].items():
        assert partition_of(case["session"], int(partitions)) == partition
        assert partition_of(case["session"].encode(), int(partitions)) == partition


@pytest.mark.parametrize("case", cases("replies"))
def test_reply_of_values_matches_vector(case: dict[str, Any]) -> None:
    values = case["value"]
    own = () if values["gesture"] in (None, *GESTURES) else ((values["gesture"], values["label"]),)
    labels = LabelSet((*GESTURES, *(name for name, _ in own)), (*LABELS.values(), *(n for _, n in own)))
    writer = ReplyWriter(labels, values["model"])
    seen = len(labels) if values["label"] is None else labels.numbers.index(values["label"])
    seen += (len(labels) + 1) * (values["hand"] == "left")
    action, move = MOVES.index(values["action"]), MOVES.index(values["move"])
    numbers = (values["seq"], values["t"], seen, round(values["confidence"] * 1000), action, move)
    assert writer.write(reply_head(values["session"]), *numbers) == case["bytes"]
    assert Reply.model_validate_json(case["bytes"]).model_dump(exclude={"synthetic"}) == values
    assert actions_channel(partition_of(values["session"], 16), values["session"]) == case["channel"]
