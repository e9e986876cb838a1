"""Trimming and joining captures, and converting them to tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from typer.testing import CliRunner, Result

from gesture_maze.capture.reader import CaptureReader
from gesture_maze.capture.writer import CaptureWriter
from gesture_maze.cli.main import build
from gesture_maze.readers.read import read_labelled

HAND = np.random.default_rng(0).random((21, 3)).round(4).tolist()


def maze(*words: Any, code: int = 0) -> Result:
    result = CliRunner().invoke(build(("capture", "replay")), ["capture", *map(str, words)])
    assert result.exit_code == code, result.output + str(result.exception)
    return result


def write(path: Path, sessions: str = "ab", seqs: range = range(10), **more: Any) -> Path:
    """Write a capture with one frame per session every 100 ms."""
    with CaptureWriter(path, {"note": "kept"}) as writer:
        for seq in seqs:
            for session in sessions:
                values = {
                    "offset_ms": 100.0 * (seq - seqs.start),
                    "session": session,
                    "seq": seq,
                    "t": 100 * seq,
                }
                writer.write({**values, "aspect": 1.5, "landmarks": HAND if seq % 5 else [], **more})
    return path


def frames(path: Path) -> list[dict[str, Any]]:
    with CaptureReader(path) as reader:
        return [line.values for line in reader.frames()]


def test_trim_keeps_the_requested_times_and_sessions(tmp_path: Path) -> None:
    source, out = write(tmp_path / "a.jsonl", "abc", label="like"), tmp_path / "b.jsonl.gz"
    maze("trim", source, "--out", out, "--from", 0.3, "--to", 0.6, "--sessions", "[ab]")
    found = frames(out)
    assert [(one["session"], one["seq"], one["offset_ms"]) for one in found] == [
        ("a", 3, 0), ("b", 3, 0), ("a", 4, 100), ("b", 4, 100), ("a", 5, 200), ("b", 5, 200),
    ]  # fmt: skip
    assert {one["label"] for one in found} == {"like"}
    with CaptureReader(out) as reader:
        assert reader.header["note"] == "kept"


def test_trim_to_before_from_or_onto_itself_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl")
    assert (
        "--to must be above"
        in maze("trim", source, "--out", tmp_path / "b", "--from", 2, "--to", 1, code=2).stderr
    )
    assert "another file" in maze("trim", source, "--out", source, code=2).stderr


def test_join_renames_duplicate_sessions_and_continues_others(tmp_path: Path) -> None:
    first, again = write(tmp_path / "a.jsonl", "ab"), write(tmp_path / "b.jsonl", "b")
    later = write(tmp_path / "c.jsonl", "a", range(10, 12))
    out = tmp_path / "all.jsonl"
    output = maze("join", first, again, later, "--out", out, "--gap", 2).stderr
    found = frames(out)
    assert len({(one["session"], one["seq"]) for one in found}) == len(found) == 32
    assert {one["session"] for one in found} == {"a", "b", "b-2"}
    assert "session b exists already, renamed to b-2" in output
    offsets = [one["offset_ms"] for one in found]
    assert offsets == sorted(offsets)
    assert offsets[20] == 900 + 2000
    replayed = CliRunner().invoke(build(("capture", "replay")), ["replay", str(out), "--json"])
    assert json.loads(replayed.stdout)["outcomes"]["duplicate"] == 0


def test_to_csv_rows_are_read_back_as_the_same_hands(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", label="thumbs up")
    out = tmp_path / "a.csv.gz"
    found = json.loads(maze("to-csv", source, "--out", out, "--json").stdout)
    left_out = {"without_hand": 4, "without_reply": 0}
    assert found == {"out": str(out), "rows": 16, "labels": {"thumbs_up": 16}, **left_out}
    read = read_labelled([out])
    assert (read.labels, set(read.users), set(read.sources)) == (["like"] * 16, {"a", "b"}, {"a.jsonl"})
    np.testing.assert_allclose(read.points[0], np.array(HAND) * (1.5, 1, 1.5), rtol=1e-5)
    assert "look normalised" not in " ".join(read.report), "the file states its aspect"


def test_to_csv_takes_labels_from_sessions_replies_or_the_flag(tmp_path: Path) -> None:
    source, out = write(tmp_path / "a.jsonl", reply={"gesture": "fist"}), tmp_path / "a.csv"
    assert "no label" in maze("to-csv", source, "--out", out, code=2).stderr
    assert "16 rows (palm 16)" in maze("to-csv", source, "--out", out, "--label", "palm").stdout
    assert "fist 16" in maze("to-csv", source, "--out", out, "--label-from", "reply").stdout
    recorded = source.read_text().splitlines()
    del (frame := json.loads(recorded[3]))["reply"]  # the first reply of a session may be missing
    source.write_text("\n".join([*recorded[:3], json.dumps(frame), *recorded[4:]]))
    found = maze("to-csv", source, "--out", out, "--label-from", "reply").stdout
    assert "15 rows (fist 15)" in found
    assert "without a reply: 1" in found
    (tmp_path / "map.csv").write_text("a,swipe\nb,-\n")
    words = ("--label-from", "session", "--labels", tmp_path / "map.csv", "--every", 2)
    assert "4 rows (swipe 4)" in maze("to-csv", source, "--out", out, *words).stdout
    assert "--label-from must be" in maze("to-csv", source, "--out", out, "--label-from", "x", code=2).stderr
