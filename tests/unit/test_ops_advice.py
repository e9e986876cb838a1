"""Advice on the number of workers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gesture_maze.ops.advice import Load, advise, load_between
from gesture_maze.ops.reach import MetricsPage
from tests.support.pool_status import metrics_page, partition_status, pool_status

LOAD = Load(frames_per_s=29_000, lag=0, lag_per_s=0, frame_s=20e-6, workers=2, partitions=16)


def test_advice_plans_headroom_and_a_spare_worker() -> None:
    found = advise(LOAD)  # one worker serves 0.6 / 20 µs = 30,000 frames/s
    assert found.workers_needed == 2
    assert found.worker_frames_per_s == pytest.approx(30_000)
    assert found.utilisation == pytest.approx(0.29)
    assert found.sentences == ("The number of workers, 2, is right.",)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"workers": 0}, "No worker is alive: start 2"),
        ({"frames_per_s": 85_000}, "Start 2 more workers: 2 run, 4 are needed."),
        ({"workers": 5}, "3 workers can be stopped"),
        ({"lag": 5000, "lag_per_s": 900}, "grows by 900/s"),
        ({"frames_per_s": 200_000}, "use a cluster with more primaries"),
        ({"hottest": (3, 0.25)}, "The hottest partition is 3: 25% of the entries"),
        ({"placement": (6, 4, 6), "even_partitions": 64}, "on 3 primaries as 4, 6, 6: 64 would fall evenly"),
        (
            {"frames_per_s": 200_000, "partitions": 8},
            "8 partitions cannot be shared evenly by 8 workers: 16 could",
        ),
        (
            {"maxmemory_bytes": 512_000_000},
            "set it to 766 MB, or --retention-ms to 40125",
        ),
        ({"frame_s": None}, "No worker's metrics could be read"),
        ({"frame_s": None, "reached": 2}, "No frames were answered"),
    ],
)
def test_advice_for_each_load_names_the_remedy(changed: dict[str, Any], sentence: str) -> None:
    assert any(sentence in one for one in advise(replace(LOAD, **changed)).sentences)


def test_load_is_the_difference_of_two_statuses() -> None:
    first = pool_status(partition_status(0))
    last = pool_status(partition_status(0, added=30, entries_read=25), server_ms=3000)
    found = load_between(first, last, [(metrics_page(20, 1.0), metrics_page(60, 1.5))])
    assert found.frames_per_s == pytest.approx(20)  # 10 entries/s of 2 frames
    assert found.lag_per_s == pytest.approx(2.5)
    assert found.frame_s == pytest.approx(0.5 / 40)


@pytest.mark.parametrize(
    ("settings_ms", "retention_s"), [((), 60.0), ((0,), 60.0), ((5000,), 5.0), ((5000, 20_000), 20.0)]
)
def test_load_has_the_retention_of_the_pools_own_setting(
    settings_ms: tuple[int, ...], retention_s: float
) -> None:
    status = pool_status(workers=len(settings_ms))
    workers = tuple(
        replace(one, retention_ms=ms) for one, ms in zip(status.workers, settings_ms, strict=True)
    )
    assert load_between(status, replace(status, workers=workers), []).retention_s == retention_s


def test_metrics_page_total_adds_all_series_of_exactly_that_name() -> None:
    found = MetricsPage.parse('a_total{x="1"} 2.0\na_total{x="2"} 3\na_total_more 9\n# HELP a_total 5\n')
    assert found.total("a_total") == 5
    assert found.total("b_total") == 0
    assert found.by_label("a_total", "x") == {"1": 2.0, "2": 3.0}
