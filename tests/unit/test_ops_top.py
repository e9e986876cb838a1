"""The screen of `maze top`, without a terminal."""

from __future__ import annotations

import pytest
from rich.console import Console

from gesture_maze.cli.top import PIPE_WIDTH, pipe_width
from gesture_maze.ops.top import Reading, Window, as_dict, render
from gesture_maze.worker.redis.status import PoolStatus
from tests.support.pool_status import metrics_page, partition_status, pool_status


def screen(window: Window, height: int = 40) -> str:
    console = Console(width=120, height=height, force_terminal=False)
    with console.capture() as capture:
        console.print(render(window, height, "redis://here"))
    return capture.get()


def test_screen_shows_rates_since_the_oldest_status() -> None:
    window = Window()
    window.add(Reading(0.0, pool_status(), {"w1": metrics_page(100, 1.0, like=10)}))
    after = partition_status(
        0, added=50, entries_read=50, counts={"entries": 50, "frames": 120, "answered": 120}
    )
    window.add(Reading(2.0, pool_status(after, server_ms=3000), {"w1": metrics_page(200, 1.5, like=60)}))
    shown = screen(window)
    assert "50 /s" in shown
    assert "p50 ≤5 ms  p99 ≤10 ms" in shown
    assert "like" in shown
    assert "25%" in shown  # half a second of a core in two
    assert "accounting  ok" in shown
    found = as_dict(window)
    assert found["frames_per_s"]["answered"] == 50
    assert found["latency_p99_s"] == 0.01
    assert found["workers"]["w1"]["cores"] == pytest.approx(0.25)


def test_screen_without_a_pool_or_workers_shows_their_absence() -> None:
    window = Window()
    window.add(Reading(0.0, PoolStatus(0, (), ()), {}))
    assert "No pool has used" in screen(window)
    window.add(
        Reading(
            1.0, pool_status(partition_status(0, owner=None, added=12, waits_since_ms=400), workers=0), {}
        )
    )
    shown = screen(window)
    assert "none" in shown
    assert "oldest 0.6 s" in shown


@pytest.mark.parametrize("height", [10, 24, 60])
def test_screen_of_a_thousand_partitions_fits_the_terminal(height: int) -> None:
    window = Window()
    many = pool_status(*[partition_status(number) for number in range(1024)], workers=200)
    window.add(Reading(0.0, many, {}))
    assert len(screen(window, height).splitlines()) <= max(height, 20)


def test_pipe_is_as_wide_as_columns_says() -> None:
    assert pipe_width({"COLUMNS": "80"}) == 80
    for unset in ({}, {"COLUMNS": ""}, {"COLUMNS": "0"}, {"COLUMNS": "wide"}):
        assert pipe_width(unset) == PIPE_WIDTH
