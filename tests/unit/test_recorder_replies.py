"""The recorder of captures takes replies from channels on which other clients may publish anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from gesture_maze.capture.recorder import Names, Recorder
from gesture_maze.capture.stream import CaptureStream
from gesture_maze.capture.writer import CaptureWriter

REPLY = {"session": "p1", "seq": 7, "move": "up"}


@pytest.fixture
def recorder(tmp_path: Path) -> Any:
    with CaptureWriter(tmp_path / "a.jsonl") as writer:
        yield Recorder(cast(CaptureStream, None), writer, Names(), with_replies=True)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xff",
        b"null",
        b"[1]",
        b"{}",
        b'{"session": [], "seq": 1}',
        b'{"session": "p1"}',
        b"[" * 100_000,
    ],
)
def test_recorder_ignores_a_message_that_is_not_a_reply(recorder: Any, message: bytes) -> None:
    recorder._take_replies(message)
    assert not recorder._replies


def test_recorder_keeps_the_replies_of_a_message_with_one_that_is_not(recorder: Any) -> None:
    recorder._take_replies(json.dumps([1, {"session": None, "seq": 1}, REPLY]).encode())
    assert list(recorder._replies) == [("p1", 7)]
