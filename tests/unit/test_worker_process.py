"""How a worker process starts and ends."""

from __future__ import annotations

import gc
import threading

import pytest

from gesture_maze.wire.errors import ConnectionLost
from gesture_maze.worker import process
from gesture_maze.worker.logs import Log
from gesture_maze.worker.process import DRAIN_OVERDUE, drain_within


def test_drain_longer_than_its_limit_ends_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    codes, ended = list[int](), threading.Event()

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    monkeypatch.setattr(process.os, "_exit", end)
    drain_within(1, lambda: assert_set(ended), Log("json", "info"))
    assert codes == [DRAIN_OVERDUE]
    assert "drain_timed_out" in capsys.readouterr().err


def assert_set(event: threading.Event) -> None:
    assert event.wait(30)


def test_drain_that_loses_redis_is_logged_and_returns(capsys: pytest.CaptureFixture[str]) -> None:
    def drain() -> None:
        raise ConnectionLost("connection", "gone")

    drain_within(60_000, drain, Log("json", "info"))
    assert "drain_interrupted" in capsys.readouterr().err


def test_cycle_collector_is_on_after_the_start() -> None:
    thresholds = gc.get_threshold()
    gc.disable()  # as `worker.__main__` does
    try:
        process._collect_rarely()
        assert gc.isenabled()
        assert gc.get_threshold()[0] == process.GC_OBJECTS
    finally:
        gc.enable()
        gc.unfreeze()
        gc.set_threshold(*thresholds)
