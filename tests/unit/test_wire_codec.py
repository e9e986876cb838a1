"""Properties of the codec: frames round-trip, and a bad frame does not affect others."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesture_maze.wire.compact import to_compact
from gesture_maze.wire.decode import FEW_FRAMES, Frames, RawFields, decode
from gesture_maze.wire.errors import RejectReason
from gesture_maze.wire.frames import KNOWN_FLAGS, MAX_SEQ, Frame, frame_arrays, pack, pack_compact
from gesture_maze.wire.text import dump, object_of

coordinates = st.floats(-1e9, 1e9, width=32)
sessions = st.text("ABCxyz019_-", min_size=1, max_size=64)


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    hand = draw(st.booleans())
    points = draw(st.lists(coordinates, min_size=63, max_size=63)) if hand else []
    landmarks = np.array(points, np.float32).reshape(-1, 3) if hand else None
    return Frame(
        draw(sessions),
        draw(st.integers(0, MAX_SEQ)),
        draw(st.integers(-MAX_SEQ, MAX_SEQ)),
        landmarks,
        # exact in float32, because the text encoding carries more digits than the packed one
        draw(st.floats(0.015625, 100.0, width=32)),
        draw(st.booleans()),
        draw(st.booleans()),
    )


def packed_entry(*wanted: Frame) -> RawFields:
    s, m, landmarks = pack(wanted)
    return [b"s", s, b"m", m, b"l", landmarks]


def text_entry(*wanted: Frame) -> RawFields:
    return [b"json", dump([object_of(one) for one in wanted])]


def test_reply_channel_is_kept_in_every_encoding_and_field_order() -> None:
    one = Frame("p1", 1, 2, np.zeros((21, 3)))
    packed, text = packed_entry(one), text_entry(one)
    entries = [packed, [*packed, b"r", b"a"], [b"r", b"b", *packed], [*text, b"r", b"c"], text]
    found, rejects = decode(entries)
    assert (len(found), rejects) == (5, [])
    assert found.reply_to == {1: b"a", 2: b"b", 3: b"c"}
    assert found.take(np.array([3])).fields(0)[-2:] == [b"r", b"c"]
    assert found.fields(0)[::2] == [b"s", b"m", b"l"]


def test_text_frame_rejected_alone_keeps_its_reply_channel() -> None:
    objects = [object_of(Frame("p1", 1, 2)), {"session": "p1"}]
    found, (reject,) = decode([[b"json", dump(objects), b"r", b"me"]])
    assert len(found) == 1
    assert list(reject.fields[2:]) == [b"r", b"me"]


def assert_same(found: Frames, wanted: list[Frame]) -> None:
    assert found.sessions == [one.session.encode() for one in wanted]
    assert found.seq.tolist() == [one.seq for one in wanted]
    assert found.captured_ms.tolist() == [one.captured_ms for one in wanted]
    assert found.aspect.tolist() == [one.aspect for one in wanted]
    assert found.flags.tolist() == [one.flags for one in wanted]
    for row, one in enumerate(wanted):
        points = np.zeros((21, 3)) if one.landmarks is None else one.landmarks
        np.testing.assert_array_equal(found.landmarks[row], points)


@given(st.lists(frames(), min_size=1, max_size=4))
def test_packed_frames_round_trip(wanted: list[Frame]) -> None:
    found, rejects = decode([packed_entry(*wanted)])
    assert not rejects
    assert_same(found, wanted)


@given(st.lists(frames(), min_size=1, max_size=4))
def test_text_frames_round_trip(wanted: list[Frame]) -> None:
    found, rejects = decode([text_entry(*wanted)])
    assert not rejects
    assert_same(found, wanted)


@given(st.lists(st.tuples(frames(), st.booleans()), max_size=6))
def test_mixed_encodings_keep_stream_order(wanted: list[tuple[Frame, bool]]) -> None:
    entries = [text_entry(one) if as_text else packed_entry(one) for one, as_text in wanted]
    found, rejects = decode(entries)
    assert not rejects
    assert found.entry.tolist() == list(range(len(wanted)))
    assert_same(found, [one for one, _ in wanted])


BAD: list[tuple[RejectReason, RawFields]] = [
    (RejectReason.UNKNOWN_ENCODING, [b"foo", b"bar"]),
    (RejectReason.TOO_LARGE, [b"json", b" " * (1 << 20)]),
    (RejectReason.TOO_LARGE, [b"s", b"x" * (1 << 20), b"m", bytes(24), b"l", bytes(252)]),
    (RejectReason.BAD_LENGTH, [b"s", b"p1", b"m", b"", b"l", b""]),
    (RejectReason.BAD_JSON, [b"json", b"\xff"]),
]


@given(st.sampled_from(BAD), frames(), frames())
def test_bad_entry_does_not_affect_neighbouring_entries(
    bad: tuple[RejectReason, RawFields], first: Frame, last: Frame
) -> None:
    reason, fields = bad
    found, rejects = decode([packed_entry(first), fields, text_entry(last)])
    assert [(one.entry, one.reason, one.fields) for one in rejects] == [(1, reason, fields)]
    assert found.entry.tolist() == [0, 2]
    assert_same(found, [first, last])


@given(st.lists(frames(), min_size=3, max_size=3), st.integers(0, 2))
def test_bad_frame_does_not_affect_other_frames_of_entry(wanted: list[Frame], bad: int) -> None:
    fields = list(packed_entry(*wanted))
    landmarks = bytearray(fields[5])
    landmarks[252 * bad : 252 * bad + 4] = np.float32(np.nan).tobytes()
    fields[5] = bytes(landmarks)
    found, rejects = decode([fields])
    assert_same(found, wanted[:bad] + wanted[bad + 1 :])
    assert [one.reason for one in rejects] == [RejectReason.NOT_FINITE]
    # the dead letter is a separate entry that holds only the rejected frame
    again, still = decode([rejects[0].fields])
    assert len(again) == 0
    assert [one.reason for one in still] == [RejectReason.NOT_FINITE]


@pytest.mark.parametrize("others", [1, FEW_FRAMES])
@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("seq", 2**63, RejectReason.BAD_SEQ),
        ("aspect", 0.0, RejectReason.BAD_ASPECT),
        ("aspect", 101.0, RejectReason.BAD_ASPECT),
        ("aspect", np.nan, RejectReason.BAD_ASPECT),
        ("flags", KNOWN_FLAGS + 1, RejectReason.BAD_FLAGS),
    ],
)
def test_packed_number_out_of_range_rejects_its_frame_only(
    name: str, value: float, reason: RejectReason, others: int
) -> None:
    meta, landmarks = frame_arrays([Frame("p1", seq, 2, None) for seq in range(others + 1)])
    meta[name][0] = value
    sessions = " ".join(["p1"] * (others + 1)).encode()
    found, rejects = decode([[b"s", sessions, b"m", meta.tobytes(), b"l", landmarks.tobytes()]])
    assert [one.reason for one in rejects] == [reason]
    assert found.seq.tolist() == list(range(1, others + 1))


@given(frames(), st.permutations([0, 1, 2]))
def test_packed_fields_in_any_order_are_decoded(one: Frame, order: list[int]) -> None:
    fields = packed_entry(one)
    shuffled = [part for place in order for part in fields[2 * place : 2 * place + 2]]
    found, rejects = decode([shuffled])
    assert not rejects
    assert_same(found, [one])


def test_list_with_bad_objects_keeps_good_objects() -> None:
    good = object_of(Frame("p1", 1, 2, None))
    found, rejects = decode([[b"json", dump([{**good, "seq": -1}, good, 17])]])
    assert found.seq.tolist() == [1]
    assert [one.reason for one in rejects] == [RejectReason.BAD_SEQ, RejectReason.BAD_JSON]
    assert json.loads(rejects[0].fields[1])["seq"] == -1


def test_decode_without_entries_returns_no_frames() -> None:
    found, rejects = decode([])
    assert len(found) == 0
    assert found.landmarks.shape == (0, 21, 3)
    assert not rejects


def test_unknown_keys_of_object_are_ignored() -> None:
    found, rejects = decode([[b"json", dump({**object_of(Frame("p1", 1, 2, None)), "extra": [1]})]])
    assert not rejects
    assert len(found) == 1


def test_repeated_key_of_object_uses_last_value() -> None:
    text = b'{"session":"p1","seq":1,"seq":2,"t":0,"landmarks":[]}'
    found, _ = decode([[b"json", text]])
    assert found.seq.tolist() == [2]


# --- fuzz


def _mutated(raw: bytes, changes: list[tuple[int, int]], cut: int) -> bytes:
    spoilt = bytearray(raw)
    for place, value in changes:
        if spoilt:
            spoilt[place % len(spoilt)] = value
    return bytes(spoilt[: len(spoilt) - cut % (len(spoilt) + 1)])


changes = st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=8)
cuts = st.sampled_from([0, 0, 0, 1, 2, 4, 12, 24, 252])


@given(frames(), st.booleans(), st.integers(0, 5), changes, cuts)
def test_mutated_entry_is_decoded_or_rejected_without_raising(
    one: Frame, as_text: bool, place: int, spoil: list[tuple[int, int]], cut: int
) -> None:
    fields = list(text_entry(one) if as_text else packed_entry(one))
    place %= len(fields)
    fields[place] = _mutated(fields[place], spoil, cut)
    found, rejects = decode([fields, packed_entry(Frame("ok", 1, 2, None))])
    assert found.sessions[-1] == b"ok"
    assert len(found) + len(rejects) >= 2


json_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(),
    st.integers(),
    st.sampled_from([2**53, 2**63, 2**64, -(2**63), 10**400, 1e308, -0.0]),
    st.text(max_size=5),
    st.sampled_from(["\u202egnp.1p", "p1\x00", "p1\n", "\u00df", "left", "p1"]),
)
json_values = st.recursive(json_scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=6)
json_objects = st.dictionaries(
    st.sampled_from(["session", "seq", "t", "aspect", "landmarks", "hand", "mirrored", "x"]), json_values
)


@given(json_objects, frames())
def test_object_with_unexpected_values_is_decoded_or_rejected_without_raising(
    strange: dict[str, Any], one: Frame
) -> None:
    text = json.dumps({**object_of(one), **strange}).encode()
    found, rejects = decode([[b"json", text]])
    assert len(found) + len(rejects) == 1


DEEP = b"[" * 100_000
STRANGE_TEXTS = [
    DEEP,
    DEEP + b"]" * 100_000,
    b'{"session":' * 2000,
    b"NaN",
    b"-Infinity",
    b"1" * 10_000,
    b'{"seq":' + b"9" * 5_000 + b"}",
    b'"\\ud800"',
    b'{"session":"\\u0000","seq":1,"t":1,"landmarks":[]}',
    b"\x00",
    b"",
    b"null",
    b'{"session":"p1","seq":true,"t":1,"landmarks":[]}',
    b'{"session":"p1","seq":1,"t":1e3,"landmarks":[]}',
    b'{"session":"p1","seq":1,"t":1,"landmarks":{}}',
    b'{"session":"p1","seq":1,"t":1,"landmarks":[[NaN,1]]}',
    b'{"session":"p1","seq":1,"t":1,"aspect":Infinity,"landmarks":[]}',
]


def test_malformed_texts_are_each_rejected() -> None:
    found, rejects = decode([[b"json", text] for text in STRANGE_TEXTS])
    assert len(found) == 0
    assert sorted({one.entry for one in rejects}) == list(range(len(STRANGE_TEXTS)))
    assert all(isinstance(one.fields[1], bytes) for one in rejects)


@given(
    st.lists(st.lists(st.tuples(st.binary(max_size=300), st.binary(max_size=300)), max_size=4), max_size=4)
)
def test_entries_with_random_fields_are_accounted_for_without_raising(
    entries: list[list[tuple[bytes, bytes]]],
) -> None:
    raw = [[part for pair in entry for part in pair] for entry in entries]
    found, rejects = decode(raw)
    assert len({*found.entry.tolist(), *(one.entry for one in rejects)}) == len(raw)


@given(st.binary(min_size=24, max_size=24), st.binary(min_size=252, max_size=252))
def test_packed_frame_with_random_bytes_never_raises_or_warns(meta: bytes, landmarks: bytes) -> None:
    found, rejects = decode([[b"s", b"p1", b"m", meta, b"l", landmarks]])
    assert len(found) + len(rejects) == 1


# --- compact landmarks

image_coordinates = st.floats(-1.0, 3.0, width=32)


@st.composite
def compact_frames(draw: st.DrawFn) -> Frame:
    points = draw(st.none() | st.lists(image_coordinates, min_size=42, max_size=42))
    landmarks = None if points is None else np.array(points, np.float32).reshape(21, 2)
    return replace(draw(frames()), landmarks=landmarks)


def compact_entry(*wanted: Frame) -> RawFields:
    meta, landmarks = frame_arrays(wanted)
    packed = pack_compact([one.session for one in wanted], meta, landmarks)
    assert packed is not None
    s, m, c = packed
    assert len(c) == 84 * len(wanted)
    return [b"s", s, b"m", m, b"c", c]


def assert_close(found: Frames, wanted: list[Frame]) -> None:
    for row, one in enumerate(wanted):
        points = np.zeros((21, 2)) if one.landmarks is None else one.landmarks
        np.testing.assert_allclose(found.landmarks[row, :, :2], points, atol=3.1e-5)
        assert not found.landmarks[row, :, 2].any()


@given(st.lists(st.tuples(compact_frames(), st.sampled_from(["c", "l", "json"])), min_size=1, max_size=6))
def test_compact_frames_among_other_encodings_round_trip(wanted: list[tuple[Frame, str]]) -> None:
    write = {"c": compact_entry, "l": packed_entry, "json": text_entry}
    found, rejects = decode([write[encoding](one) for one, encoding in wanted])
    assert not rejects
    assert found.sessions == [one.session.encode() for one, _ in wanted]
    assert found.seq.tolist() == [one.seq for one, _ in wanted]
    assert_close(found, [one for one, _ in wanted])
    compact = [encoding == "c" for _, encoding in wanted]
    assert (found.without_z is None) == (not any(compact))
    if found.without_z is not None:
        assert found.without_z.tolist() == compact


@given(st.lists(compact_frames(), min_size=2, max_size=4))
def test_compact_frame_taken_from_batch_keeps_its_bytes(wanted: list[Frame]) -> None:
    fields = compact_entry(*wanted)
    found, _ = decode([fields])
    taken = found.take(np.array([1], np.intp))
    alone, rejects = decode([taken.fields(0)])
    assert taken.fields(0)[::2] == [b"s", b"m", b"c"]
    assert taken.fields(0)[5] == fields[5][84:168]
    assert alone.seq.tolist() == [wanted[1].seq]
    assert not rejects


def test_rejected_compact_frame_keeps_encoding_in_dead_letter() -> None:
    fields = list(compact_entry(Frame("p1", 1, 2, np.full((21, 2), 0.25)), Frame("p1", 2, 3)))
    meta = bytearray(fields[3])
    meta[20:24] = (8 | 1).to_bytes(4, "little")
    fields[3] = bytes(meta)
    found, (reject,) = decode([fields])
    assert found.seq.tolist() == [2]
    assert reject.reason is RejectReason.BAD_FLAGS
    assert reject.fields[4] == b"c"


@pytest.mark.parametrize("outside", [-1.001, 3.001, np.nan, np.inf])
def test_landmarks_outside_compact_range_are_not_compacted(outside: float) -> None:
    landmarks = np.zeros((1, 21, 3), np.float32)
    landmarks[0, 5, 1] = outside
    assert to_compact(landmarks, np.array([True])) is None


@given(st.lists(frames(), min_size=1, max_size=6), st.lists(st.binary(max_size=300), max_size=3))
def test_single_frame_entries_decode_as_general_path(wanted: list[Frame], spoilt: list[bytes]) -> None:
    entries = [packed_entry(one) for one in wanted]
    entries += [[b"s", b"a b", b"m", one, b"l", one] for one in spoilt]
    found, rejects = decode(entries)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gesture_maze.wire.decode._single_frames", lambda _: None)
        expected, expected_rejects = decode(entries)
    assert (found.sessions, rejects) == (expected.sessions, expected_rejects)
    for column in ("entry", "seq", "captured_ms", "aspect", "flags", "landmarks"):
        assert np.array_equal(getattr(found, column), getattr(expected, column))
