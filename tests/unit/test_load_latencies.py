"""Latency quantiles from bucket counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesture_maze.load.latencies import BUCKETS, LOWEST_S, RATIO, Latencies, quantile_ms


@given(st.lists(st.floats(LOWEST_S, 100.0), min_size=1, max_size=50), st.floats(0, 1))
def test_quantile_is_accurate_to_one_bucket(seconds: list[float], q: float) -> None:
    latencies = Latencies()
    for one in seconds:
        latencies.add(one)
    found = quantile_ms(latencies.counts, q)
    assert found is not None
    rank = max(-(-q * len(seconds) // 1), 1)  # rounded up
    exact_ms = sorted(seconds)[int(rank) - 1] * 1000
    assert found == pytest.approx(exact_ms, rel=RATIO - 1, abs=0.001)


def test_quantile_without_latencies_is_none() -> None:
    assert quantile_ms(Latencies().counts, 0.5) is None


@pytest.mark.parametrize(("seconds", "bucket"), [(0.0, 0), (-1.0, 0), (1e9, BUCKETS - 1)])
def test_latency_out_of_range_counts_in_the_end_buckets(seconds: float, bucket: int) -> None:
    latencies = Latencies()
    latencies.add(seconds)
    assert latencies.counts[bucket] == latencies.total() == 1
