"""Messages of `maze capture` and `maze replay` for selections without a match, and for golden answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from gesture_maze.capture.writer import CaptureWriter
from gesture_maze.replay.summary import show, view
from tests.support.captures import held
from tests.support.commands import maze


def text_of(*words: Any, code: int = 0) -> str:
    """Return the output of a command with single blanks between words."""
    return " ".join(maze(*words, code=code).output.split())


def test_bless_names_the_answers_that_changed(tmp_path: Path) -> None:
    capture, golden = held(tmp_path / "a.jsonl", frames=20), tmp_path / "a.golden.jsonl"
    words = "replay", capture, "--expect", golden, "--bless"
    assert "written: 20 answers, there was none before" in text_of(*words)
    assert "written: 20 answers, as in the old one" in text_of(*words)
    answers = [json.loads(line) for line in golden.read_text().splitlines()[1:-1]]
    for answer in answers[:3]:
        answer["gesture"] = "fist"
    golden.write_text("".join(json.dumps(answer) + "\n" for answer in answers[:-1]))
    assert "written: 20 answers, 4 differ from the old one" in text_of(*words)
    golden.write_text("{")
    assert "the old one could not be read" in text_of(*words)
    assert json.loads(maze(*words, "--json").stdout)["blessed"].endswith("as in the old one")


def test_trim_that_matches_nothing_names_what_there_is_and_leaves_no_file(tmp_path: Path) -> None:
    capture, out = held(tmp_path / "a.jsonl", frames=31), tmp_path / "b.jsonl"
    for words in (("--from", 100), ("--sessions", "unknown*")):
        found = text_of("capture", "trim", capture, "--out", out, *words, code=2)
        assert "no frame matches: the capture lasts 1.0 s and has the sessions p1" in found
        assert not out.exists()


def test_capture_written_without_the_packer_keeps_the_file_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture, out = held(tmp_path / "a.jsonl", frames=2), tmp_path / "b.jsonl.zst"
    out.write_bytes(b"earlier")
    monkeypatch.setitem(sys.modules, "zstandard", None)
    assert "needs zstandard" in text_of("capture", "trim", capture, "--out", out, code=2)
    assert out.read_bytes() == b"earlier"


def test_to_csv_from_missing_replies_says_how_to_record_them(tmp_path: Path) -> None:
    capture, out = held(tmp_path / "a.jsonl", frames=2), tmp_path / "a.csv"
    assert "record with maze capture --with-replies" in text_of(
        "capture", "to-csv", capture, "--out", out, "--label-from", "reply", code=2
    )
    assert not out.exists(), "an empty table would be read later"
    plain = text_of("capture", "to-csv", capture, "--out", out, code=2)
    assert "give --label NAME, or --label-from session, with" in plain


def test_show_in_a_narrow_terminal_cuts_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = json.loads(held(tmp_path / "a.jsonl", frames=1).read_text().splitlines()[1])
    names = [f"team-a-player-with-a-long-name-{number}" for number in (1, 2)]
    with CaptureWriter(tmp_path / "b.jsonl") as writer:
        for name in names:
            writer.write({**line, "session": name})
    monkeypatch.setenv("COLUMNS", "80")
    show(view(tmp_path / "b.jsonl"), 5)
    out = capsys.readouterr().out
    assert "…" not in out


def test_file_cut_off_is_named_without_nested_parentheses(tmp_path: Path) -> None:
    packed = held(tmp_path / "a.jsonl.gz")
    packed.write_bytes(packed.read_bytes()[:-200])
    found = text_of("replay", packed, code=2)
    assert "cut off while it was written or copied; --skip-bad skips it" in found


def test_help_at_80_columns_cuts_no_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 80)
    shown = maze("replay", "--help").output
    assert "--allow-unanswered" in shown
    assert "…" not in shown
    assert "touches no server, whatever the environment says" in " ".join(shown.split())
