"""The measurement of a model's speed."""

import time
from collections.abc import Callable

import pytest

from gesture_maze.cli.main import ONE_THREAD
from gesture_maze.models.timing import microseconds_per_frame


def fake_clocks(monkeypatch: pytest.MonkeyPatch, elapsed_s: float, cpu_s: float) -> Callable[[int], None]:
    """Replace the clocks, and return a call that advances them by these times."""
    calls = 0

    def call(_: int) -> None:
        nonlocal calls
        calls += 1

    for clock in ("monotonic", "perf_counter"):
        monkeypatch.setattr(time, clock, lambda: calls * elapsed_s)
    monkeypatch.setattr(time, "process_time", lambda: calls * cpu_s)
    return call


def test_time_per_frame_while_the_process_waits_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    # other processes have the processor for most of the elapsed time
    call = fake_clocks(monkeypatch, elapsed_s=0.034, cpu_s=0.000256)
    assert microseconds_per_frame(call, 256) == pytest.approx(1.0)


def test_measurement_of_a_call_without_cpu_time_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    assert microseconds_per_frame(fake_clocks(monkeypatch, 0.001, 0.0), 1, budget_s=0.001) == 0.0


def test_commands_that_run_or_time_a_model_use_one_thread() -> None:
    assert {"worker", "promote", "models"} <= set(ONE_THREAD)
