"""The fields that can be read from a dead letter, valid or damaged."""

from __future__ import annotations

import numpy as np
import pytest

from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.frames import META, Frame, pack
from gesture_maze.worker.redis.dead_letters import DeadLetter, Preview, parse_name, preview


def letter(*fields: bytes) -> DeadLetter:
    return DeadLetter(3, b"1700000000000-1", fields, "bad_json", "1-1", "w")


def packed(**changed: bytes) -> DeadLetter:
    s, m, landmarks = pack([Frame("p1", 17, 1234, np.ones((21, 3)))])
    named = {"s": s, "m": m, "l": landmarks} | changed
    return letter(*(part for name, value in named.items() for part in (name.encode(), value)))


@pytest.mark.parametrize(
    ("dead", "seen"),
    [
        (packed(), Preview("p1", 17, 1234)),
        (packed(l=np.full(63, np.nan, "<f4").tobytes()), Preview("p1", 17, 1234)),
        (packed(l=b"short"), Preview("p1", 17, 1234)),
        (packed(m=b"short"), Preview("p1")),
        (packed(s=b"\xff\xfe x"), Preview("\\xff\\xfe", 17, 1234)),
        (letter(b"json", b'{"session":"a","seq":1,"t":2}'), Preview("a", 1, 2)),
        (letter(b"json", b'[{"session":"a","seq":"x"}]'), Preview("a", None, None)),
        (letter(b"json", b"{"), Preview()),
        (letter(b"json", b"[3]"), Preview()),
        (letter(b"foo", b"bar"), Preview()),
        (letter(), Preview()),
    ],
)
def test_preview_of_a_dead_letter_shows_its_readable_fields(dead: DeadLetter, seen: Preview) -> None:
    assert preview(dead) == seen


def test_preview_of_many_frames_shows_the_first() -> None:
    meta = np.zeros(2, META)
    meta["seq"] = (5, 6)
    dead = letter(b"s", b"a b c", b"m", meta.tobytes(), b"l", b"")
    assert preview(dead) == Preview("a", 5, 0)


def test_dead_letter_name_is_parsed_back() -> None:
    dead = letter()
    assert dead.name == "3/1700000000000-1"
    assert parse_name(dead.name) == (3, b"1700000000000-1")
    assert dead.written_ms == 1700000000000


@pytest.mark.parametrize("name", ["", "3", "3/", "x/1-1", "3/1", "3/1-x", "3/-", "-3/1-1", "3/1-1-1", "3/+"])
def test_parse_name_of_an_invalid_name_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="must be PARTITION/ID"):
        parse_name(name)
