"""The age of entries, by their ids and by the time of observation."""

from __future__ import annotations

from gesture_maze.worker.ages import Ages, entry_ms, entry_order

NOW_MS = 1_700_000_000_000


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def ids(*ms: int) -> list[bytes]:
    return [f"{one}-{counter}".encode() for counter, one in enumerate(ms)]


def test_older_with_past_ids_counts_by_id() -> None:
    ages = Ages(Clock())
    assert ages.older(ids(NOW_MS - 2000, NOW_MS - 1001, NOW_MS - 1000, NOW_MS), NOW_MS, 1000) == 2


def test_older_with_future_ids_counts_by_observation_time() -> None:
    clock = Clock()
    ages = Ages(clock)
    future = NOW_MS + 10**10
    stream = [f"{future}-{counter}".encode() for counter in range(10)]
    assert ages.older(stream, NOW_MS, 1000) == 0, "unknown is fresh"
    ages.observe(stream[3], NOW_MS)
    clock.now_s += 0.9
    assert ages.older(stream, NOW_MS + 900, 1000) == 0
    clock.now_s += 0.2
    assert ages.older(stream, NOW_MS + 1100, 1000) == 4
    assert ages.ahead_ms == 10**10


def test_boundary_with_future_ids_uses_the_observation_time() -> None:
    clock = Clock()
    ages = Ages(clock)
    future = f"{NOW_MS + 10**10}-7".encode()
    assert ages.boundary(NOW_MS, 60_000) == b"%d-0" % (NOW_MS - 60_000)
    ages.observe(future, NOW_MS)
    clock.now_s += 61
    assert ages.boundary(NOW_MS + 61_000, 60_000) == future


def test_boundary_after_clock_set_back_uses_the_observation_time() -> None:
    clock = Clock()
    ages = Ages(clock)
    ages.observe(f"{NOW_MS}-0".encode(), NOW_MS)
    clock.now_s += 61
    back_ms = NOW_MS + 61_000 - 3_600_000
    assert ages.boundary(back_ms, 60_000) == f"{NOW_MS}-0".encode()


def test_entry_ids_sort_as_numbers() -> None:
    ids = [b"5-10", b"5-9", b"10-0", b"9"]
    assert sorted(ids, key=entry_order) == [b"5-9", b"5-10", b"9", b"10-0"]
    assert entry_ms(b"1700000000000-3") == 1_700_000_000_000
