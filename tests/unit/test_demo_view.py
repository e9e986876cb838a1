"""The demo's screen, rendered without a running demo."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from gesture_maze.demo.players import Players
from gesture_maze.demo.snapshot import DemoOptions, Look, Summary
from gesture_maze.demo.view import PlainView, Window, plain_line, render, summary_lines
from gesture_maze.load.latencies import Latencies
from gesture_maze.load.traffic import Account
from gesture_maze.worker.redis.status import PartitionStatus, PoolStatus, WorkerStatus

OPTIONS = DemoOptions("embedded", players=5, workers=2, seconds=20, side=6, seed=1, kill_after_s=None)


def pool() -> PoolStatus:
    partitions = tuple(
        PartitionStatus(number, "ab"[number % 2], 1, 3000, 0, 0, 0, 0, {}) for number in range(16)
    )
    workers = tuple(
        WorkerStatus(name, "host", pid, 9464, "m", "v", 250, tuple(range(first, 16, 2)))
        for name, pid, first in (("a", 4711, 0), ("b", 4712, 1))
    )
    return PoolStatus(0, partitions, workers)


def look(elapsed_s: float, accepted: int, latency_s: float, **changed: object) -> Look:
    latencies = Latencies()
    for _ in range(accepted):
        latencies.add(latency_s)
    players = Players(5, 1, 6, 0)
    found = Look(
        elapsed_s=elapsed_s, options=OPTIONS, pool=pool(), account=Account(), accepted=accepted,
        latencies=latencies.counts, gestures={"like": accepted, "no_hand": 0}, score=players.score,
        players=players, takeovers=0, events=(), url="redis://h:1/0", log=Path("worker.log"),
    )  # fmt: skip
    return replace(found, **changed)  # type: ignore[arg-type]


def text(seen: Look, width: int, height: int) -> str:
    window = Window()
    window.add(seen)
    console = Console(width=width, height=height, record=True, file=Path("/dev/null").open("w"))  # noqa: SIM115
    console.print(render(seen, window, width, height))
    console.file.close()
    return console.export_text()


def test_window_rate_covers_recent_looks_only() -> None:
    window = Window()
    window.add(look(1.0, 100, 0.002))
    assert window.frames_per_s == pytest.approx(100)
    for second in range(2, 40):
        window.add(look(second / 4, 100 + 50 * second, 0.002))
    assert window.frames_per_s == pytest.approx(200)


def test_window_quantile_excludes_old_latencies() -> None:
    window = Window()
    slow, fast = Latencies(), Latencies()
    slow.add(0.5)
    window.add(look(1, 1, 0.5, latencies=slow.counts))
    for _ in range(9):
        fast.add(0.001)
    window.add(look(2, 10, 0.5, latencies=slow.counts + fast.counts))
    assert window.quantile_ms(0.99) == pytest.approx(1.0, rel=0.02)


def test_window_gestures_are_shares_in_descending_order() -> None:
    window = Window()
    window.add(look(1, 4, 0.01, gestures={"like": 3, "four": 1}))
    assert window.gestures == [("like", 0.75), ("four", 0.25)]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (130, 40), (200, 60)])
def test_screen_fits_the_terminal(width: int, height: int) -> None:
    events = tuple((float(at), f"event {at}") for at in range(9))
    shown = text(look(3.0, 2000, 0.002, events=events), width, height)
    lines = shown.rstrip("\n").splitlines()
    assert len(lines) <= height - 1
    assert max(map(len, lines)) <= width
    for word in (
        "5 players, 2 workers, 3 of 20 s",
        "kill -9 4711",
        "event 8",
        "worker.log",
        "accounting",
        "↑ like",
    ):
        assert word in shown
    assert "maze status --redis redis://h:1/0" in shown


def test_screen_of_a_wide_terminal_shows_more_mazes() -> None:
    narrow, wide = (text(look(1, 10, 0.002), width, 40).count("●") for width in (80, 200))
    assert (narrow, wide) == (1, 4)


def test_plain_line_shows_rate_latency_lag_and_partitions() -> None:
    window = Window()
    seen = look(2.0, 1500, 0.002)
    window.add(seen)
    line = plain_line(seen, window)
    for word in ("2.0 s", "750 frames/s", "p50 2.0 ms", "lag 0", "4711:8 4712:8", "solved 0"):
        assert word in line


def test_plain_view_prints_a_line_per_second_and_each_event_once() -> None:
    lines: list[str] = []
    view = PlainView(lines.append)
    events = ((0.6, "one died"),)
    for quarter in range(1, 13):
        view.show(look(quarter / 4, 10, 0.002, events=events if quarter > 2 else ()))
    assert sum("one died" in line for line in lines) == 1
    assert sum("frames/s" in line for line in lines) == 4


def test_summary_shows_lost_frames_out_of_those_sent() -> None:
    summary = Summary(
        seconds=20, players=50, workers=2, seed=1, sent=15000, answered=14990, lost=0, unknown=3,
        refused={"lag": 7}, outcomes={"answered": 14990, "stale": 10}, all_accounted_for=True, mazes_solved=9,
        moves=99, wrong_moves=1, bumps=2, frames_per_s=750.0,
        latency_p50_ms=1.5, latency_p99_ms=4.0, latency_p999_ms=None,
        takeovers=8, takeover_ms=61, models=["m"], log="worker.log",
    )  # fmt: skip
    lines = "\n".join(summary_lines(summary))
    for word in (
        "0 of 15,000", "7 refused", "3 unknown", "stale 10", "61 ms after the kill", "p99.9 -",
        "(1 wrong, 2 bumped)", "all frames are accounted for",
    ):  # fmt: skip
        assert word in lines
    assert "frames were lost" in "\n".join(summary_lines(replace(summary, all_accounted_for=False)))
    assert np.isclose(summary.as_dict()["frames_per_s"], 750)
