"""Grouping of suspects: few writes when all are harmless, three deaths when one kills."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gesture_maze.worker.quarantine import Group, groups

IDS = [f"5-{counter}".encode() for counter in range(200)]


def test_suspects_are_grouped_by_square_root_of_their_count() -> None:
    found = list(groups(IDS[:100], 0, IDS[99], {}))
    assert len(found) == 10
    assert found[0] == Group(0, 10, "5-0..5-9")


def test_suspects_of_a_later_read_are_grouped_by_square_root_of_all_so_far() -> None:
    found = list(groups(IDS[:100], 0, IDS[99], {}, processed=300))
    assert [(group.begin, group.end) for group in found] == [(0, 20), (20, 40), (40, 60), (60, 80), (80, 100)]


def test_entries_after_last_suspect_form_unnamed_group() -> None:
    found = list(groups(IDS[:30], 0, IDS[8], {}))
    assert found[-1] == Group(9, 30, "")
    assert [group.name for group in found[:-1]] == ["5-0..5-2", "5-3..5-5", "5-6..5-8"]


def test_group_with_death_is_split_into_single_entries() -> None:
    found = list(groups(IDS[:9], 0, IDS[8], {b"5-3..5-5": 1}))
    assert [(group.begin, group.end, group.alone) for group in found] == [
        (0, 3, False), (3, 4, True), (4, 5, True), (5, 6, True), (6, 9, False),
    ]  # fmt: skip


def test_entry_with_deadly_frame_stays_alone() -> None:
    found = list(groups(IDS[:4], 0, IDS[3], {b"5-2/p1/7": 1}))
    assert [(group.begin, group.alone) for group in found] == [(0, False), (2, True), (3, False)]


@given(st.integers(0, 200), st.integers(0, 199), st.sets(st.integers(0, 198), max_size=4))
def test_groups_with_any_deaths_cover_every_entry_once(count: int, until: int, killers: set[int]) -> None:
    deaths = {f"5-{one}..5-{one + 1}".encode(): 1 for one in killers}
    at = 0
    for group in groups(IDS[:count], 0, IDS[until], deaths):
        assert group.begin == at < group.end
        at = group.end
    assert at == count
