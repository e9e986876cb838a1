"""Reading and writing captures, and errors that name the line."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gesture_maze.capture.dumps import lines_of_dumps
from gesture_maze.capture.files import batches, create, open_lines, read_lines
from gesture_maze.capture.reader import BLOCK_FRAMES, CaptureReader
from gesture_maze.capture.writer import CaptureWriter, lines_of
from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.frames import META

HEADER = {"format": "gesture-maze-capture", "version": 1}
HAND = [[0.5, 0.25, -0.125]] * 21


def line(number: int, **changed: Any) -> dict[str, Any]:
    return {
        "offset_ms": number * 33.5,
        "session": "p1",
        "seq": number,
        "t": number,
        "aspect": 1.5,
        "landmarks": HAND,
    } | changed


def written(path: Path, *lines: Any) -> Path:
    """Write a capture of these lines, strings unchanged and other values as JSON."""
    texts = [one if isinstance(one, str) else json.dumps(one) for one in lines]
    path.write_text("\n".join(texts) + "\n")
    return path


def read(path: Path, **options: Any) -> list[tuple[str, int]]:
    with CaptureReader(path, **options) as reader:
        return [
            (session, seq)
            for block in reader.blocks(3)
            for session, seq in zip(block.sessions, block.meta["seq"].tolist(), strict=True)
        ]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"])
def test_capture_written_is_read_back_with_unknown_keys(tmp_path: Path, name: str) -> None:
    if name.endswith("zst"):
        pytest.importorskip("zstandard")
    with CaptureWriter(tmp_path / name, {"note": "a note"}) as writer:
        for seq in range(7):
            writer.write(line(seq, label="like", reply={"move": None}))
    with CaptureReader(tmp_path / name) as reader:
        assert reader.header == HEADER | {"note": "a note"}
        assert [one.values for one in reader.frames()] == [
            line(seq, label="like", reply={"move": None}) for seq in range(7)
        ]


def test_capture_of_the_same_frames_has_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.gz", "b.gz"):
        with CaptureWriter(tmp_path / name) as writer:
            writer.write(line(1))
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


@given(hnp.arrays(np.float32, (2, 21, 3), elements=st.floats(-1e9, 1e9, width=32)), st.integers(0, 7))
def test_float32_landmarks_are_read_back_exactly(landmarks: Any, flags: int) -> None:
    meta = np.array([(2**63 - 1, -5, 4 / 3, flags | 1), (3, 2**62, 0.01, flags & 6)], META)
    texts = [f"{text}}}".encode() for text in lines_of([0.0, 1234567.125], ["a", "b-_"], meta, landmarks)]
    from gesture_maze.capture.columns import columns_of

    found = columns_of(texts, set())
    assert found is not None
    offset_ms, sessions, read_meta, points, *_ = found
    assert (offset_ms, sessions, read_meta.tolist()) == ([0.0, 1234567.125], ["a", "b-_"], meta.tolist())
    np.testing.assert_array_equal(points[0], landmarks[0])
    assert not points[1].any()


GOOD = [
    line(1),
    line(2, landmarks=[]),
    line(3, landmarks=[[1, 2]] * 21),
    line(4, hand="left", mirrored=True),
    line(5, hand="right", mirrored=False, extra={"flag": True}),
    {key: value for key, value in line(6).items() if key != "aspect"},
    line(7, hand=None, offset_ms=0),
    line(8, settings={"repeat_ms": 300}, reply={"gesture": "like", "confidence": 0.99}),
]
BAD = {
    "cut": '{"offset_ms": 1, "sess',
    "empty object": {},
    "list": [line(1)],
    "two": json.dumps(line(1)) + "," + json.dumps(line(2)),
    "number": "7",
    "session": line(1, session="a b"),
    "seq": line(1, seq=-1),
    "seq float": line(1, seq=1.5),
    "seq bool": line(1, seq=True),
    "t": line(1, t="now"),
    "aspect": line(1, aspect=0),
    "offset": line(1, offset_ms=-1),
    "offset text": line(1, offset_ms="1"),
    "offset NaN": json.dumps(line(1, offset_ms=float("nan"))),
    "20 points": line(1, landmarks=HAND[:20]),
    "a point of 4": line(1, landmarks=[[0, 0, 0, 0]] * 21),
    "true": line(1, landmarks=[[True, 0.5]] * 21),
    "text": line(1, landmarks=[["0.5", "0.5"]] * 21),
    "infinite": json.dumps(line(1, landmarks=[[float("inf"), 0.0]] * 21)),
    "hand": line(1, hand="both"),
    "mirrored": line(1, mirrored=1),
}


@pytest.mark.parametrize("frame", GOOD, ids=range(len(GOOD)))
def test_frame_read_alone_and_in_a_block_is_equal(tmp_path: Path, frame: dict[str, Any]) -> None:
    from gesture_maze.capture.columns import columns_of
    from gesture_maze.capture.reader import block_of, parse_line

    raw = json.dumps(frame).encode()
    found = columns_of([raw], set())
    alone = block_of([parse_line(2, raw)])
    if frame.get("extra"):
        assert found is None  # a line with an unknown `true` is parsed by itself
        return
    assert found is not None
    offset_ms, sessions, meta, landmarks, *by_row = found
    assert (offset_ms, sessions) == (list(alone.offset_ms), list(alone.sessions))
    assert meta.tobytes() == alone.meta.tobytes()
    assert landmarks.tobytes() == alone.landmarks.tobytes()
    assert by_row == [alone.settings, alone.replies]
    assert by_row[1] == ({0: frame["reply"]} if "reply" in frame else {})


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_bad_line_is_named_or_skipped(tmp_path: Path, bad: Any) -> None:
    path = written(tmp_path / "a.jsonl", HEADER, line(0), line(1), bad, line(9))
    with pytest.raises(SettingsError, match="line 4: "):
        read(path)
    assert read(path, skip_bad=True) == [("p1", 0), ("p1", 1), ("p1", 9)]
    with CaptureReader(path, skip_bad=True) as reader:
        assert len([*reader.frames()]) == 3
        assert reader.skipped == 1
        assert "line 4" in reader.faults[0]


@given(st.data())
def test_damaged_capture_raises_settings_error_or_skips_lines(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    raw = bytearray("\n".join(json.dumps(line(number)) for number in range(4)).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    path = tmp_path_factory.getbasetemp() / "damaged.jsonl"
    path.write_bytes(json.dumps(HEADER).encode() + b"\n" + raw)
    found = read(path, skip_bad=True)
    with CaptureReader(path, skip_bad=True) as reader:
        assert [(one.frame.session, one.frame.seq) for one in reader.frames()] == found
        skipped = reader.skipped
    if skipped:
        with pytest.raises(SettingsError, match=r"line \d+: "):
            read(path)
    else:
        assert read(path) == found


def test_blank_lines_are_ignored(tmp_path: Path) -> None:
    assert read(written(tmp_path / "a", HEADER, line(1), "", line(2))) == [("p1", 1), ("p1", 2)]


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("", "line 1"),
        ("{", "line 1"),
        ("[]", "line 1"),
        ({"format": "other"}, "line 1 is not the header"),
        (HEADER | {"version": 2}, "line 1: version 2 .* reads version 1"),
        (HEADER | {"version": True}, "line 1: version True"),
    ],
)
def test_foreign_header_is_refused_even_with_skip_bad(tmp_path: Path, header: Any, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        CaptureReader(written(tmp_path / "a", header), skip_bad=True)


@pytest.mark.parametrize("suffix", ["gz", "zst"])
@pytest.mark.parametrize("keep", [-1, -9, 4000])
def test_truncated_compressed_capture_is_read_up_to_its_end(tmp_path: Path, suffix: str, keep: int) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / f"a.jsonl.{suffix}"
    with CaptureWriter(path) as writer:
        for seq in range(50):
            writer.write(line(seq, landmarks=rng.random((21, 3)).tolist()))
            writer.flush()
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(SettingsError, match=r"line \d+: "):
        read(path)
    found = read(path, skip_bad=True)
    assert found == [("p1", seq) for seq in range(len(found))]
    assert found


def test_damaged_gzip_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    packed = bytearray(gzip.compress(json.dumps(HEADER).encode() + b"\n" + json.dumps(line(1)).encode() * 99))
    packed[-5] ^= 255
    path.write_bytes(packed)
    with pytest.raises(SettingsError, match="line "):
        read(path)


def test_flushed_capture_without_an_end_is_readable(tmp_path: Path) -> None:
    writer = CaptureWriter(tmp_path / "a.jsonl.gz")
    writer.write(line(1))
    writer.flush()
    assert read(tmp_path / "a.jsonl.gz", skip_bad=True) == [("p1", 1)]
    writer.close()
    writer.close()
    assert read(tmp_path / "a.jsonl.gz") == [("p1", 1)]


def test_capture_in_a_missing_folder_raises_settings_error() -> None:
    with pytest.raises(SettingsError, match="cannot read"):
        CaptureReader(Path("/nowhere/a.jsonl"))
    with pytest.raises(SettingsError, match="cannot write"):
        CaptureWriter(Path("/nowhere/a.jsonl"))


def test_blocks_have_the_requested_size(tmp_path: Path) -> None:
    path = written(tmp_path / "a", HEADER, *(line(seq) for seq in range(BLOCK_FRAMES + 1)))
    with CaptureReader(path) as reader:
        assert [len(block) for block in reader.blocks()] == [BLOCK_FRAMES, 1]


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_capture_of_a_compression_bomb_is_refused_in_bounded_memory(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"bomb.jsonl.{suffix}"
    with create(path) as file:
        file.write(json.dumps(HEADER).encode() + b"\n")
        for _ in range(256):
            file.write(b"0" * (1 << 20))
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    try:
        try:
            with CaptureReader(path, skip_bad=True) as reader:
                assert not list(reader.frames())
                fault = reader.faults[-1]
        except SettingsError as error:  # zstandard reports it before the header is read
            fault = str(error)
        assert "unpacks to more than 250 times its size" in fault
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def test_capture_of_a_still_hand_is_not_refused(tmp_path: Path) -> None:
    with CaptureWriter(tmp_path / "a.jsonl.zst") as writer:
        for seq in range(20_000):
            writer.write(line(seq))
    with CaptureReader(tmp_path / "a.jsonl.zst") as reader:
        assert sum(map(len, reader.blocks())) == 20_000


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"])
def test_capture_of_blank_lines_is_refused_after_few_of_them(tmp_path: Path, name: str) -> None:
    with create(tmp_path / name) as file:
        file.write(json.dumps(HEADER).encode() + b"\n" + b" \n" * 40_000)
    fault = "10,002 blank lines among 10,002"
    with pytest.raises(SettingsError, match=f"line 10004: the file is damaged here: it has {fault}"):
        read(tmp_path / name)
    fault = "10,002 blank lines among 10,003"
    with open_lines(tmp_path / name) as lines, pytest.raises(OSError, match=fault):
        list(read_lines(lines))


def test_file_with_a_blank_line_after_each_line_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"{}\n\n" * 11_000)
    with open_lines(path) as lines:
        assert len(list(read_lines(lines))) == 22_000
    with open_lines(path) as lines:
        assert [(len(found), error) for found, error in batches(lines, 20_000)] == [
            (20_000, None),
            (2000, None),
        ]


@pytest.mark.parametrize(
    "text",
    [
        '1) 1) "1-0"\n   2) 1) "s"\n',
        '[["1-0", ["s"]]]',
        '[["1-0", 1]]',
        "[" * 100_000,
        f'1) 1) "{"9" * 5000}-0"\n   2) 1) "s"\n      2) "a"\n',
    ],
)
def test_broken_dump_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.dump").write_text(text)
    with pytest.raises(SettingsError, match="dump"):
        list(lines_of_dumps([tmp_path / "a.dump"]))
