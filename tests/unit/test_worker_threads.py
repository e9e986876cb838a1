"""Threads beside the main loop: one that fails runs again, and one that has ended is reported."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import pytest

from gesture_maze.worker import threads
from gesture_maze.worker.logs import Log
from gesture_maze.worker.threads import SideThreads

WAIT_S = 10


def test_thread_that_fails_is_logged_and_runs_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(threads, "RESTART_S", 0.0)
    stop, again = threading.Event(), threading.Event()
    runs = 0

    def run(stop: threading.Event, _clock: Callable[[], float]) -> None:
        nonlocal runs
        runs += 1
        if runs < 3:
            raise ValueError("hostile value")
        again.set()
        stop.wait()

    side = SideThreads(stop, Log("json", "info"))
    side.start("keeper", run)
    assert again.wait(WAIT_S)
    assert side.dead() == []
    stop.set()
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(one["event"], one["thread"]) for one in events] == [("thread_failed", "keeper")] * 2
    assert "hostile value" in events[0]["traceback"]


def test_thread_that_returns_is_reported_as_dead() -> None:
    side = SideThreads(threading.Event(), Log("json", "error"))
    ended = threading.Event()
    side.start("keeper", lambda _stop, _clock: ended.set())
    assert ended.wait(WAIT_S)
    side._threads[0].join(WAIT_S)
    assert side.dead() == ["keeper"]
