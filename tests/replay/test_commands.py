"""`maze replay`, as a tester uses it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from gesture_maze.capture.writer import CaptureWriter
from gesture_maze.models.bundle import Bundle, bundled_path, load_bundle
from tests.support.captures import synthetic
from tests.support.commands import facts, maze


def test_replay_out_bless_and_expect_agree(small: Path, tmp_path: Path) -> None:
    out, golden = tmp_path / "actions.jsonl", tmp_path / "golden.jsonl"
    first = facts("replay", small, "--out", out)
    maze("replay", small, "--expect", golden, "--bless", "--partitions", 16)
    first_line, *answers, last_line = golden.read_bytes().splitlines(keepends=True)
    assert out.read_bytes() == b"".join(answers)
    assert json.loads(first_line) == {"format": "gesture-maze-golden", "version": 1}
    assert json.loads(last_line) == {"answers": len(answers)}
    again = facts("replay", small, "--expect", golden, "--batch-frames", 7, "--partitions", 4)
    assert again["differences"] == 0
    assert (again["sha256"], again["moves"]) == (first["sha256"], first["moves"])
    assert first["outcomes"]["answered"] == first["frames"] == len(out.read_text().splitlines())
    assert "as expected" in maze("replay", small, "--expect", golden).stdout
    answer = json.loads(out.read_text().splitlines()[0])
    assert list(answer) == [
        "offset_ms", "v", "session", "seq", "t", "gesture", "label", "confidence", "hand", "action",
        "move", "model",
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


HEADER = '{"format":"gesture-maze-golden","version":1}'
ANSWER = '{"offset_ms":0.0,"session":"a","seq":1,"gesture":"like","action":"up","move":null,"confidence":0.9}'


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        (f"{ANSWER}\n{ANSWER[:40]}", "line 2 is not an answer of a replay; the file is cut off"),
        (f"{ANSWER}\n{ANSWER}\n", "line 2 is a second answer to a 1"),
        (ANSWER.replace("0.9", '"high"'), "line 1 is not an answer"),
        (ANSWER.replace("0.0", "null"), "line 1 is not an answer"),
        (ANSWER.replace('"like"', "[]"), "line 1 is not an answer"),
        ("[]\n", "line 1 is not an answer"),
        (f"{HEADER}\n", "cut off after 0 answers"),
        (f"{HEADER}\n{ANSWER}\n", "cut off after 1 answers: its last line is missing"),
        (f'{HEADER}\n{ANSWER}\n{{"answ', "line 3 is not an answer of a replay; the file is cut off"),
        (f'{HEADER}\n{ANSWER}\n{{"answers":2}}\n', "expected 2 answers according to the last line, got 1"),
        (f'{HEADER}\n{{"answers":1}}\n{ANSWER}\n', "line 3 follows the last line"),
        (f'{HEADER}\n{{"answers":0}}\n', "is empty"),
        (f'{ANSWER}\n{{"answers":1}}\n', "line 2 is not an answer"),
        (HEADER.replace("1}", "2}"), "version 2 of the format is unknown"),
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
    # the answers alone are a golden file of an earlier version
    answers = [json.loads(line) for line in golden.read_text().splitlines()[1:-1]]
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
