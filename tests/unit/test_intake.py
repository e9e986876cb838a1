"""What a worker does first while it waits: process frames, or collect the results of commits."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from gesture_maze.worker.intake import Intake
from gesture_maze.worker.partition import Partition
from gesture_maze.worker.records import Grant, Read
from gesture_maze.worker.redis.commits import Settled
from gesture_maze.worker.wake import Wake
from tests.support.commits import commits_of

COMMITS = 1_000_000
"""Descriptor of their connection."""


class FakeReader:
    """A reader whose waits end as set in `answers`."""

    received_bytes = 100

    def __init__(self, events: list[str], answers: list[bool]) -> None:
        self.pending = False
        self._events = events
        self._answers = answers

    def request(self, _positions: Any, _count: int, _block_ms: int) -> None:
        self.pending = True

    def wait(self, timeout_s: float, others: tuple[int, ...]) -> bool:
        what = "look" if not timeout_s else "wait for both" if COMMITS in others else "wait"
        self._events.append(what)
        return self._answers.pop(0)

    def receive(self) -> list[Read]:
        self.pending = False
        self._events.append("receive")
        return [Read(0, [b"1-0"], [[b"s", b"x"]])]

    def take_lost(self) -> dict[int, str]:
        return {}


class FakeCommitter:
    """A committer that notes when its results are collected."""

    def __init__(self, events: list[str], due: tuple[int, ...]) -> None:
        self.due = due
        self._events = events

    def settle(self) -> list[Settled]:
        self._events.append("settle")
        return []


@pytest.mark.parametrize(
    ("due", "answers", "wanted"),
    [
        ((COMMITS,), [True], ["wait for both", "receive"]),
        ((COMMITS,), [False, True], ["wait for both", "settle", "wait", "receive"]),
        ((COMMITS,), [False, False], ["wait for both", "settle", "wait"]),
        ((), [True], ["look", "receive"]),
        ((), [False, True], ["look", "settle", "wait", "receive"]),
    ],
    ids=("read first", "commits first", "nothing to read", "read there", "no descriptor"),
)
def test_read_waits_for_commits_only_while_there_are_no_frames(
    due: tuple[int, ...], answers: list[bool], wanted: list[str]
) -> None:
    events: list[str] = []
    reader: Any = FakeReader(events, answers)
    partitions = {0: Partition(Grant(0, "w:1", b"0-0", 0), 16)}
    with closing(Wake()) as wake:
        intake = Intake(
            reader,
            partitions,
            batch_frames=512,
            block_ms=1000,
            wake=wake,
            commits=commits_of(FakeCommitter(events, due), partitions),
            clock=lambda: 1.0,
            recover=lambda _lost: None,
        )
        assert len(intake.read()) == wanted.count("receive")
    assert events == wanted
