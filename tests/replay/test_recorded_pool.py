"""A replay decides as the pool did that was recorded, and as it is asked to."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from gesture_maze.capture.pool import DECIDING, pool_settings
from gesture_maze.capture.reader import CaptureReader
from gesture_maze.cli.replay import DECIDING as FLAGS
from gesture_maze.replay.engine import replay_settings
from gesture_maze.testing.bench import replay
from gesture_maze.wire.errors import SettingsError
from tests.support.captures import held, with_replies
from tests.support.commands import facts, maze

CALM = {
    "threshold": None,
    "actions": {"like": "down"},
    "policy": {"settle_evidence": 1400, "repeat_ms": 600},
    "model": "1.0",
}


def moves(path: Path, *words: Any) -> dict[str, int]:
    found: dict[str, int] = facts("replay", path, *words)["moves"]
    return found


def test_replay_decides_as_the_pool_that_was_recorded(tmp_path: Path) -> None:
    plain, calm = held(tmp_path / "plain.jsonl"), held(tmp_path / "calm.jsonl", CALM)
    assert set(moves(plain)) == {"up"}
    found = moves(calm)
    assert set(found) == {"down"}
    assert found["down"] < moves(plain)["up"]
    given = "--settle-evidence", "1400", "--repeat-ms", "600", "--actions", "like=down"
    assert moves(plain, *given) == found
    assert facts("replay", calm)["settings"] == {"actions": {"like": "down"}, **CALM["policy"]}  # type: ignore[dict-item]
    assert "actions like=down; settle_evidence 1400; repeat_ms 600" in maze("replay", calm).output
    assert "recorded with model 1.0, replayed with" in maze("replay", calm).output


def test_flags_of_a_replay_are_the_settings_that_captures_keep() -> None:
    assert FLAGS == DECIDING


def test_flags_and_marker_settings_replace_those_of_the_recorded_pool(tmp_path: Path) -> None:
    calm = held(tmp_path / "calm.jsonl", CALM)
    assert set(moves(calm, "--actions", "like=left")) == {"left"}
    assert facts("replay", calm, "--repeat-ms", "300")["settings"]["settle_evidence"] == 1400
    by_name = replay(calm, settle_evidence=700, actions={"like": "right"})
    assert by_name.lines == replay(calm, policy={"settle_evidence": 700}, actions={"like": "right"}).lines
    assert set(by_name.moves_of("p1")) == {"right"}


def test_capture_commands_show_moves_as_the_recorded_pool_decided(tmp_path: Path) -> None:
    calm = held(tmp_path / "calm.jsonl", CALM)
    assert set(facts("capture", "show", calm)["sessions"][0]["moves"]) == {"down"}
    maze("capture", "trim", calm, "--out", tmp_path / "part.jsonl", "--to", 1)
    with CaptureReader(tmp_path / "part.jsonl") as reader:
        assert reader.header["pool"] == CALM
    maze("capture", "join", calm, tmp_path / "part.jsonl", "--out", tmp_path / "both.jsonl")
    assert set(moves(tmp_path / "both.jsonl")) == {"down"}


def test_captures_of_one_pool_under_two_models_keep_its_settings_when_joined(tmp_path: Path) -> None:
    files = held(tmp_path / "a.jsonl", CALM), held(tmp_path / "b.jsonl", {**CALM, "model": "2.0"})
    joined = maze("capture", "join", *files, "--out", tmp_path / "both.jsonl")
    assert "names no settings of a pool" not in joined.output
    with CaptureReader(tmp_path / "both.jsonl") as reader:
        assert reader.header["pool"] == {**CALM, "model": None}


def test_capture_from_a_pipe_is_joined_whole(tmp_path: Path) -> None:
    capture, pipe = held(tmp_path / "a.jsonl", CALM, frames=4), tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(capture.read_bytes(),))
    writer.start()
    joined = maze("capture", "join", pipe, "--out", tmp_path / "b.jsonl")
    writer.join()
    assert "4 frames" in joined.output


def test_captures_of_pools_with_other_settings_are_rejected(tmp_path: Path) -> None:
    files = held(tmp_path / "plain.jsonl"), held(tmp_path / "calm.jsonl", CALM)
    assert "other settings (actions, policy)" in maze("replay", *files, code=2).output
    joined = maze("capture", "join", *files, "--out", tmp_path / "both.jsonl")
    assert "names no settings of a pool" in joined.output
    given = ("--actions", "like=up", "--settle-evidence", "1000", "--repeat-ms", "250")
    assert "other settings" not in maze("replay", *files, *given).output


def test_wrong_settings_are_rejected_with_the_names_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"setle_evidence: unknown, expected one of .*settle_evidence"):
        replay_settings(setle_evidence=1)
    wrong = held(tmp_path / "a.jsonl", {"policy": {"repeat_ms": 0}})
    shown = maze("replay", wrong, code=2).output
    assert "a.jsonl: line 1: pool: policy.repeat_ms: input should be greater than 0, got 0" in shown


def test_pool_settings_are_those_of_most_workers() -> None:
    settings = {name: CALM[name] for name in DECIDING}

    def info(**changed: Any) -> bytes:
        return json.dumps({"host": "h", "model": "1.0", "settings": settings | changed}).encode()

    infos = {b"a": info(), b"b": info(threshold=0.9), b"c": info(), b"old": b'{"model":"1.0"}', b"bad": b"["}
    assert pool_settings(infos) == CALM
    assert pool_settings({b"old": b'{"actions":{}}'}) is None


def test_replay_of_recorded_replies_ends_with_how_many_agree(tmp_path: Path) -> None:
    same = with_replies(held(tmp_path / "same.jsonl", frames=20))
    assert facts("replay", same)["recorded"] == {"equal": 19, "different": 0, "first": None}
    assert "recorded  19 answers equal, none differs" in maze("replay", same, "--expect-recorded").output
    other = with_replies(held(tmp_path / "other.jsonl", frames=20), action=None)
    assert (
        "recorded  18 answers equal, 1 differs; the first: session p1 seq 5 at 0.165 s, action - -> up"
        in (maze("replay", other).output)
    )
    found = facts("replay", other, same, "--expect-recorded", code=1)["recorded"]
    # the second capture repeats the session's seqs: duplicates, which the replay does not answer
    assert (found["equal"], found["different"]) == (18, 20)
    assert found["first"]["recorded"]["action"] is None


def test_replay_without_recorded_replies_compares_none(tmp_path: Path) -> None:
    plain = held(tmp_path / "plain.jsonl", frames=20)
    assert facts("replay", plain)["recorded"] is None
    assert "--with-replies" in maze("replay", plain, "--expect-recorded", code=2).stderr
    same = with_replies(plain)
    assert facts("replay", same, "--copies", 2, "--fresh")["recorded"]["equal"] == 38


def test_recorded_reply_that_is_malformed_is_not_compared(tmp_path: Path) -> None:
    path = with_replies(held(tmp_path / "odd.jsonl", frames=20), confidence="high")
    assert facts("replay", path)["recorded"] == {"equal": 18, "different": 0, "first": None}


def test_replay_from_a_pipe_compares_recorded_replies(tmp_path: Path) -> None:
    same, pipe = with_replies(held(tmp_path / "same.jsonl", frames=20)), tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(same.read_bytes(),))
    writer.start()
    assert facts("replay", pipe)["recorded"]["equal"] == 19
    writer.join()
