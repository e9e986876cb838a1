"""The measurement of a model's speed."""

import time

import pytest

from gesture_maze.cli.main import ONE_THREAD
from gesture_maze.models.timing import microseconds_per_frame


def test_time_per_frame_while_the_process_waits_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    elapsed_s = cpu_s = 0.0

    def call(_: int) -> None:
        nonlocal elapsed_s, cpu_s
        elapsed_s += 0.034  # other processes have the processor for most of it
        cpu_s += 0.000256

    for clock in ("monotonic", "perf_counter"):
        monkeypatch.setattr(time, clock, lambda: elapsed_s)
    monkeypatch.setattr(time, "process_time", lambda: cpu_s)
    assert microseconds_per_frame(call, 256) == pytest.approx(1.0)


def test_measurement_of_a_call_without_cpu_time_ends() -> None:
    assert microseconds_per_frame(lambda _: time.sleep(0.001), 1, budget_s=0.001) < 1000


def test_commands_that_time_a_model_use_one_thread() -> None:
    assert {"promote", "models"} <= set(ONE_THREAD)
