"""Text entries of many frames, and of what cannot be frames."""

from __future__ import annotations

import json

import pytest

from gesture_maze.wire.decode import decode
from gesture_maze.wire.errors import RejectReason
from gesture_maze.wire.frames import LANDMARK_BYTES, META_BYTES
from gesture_maze.wire.text import FEW_ITEMS, LEAST_FRAME_BYTES


def test_text_entry_is_measured_as_it_arrives_not_as_it_is_packed() -> None:
    objects = [{"session": f"p{n}", "seq": 1, "t": 1, "landmarks": []} for n in range(10_000)]
    raw = json.dumps(objects, separators=(",", ":")).encode()
    assert len(raw) < 1 << 20 < len(objects) * (META_BYTES + LANDMARK_BYTES)
    found, rejects = decode([[b"json", raw]])
    assert (len(found), rejects) == (len(objects), [])


@pytest.mark.parametrize("item", [b"0", b"{}", b'{"session":"p"}'])
def test_text_entry_of_items_too_short_for_frames_is_rejected_once(item: bytes) -> None:
    few, many = (b"[" + b",".join([item] * count) + b"]" for count in (FEW_ITEMS, 50_000))
    found, rejects = decode([[b"json", few], [b"json", many]])
    assert not len(found)
    assert [one.entry for one in rejects] == [0] * FEW_ITEMS + [1]
    assert rejects[-1].reason is RejectReason.BAD_JSON


def test_shortest_text_frames_are_accepted() -> None:
    shortest = b'{"session":"p","seq":1,"t":1,"landmarks":[]}'
    assert len(shortest) >= LEAST_FRAME_BYTES
    found, rejects = decode([[b"json", b"[" + b",".join([shortest] * 100) + b"]"]])
    assert (len(found), rejects) == (100, [])
