"""`maze replay` and the file commands of `maze capture`, as a tester uses them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from gesture_maze.capture.reader import CaptureReader
from gesture_maze.capture.writer import CaptureWriter
from gesture_maze.cli.main import build
from gesture_maze.models.bundle import Bundle, bundled_path, load_bundle
from gesture_maze.replay.drawing import braille, svg
from gesture_maze.replay.summary import COLUMNS
from gesture_maze.wire.frames import Frame, pack
from gesture_maze.wire.text import dump, object_of
from tests.support import layouts
from tests.support.captures import synthetic

GESTURES_SHOWN = {"like", "dislike", "four", "three", "no_gesture", "palm", "ok"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic(tmp_path_factory.mktemp("small") / "small.jsonl.gz", players=3, seconds=5)


def maze(*words: Any, code: int = 0) -> Result:
    result = CliRunner().invoke(build(("capture", "replay")), [str(word) for word in words])
    assert result.exit_code == code, result.output + str(result.exception)
    return result


def facts(*words: Any, code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(maze(*words, "--json", code=code).stdout)
    return found


def test_replay_out_bless_and_expect_agree(small: Path, tmp_path: Path) -> None:
    out, golden = tmp_path / "actions.jsonl", tmp_path / "golden.jsonl"
    first = facts("replay", small, "--out", out)
    maze("replay", small, "--expect", golden, "--bless", "--partitions", 16)
    assert out.read_bytes() == golden.read_bytes()
    again = facts("replay", small, "--expect", golden, "--batch-frames", 7, "--partitions", 4)
    assert again["differences"] == 0
    assert (again["sha256"], again["moves"]) == (first["sha256"], first["moves"])
    assert first["outcomes"]["answered"] == first["frames"] == len(out.read_text().splitlines())
    assert "as expected" in maze("replay", small, "--expect", golden).stdout
    answer = json.loads(out.read_text().splitlines()[0])
    assert list(answer) == [
        "offset_ms", "v", "session", "seq", "t", "gesture", "label", "confidence", "action", "move", "model",
    ]  # fmt: skip


def changed(line: str, **values: Any) -> str:
    return json.dumps(json.loads(line) | values)


def test_expect_with_differences_reports_each_kind_and_draws_hands(small: Path, tmp_path: Path) -> None:
    golden, report = tmp_path / "golden.jsonl", tmp_path / "diff.html"
    maze("replay", small, "--expect", golden, "--bless")
    lines = golden.read_text().splitlines()
    at = [number for number, line in enumerate(lines) if '"move":"up"' in line]
    lines[at[0]] = changed(lines[at[0]], move=None)
    lines[at[1]] = changed(lines[at[1]], gesture="fist", action=None)
    lines[at[2]] = changed(lines[at[2]], confidence=0.1, model="another-1")
    lines[at[3]] = changed(lines[at[3]], seq=9999)
    golden.write_text("\n".join(lines) + "\n")
    output = maze("replay", small, "--expect", golden, "--report", report, code=1).stdout
    for words in ("action 1", "gesture 1", "move 1", "confidence 1", "answered 2", "seq 9999", "fist", "⠤"):
        assert words in output
    assert report.read_text().count("<svg") == 5
    assert "<script" not in report.read_text()
    assert facts("replay", small, "--expect", golden, code=1)["differences"] == 5


def test_expect_with_other_model_and_equal_answers_reports_no_differences(
    small: Path, tmp_path: Path
) -> None:
    golden = tmp_path / "golden.jsonl.gz"
    maze("replay", small, "--expect", golden, "--bless")
    text = gzip.decompress(golden.read_bytes()).replace(b'"model":"mlp-', b'"model":"older-')
    golden.write_bytes(gzip.compress(text))
    assert facts("replay", small, "--expect", golden)["differences"] == 0


def strict_bundle(folder: Path) -> Path:
    """Write the bundled model with a threshold that few frames reach, so that only actions change."""
    import hashlib

    from gesture_maze.models.manifest import model_digest

    found = load_bundle(bundled_path())
    thresholds = found.manifest.thresholds.model_copy(update={"act": 0.999})
    manifest = found.manifest.model_copy(update={"thresholds": thresholds})
    name = f"strict-{model_digest(manifest)}"
    manifest = manifest.model_copy(update={"model_version": name})
    files = {**found.files, "manifest.json": manifest.model_dump_json().encode()}
    assert hashlib.sha256(files["model.onnx"]).hexdigest() == manifest.files["model.onnx"]
    Bundle(manifest, found.model, found.golden, found.card, files).write(folder)
    return folder


def test_against_with_other_model_compares_both(small: Path, tmp_path: Path) -> None:
    same = facts("replay", small, "--against", bundled_path())
    assert (same["flipped"], same["moves_changed"]) == (0, 0)
    assert same["moves"]["model"] == same["moves"]["against"] > 10
    report = tmp_path / "diff.html"
    other = facts("replay", small, "--against", strict_bundle(tmp_path / "strict"), "--report", report)
    assert other["against"].startswith("strict-")
    assert (other["flipped"], other["moves_changed"]) == (0, 0)
    assert "<svg" in report.read_text()
    assert "changed on 0 frames" in maze("replay", small, "--against", bundled_path()).stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--bless"], "--bless needs --expect"),
        (["--report", "x.html"], "--report needs"),
        (["--speed", "fast"], "--speed must be"),
        (["--speed", "0"], "got 0"),
        (["--against", "a", "--expect", "b"], "--against cannot be combined"),
        (["--redis", "redis://h", "--model", "a"], "a live pool has its own"),
        (["--redis", "redis://h", "--partitions", "4"], "a live pool has its own"),
        (["--keep-sessions"], "--keep-sessions is for"),
        (["--tolerance-ms", "5"], "--tolerance-ms is for"),
        (["--tolerance-ms", "5", "--expect", "a", "--bless"], "--tolerance-ms is for"),
        (["--partitions", "3"], "partitions"),
        (["--expect", "/nowhere"], "cannot read"),
    ],
)
def test_replay_with_contradictory_flags_is_rejected(small: Path, words: list[str], sentence: str) -> None:
    assert sentence in maze("replay", small, *words, code=2).stderr


AMBIENT = {
    "MAZE_REDIS": "redis://127.0.0.1:1/0",
    "MAZE_BLESS": "1",
    "MAZE_EXPECT": "/nowhere/golden.jsonl",
    "MAZE_OUT": "/nowhere/out.jsonl",
    "MAZE_REPORT": "/nowhere/report.html",
    "MAZE_MODEL": "/nowhere",
    "MAZE_AGAINST": "/nowhere",
    "MAZE_COPIES": "3",
    "MAZE_SPEED": "1",
    "MAZE_SKIP_BAD": "1",
    "MAZE_THRESHOLD": "0.999",
    "MAZE_FRESH": "1",
}


def test_replay_with_deployment_environment_ignores_it_and_opens_no_connection(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_: object) -> None:
        pytest.fail("a replay without --redis opened a connection")

    usual = facts("replay", small)
    monkeypatch.setattr("socket.socket.connect", connect)
    for name, value in AMBIENT.items():
        monkeypatch.setenv(name, value)
    found = facts("replay", small)
    assert {**found, "seconds": 0, "frames_per_s": 0} == {**usual, "seconds": 0, "frames_per_s": 0}


def test_bless_with_unanswered_frames_is_rejected_and_keeps_old_file(small: Path, tmp_path: Path) -> None:
    golden = tmp_path / "golden.jsonl.gz"
    golden.write_bytes(b"old")
    refusal = maze("replay", small, small, "--expect", golden, "--bless", code=2).stderr
    assert "--allow-unanswered" in refusal
    assert "duplicate" in refusal
    assert golden.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == [golden.name]
    maze("replay", small, small, "--expect", golden, "--bless", "--allow-unanswered")
    assert facts("replay", small, "--expect", golden)["differences"] == 0


def test_bless_with_empty_capture_is_rejected(tmp_path: Path) -> None:
    with CaptureWriter(tmp_path / "a.jsonl"):
        pass
    refusal = maze("replay", tmp_path / "a.jsonl", "--expect", tmp_path / "g", "--bless", code=2).stderr
    assert "0 of 0 frames" in refusal


ANSWER = '{"offset_ms":0.0,"session":"a","seq":1,"gesture":"like","action":"up","move":null,"confidence":0.9}'


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        (f"{ANSWER}\n{ANSWER[:40]}", "line 2 is not an answer of a replay; the file is cut off"),
        (f"{ANSWER}\n{ANSWER}\n", "line 2 answers a 1 again"),
        (ANSWER.replace("0.9", '"high"'), "line 1 is not an answer"),
        (ANSWER.replace("0.0", "null"), "line 1 is not an answer"),
        (ANSWER.replace('"like"', "[]"), "line 1 is not an answer"),
        ("[]\n", "line 1 is not an answer"),
    ],
)
def test_expect_with_unusable_golden_file_is_rejected(
    small: Path, tmp_path: Path, content: str, sentence: str
) -> None:
    (tmp_path / "golden.jsonl").write_text(content)
    assert sentence in maze("replay", small, "--expect", tmp_path / "golden.jsonl", code=2).stderr


@pytest.mark.parametrize("name", ["g.jsonl.gz", "g.jsonl.zst"])
@pytest.mark.parametrize("keep", [-1, -30, 200, 9, 0])
def test_expect_with_truncated_compressed_golden_file_is_rejected(
    small: Path, tmp_path: Path, name: str, keep: int
) -> None:
    golden = tmp_path / name
    maze("replay", small, "--expect", golden, "--bless")
    golden.write_bytes(golden.read_bytes()[:keep])
    sentence = maze("replay", small, "--expect", golden, code=2).stderr
    assert "cut off" in sentence or "is empty" in sentence


def test_tolerance_ms_accepts_moves_one_frame_late_only(small: Path, tmp_path: Path) -> None:
    golden = tmp_path / "golden.jsonl"
    maze("replay", small, "--expect", golden, "--bless")
    answers = [json.loads(line) for line in golden.read_text().splitlines()]
    by_session: dict[str, list[dict[str, Any]]] = {}
    for answer in answers:
        by_session.setdefault(answer["session"], []).append(answer)
    for frames in by_session.values():  # shift every answer to the next frame
        shown = [{name: one[name] for name in ("gesture", "action", "move", "confidence")} for one in frames]
        for one, other in zip(frames[1:], shown, strict=False):
            one.update(other)
        frames[0].update(move=None)
    golden.write_text("".join(json.dumps(one) + "\n" for one in answers))
    assert facts("replay", small, "--expect", golden, code=1)["differences"] > 50
    assert facts("replay", small, "--expect", golden, "--tolerance-ms", 80)["differences"] == 0
    at = next(one for one in answers if one["move"] == "up")
    at["move"] = "down"
    golden.write_text("".join(json.dumps(one) + "\n" for one in answers))
    found = maze("replay", small, "--expect", golden, "--tolerance-ms", 80, code=1).stdout
    assert "move 2" in found or "move 1" in found


def test_bundled_in_every_flag_selects_default_model(small: Path, tmp_path: Path) -> None:
    usual = facts("replay", small)
    assert facts("replay", small, "--model", "bundled")["sha256"] == usual["sha256"]
    assert facts("replay", small, "--against", "bundled")["flipped"] == 0
    assert facts("capture", "show", small, "--model", "bundled")["model"] == usual["model"]


def test_replay_with_bad_lines_names_or_counts_them(tmp_path: Path) -> None:
    path = synthetic(tmp_path / "a.jsonl", players=2, seconds=1)
    lines = path.read_text().splitlines()
    lines[7] = lines[7][:100]
    path.write_text("\n".join(lines) + "\n")
    assert "line 8: bad_json" in maze("replay", path, code=2).stderr
    found = facts("replay", path, "--skip-bad")
    assert (found["bad_lines"], found["frames"]) == (1, len(lines) - 2)
    assert "line 8" in found["bad"][0]


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
