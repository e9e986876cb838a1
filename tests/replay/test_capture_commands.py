"""The file commands of `maze capture`, as a tester uses them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gesture_maze.capture.reader import CaptureReader
from gesture_maze.capture.writer import CaptureWriter
from gesture_maze.replay.drawing import braille, svg
from gesture_maze.replay.summary import COLUMNS
from gesture_maze.wire.frames import Frame, pack
from gesture_maze.wire.text import dump, object_of
from tests.support import layouts
from tests.support.commands import facts, maze

GESTURES_SHOWN = {"like", "dislike", "four", "three", "no_gesture", "palm", "ok"}


def test_show_lists_sessions_gestures_moves_and_timeline(small: Path) -> None:
    found = facts("capture", "show", small)
    assert [one["session"] for one in found["sessions"]] == ["player-0", "player-1", "player-2"]
    for one in found["sessions"]:
        assert set(list(one["gestures"])[:3]) <= GESTURES_SHOWN
        assert one["fps"] == pytest.approx(30, abs=1)
        assert one["frames"] + one["missing_seqs"] == pytest.approx(150, abs=2)
        assert len(one["timeline"]) == COLUMNS
    assert set("".join(one["timeline"] for one in found["sessions"])) >= set("ULs.")
    assert found["frames"] == sum(one["frames"] for one in found["sessions"])
    assert "player-2 |" in maze("capture", "show", small).stdout


def test_timeline_with_gap_is_blank_there(tmp_path: Path) -> None:
    with CaptureWriter(tmp_path / "a.jsonl") as writer:
        for seq in [*range(30), *range(60, 90)]:
            writer.write({"offset_ms": seq * 33, "session": "a", "seq": seq, "t": seq * 33, "landmarks": []})
    (one,) = facts("capture", "show", tmp_path / "a.jsonl")["sessions"]
    assert (one["gaps"], one["missing_seqs"], one["no_hand"]) == (1, 30, 60)
    assert 15 < one["timeline"].count(" ") < 25


def test_plot_of_chosen_session_writes_image(small: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "x.png"
    maze("capture", "plot", small, "--session", "player-1", "--out", out)
    assert out.read_bytes()[:4] == b"\x89PNG"
    assert "must be one of" in maze("capture", "plot", small, "--out", out, code=2).stderr
    assert (
        "no answered frame" in maze("capture", "plot", small, "--session", "x", "--out", out, code=2).stderr
    )
    assert "--out" in maze("capture", "plot", small, "--session", "player-1", "--out", "x.foo", code=2).stderr


def test_mutate_writes_other_file_only(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "b.jsonl.gz"
    found = facts("capture", "mutate", small, "--out", out, "--drop", 0.5, "--seed", 3)
    assert 0.4 < found["frames"] / facts("replay", small)["frames"] < 0.6
    assert "another file" in maze("capture", "mutate", small, "--out", small, code=2).stderr


def test_convert_of_recordings_writes_capture(tmp_path: Path) -> None:
    hand = np.random.default_rng(0).random((21, 2)).round(4).tolist()
    folder = tmp_path / "recordings"
    folder.mkdir()
    (folder / "one two.json").write_text(
        json.dumps([hand, [], {"landmarks": hand, "t": 90, "label": "like"}])
    )
    points = [{"x": x, "y": y} for x, y in hand]
    (folder / "js.jsonl").write_text("\n".join(json.dumps({"landmarks": points, "t": t}) for t in (5, 45)))
    names = ",".join(f"x{n},y{n}" for n in range(1, 22))
    cells = ",".join(f"{x},{y}" for x, y in hand)
    (folder / "table.csv").write_text(f"label,{names}\nlike,{cells}\nnone{',' * 42}\n")
    out = tmp_path / "a.jsonl"
    maze("capture", "convert", folder, "--out", out, "--fps", 20, "--aspect", 1.5)
    with CaptureReader(out) as reader:
        found = list(reader.frames())
    by_session = {
        name: [one for one in found if one.frame.session == name] for name in ("one-two", "js", "table")
    }
    assert [len(one) for one in by_session.values()] == [3, 2, 2]
    assert [one.offset_ms for one in by_session["one-two"]] == [0, 50, 90]
    assert [one.offset_ms for one in by_session["js"]] == [0, 40]
    assert by_session["one-two"][2].values["label"] == by_session["table"][0].values["label"] == "like"
    assert by_session["table"][1].values["landmarks"] == []
    assert {one.frame.aspect for one in found} == {1.5}
    np.testing.assert_allclose(np.array(by_session["js"][0].frame.landmarks)[:, :2], hand, rtol=1e-6)
    (folder / "bad.json").write_text(json.dumps([hand, hand[:3]]))
    assert (
        "bad.json: item 2: a hand must be a list of 21 points, got 3"
        in maze("capture", "convert", folder, "--out", out, code=2).stderr
    )


def escaped(value: bytes) -> str:
    """Return the string as redis-cli prints it in a terminal."""
    plain = {34: '\\"', 92: "\\\\", 10: "\\n", 13: "\\r", 9: "\\t", 7: "\\a", 8: "\\b"}
    return "".join(plain.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}") for byte in value)


def test_convert_of_dumps_writes_capture(tmp_path: Path) -> None:
    landmarks = np.random.default_rng(1).random((21, 3), np.float32)
    frames = [Frame("a", 1, 5, landmarks, 1.5, left=True), Frame("b", 7, 6, None)]
    s, m, points = pack(frames)
    texts = [b"s", s, b"m", m, b"l", points]
    rows = [f'1) 1) "1000-0"\n   2) 1) "{escaped(texts[0])}"']
    rows += [f'      {number}) "{escaped(text)}"' for number, text in enumerate(texts[1:], start=2)]
    text = dump(object_of(Frame("c", 3, 9, landmarks)))
    rows += ['2) 1) "1250-3"', '   2) 1) "json"', f'      2) "{escaped(text)}"']
    (tmp_path / "0.txt").write_text("\n".join(rows) + "\n")
    (tmp_path / "1.dump").write_text(json.dumps([["1100-0", ["json", text.decode().replace('"c"', '"d"')]]]))
    out = tmp_path / "a.jsonl"
    maze("capture", "convert", tmp_path / "0.txt", tmp_path / "1.dump", "--out", out)
    with CaptureReader(out) as reader:
        found = list(reader.frames())
    assert [(one.frame.session, one.offset_ms) for one in found] == [
        ("a", 0),
        ("b", 0),
        ("d", 100),
        ("c", 250),
    ]
    np.testing.assert_array_equal(found[0].frame.landmarks, landmarks)
    np.testing.assert_array_equal(found[3].frame.landmarks, landmarks)
    (tmp_path / "x.dump").write_text("nothing\n")
    assert "is not a dump" in maze("capture", "convert", tmp_path / "x.dump", "--out", out, code=2).stderr


def converted(path: Path, out: Path, *words: Any) -> dict[str, list[dict[str, Any]]]:
    """Return the frames of a converted file by session."""
    maze("capture", "convert", path, "--out", out, *words)
    found: dict[str, list[dict[str, Any]]] = {}
    with CaptureReader(out) as reader:
        for line in reader.frames():
            found.setdefault(line.frame.session, []).append(line.values)
    return found


@pytest.mark.parametrize("name", layouts.WRITERS)
def test_convert_of_any_layout_keeps_hands(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(3)
    hands = [layouts.Written(rng.random((21, 3)).round(6), "like") for _ in range(4)]
    text = layouts.WRITERS[name][1](hands)
    (tmp_path / "my take.dat").write_text(text)
    path = (tmp_path / "my take.dat").rename(
        tmp_path / ("my take.json" if text[0] in "[{" else "my take.csv")
    )
    found = converted(path, tmp_path / "out.jsonl", "--aspect", "4:3", "--fps", "10")
    assert sorted(found) == ["my-take"]
    axes = 2 if name in layouts.PLANE else 3
    shown = [one for one in found["my-take"] if one["landmarks"]]
    got = np.array([one["landmarks"] for one in shown])[:, :, :axes]
    np.testing.assert_array_equal(got, np.array([hand.points[:, :axes] for hand in hands]))
    assert {one["label"] for one in shown} == {"like"}
    assert {one["aspect"] for one in shown} == {4 / 3}
    if name != "tasks-js":  # which has its own times
        assert [one["t"] for one in shown] == [0, 100, 200, 300]


def test_convert_of_two_hands_writes_one_session_per_hand(tmp_path: Path) -> None:
    points = layouts.objects(layouts.Written(np.random.default_rng(0).random((21, 3)), ""))
    both = {
        "landmarks": [points, points],
        "handednesses": [[{"categoryName": "Right"}], [{"categoryName": "Left"}]],
    }
    one = {"landmarks": [points], "handednesses": [[{"categoryName": "Left"}]]}
    (tmp_path / "a.jsonl").write_text(
        "".join(json.dumps(item) + "\n" for item in (both, one, {"landmarks": [], "handednesses": []}))
    )
    found = converted(tmp_path / "a.jsonl", tmp_path / "out.jsonl", "--aspect", "1.5")
    assert {name: [bool(frame["landmarks"]) for frame in frames] for name, frames in found.items()} == {
        "a-left": [True, True, False], "a-right": [True, False, False],
    }  # fmt: skip
    assert [frame["hand"] for frame in found["a-left"][:2]] == ["left", "left"]


def test_convert_without_aspect_or_known_key_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"pose_landmarks": [], "score": 1}))
    refusal = maze("capture", "convert", tmp_path / "a.json", "--out", tmp_path / "o", code=2).stderr
    assert "pose_landmarks, score" in refusal
    hands = [layouts.Written(np.random.default_rng(3).random((21, 3)), "like")]
    (tmp_path / "a.json").write_text(layouts.hagrid_v2(hands))
    refusal = maze("capture", "convert", tmp_path / "a.json", "--out", tmp_path / "o", code=2).stderr
    assert "--aspect 640x480" in refusal


def test_drawing_of_hand_stays_within_bounds() -> None:
    landmarks = np.zeros((21, 3), np.float32)
    assert braille(landmarks, 1.0) == ["(no hand)"]
    assert "no hand" in svg(landmarks, 1.0)
    landmarks[:, :2] = np.random.default_rng(0).random((21, 2)) * 1e6
    lines = braille(landmarks, 1.5, columns=10, rows=5)
    assert len(lines) == 5
    assert max(map(len, lines)) <= 10
    assert all(0x2800 <= ord(one) < 0x2900 for line in lines for one in line)
    landmarks[:] = 5.0  # all landmarks at one point
    assert len(braille(landmarks, 1.0)) == 11
