"""docs/wire.md and clients in other languages match the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gesture_maze.producer.options import Options
from gesture_maze.producer.outcome_watch import OUTCOMES
from gesture_maze.producer.redis_errors import _REASON_OF_CODE
from gesture_maze.wire import compact, frames, keys
from gesture_maze.wire.errors import RejectReason

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "wire.md").read_text()
NOT_OF_THE_WIRE = {RejectReason.PROCESSING_FAILED, RejectReason.KILLED_WORKER}
SPELLED_OUT = ["docs/wire.md", "examples/c/game_server.c", "clients/js/src/wire.js"]
"""Files outside the package that spell out keys; change them together with `wire.keys`."""


@pytest.mark.parametrize("path", SPELLED_OUT)
def test_keys_outside_package_match_wire_keys(path: str) -> None:
    text = (ROOT / path).read_text()
    assert keys.TOPOLOGY in text
    assert set(re.findall(r"[\w{}]*:topology\b", text)) == {keys.TOPOLOGY}
    assert "frames:{" in text
    assert "actions:{" in text


@pytest.mark.parametrize(
    "name",
    [
        keys.frames_key(3).replace("3", "p"),
        keys.outcomes_key(3).replace("3", "p"),
        keys.dead_key(3).replace("3", "p"),
        keys.lease_key(3).replace("3", "p"),
        keys.epoch_key(3).replace("3", "p"),
        keys.suspect_key(3).replace("3", "p"),
        "actions:{p}:<session>",
        keys.reply_channel(3, "<name>").replace("3", "p"),
        f"{keys.REPLY_TO.decode()}`, a name",
        keys.GROUP,
        keys.TRACEPARENT.decode(),
    ],
)
def test_key_name_is_documented(name: str) -> None:
    assert f"`{name}" in PAGE or f" {name}" in PAGE


@pytest.mark.parametrize("reason", sorted(set(RejectReason) - NOT_OF_THE_WIRE))
def test_reject_reason_is_documented(reason: RejectReason) -> None:
    assert f"`{reason}`" in PAGE


@pytest.mark.parametrize(
    "code", sorted(set(_REASON_OF_CODE) - {"DENIED", "MOVED", "ASK", "CROSSSLOT", "NOSCRIPT"})
)
def test_error_code_is_documented(code: str) -> None:
    assert f"`{code}`" in PAGE


def test_limits_are_documented() -> None:
    for value in (
        f"{frames.MAX_ENTRY_BYTES:,} bytes",
        f"| `m` | {frames.META_BYTES} per frame",
        f"| `l` | {frames.LANDMARK_BYTES} per frame",
        f"{compact.COMPACT_BYTES} bytes a frame",
        f"a power of two from 1 to {keys.MAX_PARTITIONS:,}",
        f"{Options().max_lag:,} entries by default",
        f"every {Options().guard_interval_s} s per partition",
        f"time of {Options().release_ms} ms plus 100 ms",
        f"HMGET outcomes:{{p}} {' '.join(OUTCOMES)}",
        f"of this protocol: `{keys.WIRE_VERSION}`",
    ):
        assert value in PAGE, value


def test_packed_example_in_docs_matches_packer() -> None:
    frame = frames.Frame("p1", 17, 1_700_000_000_000, [(0.5, 0.5, 0.0)] * 21, 1.25)
    sessions, meta, landmarks = frames.pack([frame])
    found = dict(re.findall(r"^([sm])  ((?:[0-9a-f]{2} +)+[0-9a-f]{2})$", PAGE, re.M))
    assert bytes.fromhex(found["s"]) == sessions
    assert bytes.fromhex(found["m"]) == meta
    assert len(landmarks) == 252


@pytest.mark.parametrize("session", ["p1", "player-1"])
def test_partition_example_in_docs_matches_partition_of(session: str) -> None:
    at = PAGE.index(f'`crc32("{session}")` = ')
    crc, in_16 = re.findall(r"\d+", PAGE[at + len(session) + 9 :].replace(f"`{session}`", ""))[:2]
    assert int(in_16) == int(crc) % 16 == keys.partition_of(session, 16)
