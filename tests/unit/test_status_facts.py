"""The sum over all frames, what healthy means, and how `maze status` shows it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gesture_maze.cli.status import COLUMNS, as_dict, ranges, show
from gesture_maze.worker.redis.status import FRAME_OUTCOMES, PartitionStatus, PoolStatus, WorkerStatus

COUNTS = {
    "entries": 8, "frames": 20, "answered": 14, "stale": 2, "superseded": 1, "duplicate": 1, "rejected": 1,
    "buried": 1, "trimmed": 2,
}  # fmt: skip
GOOD = PartitionStatus(
    partition=3, owner="a", epoch=7, lease_ms=2000, added=13, length=9, entries_read=10, dead=2, counts=COUNTS
)
FRESH = PartitionStatus(0, None, 0, 0, 0, 0, None, 0, {})
WORKER = WorkerStatus("a", "host", 17, 9464, "mlp-1", "0.1.0", 120, (3,))


def test_the_sum_holds_where_all_is_accounted_for() -> None:
    assert GOOD.sum_holds
    assert GOOD.lag == 3
    assert FRESH.sum_holds


@pytest.mark.parametrize(
    "broken",
    [
        replace(GOOD, counts=COUNTS | {"answered": 13}),
        replace(GOOD, counts=COUNTS | {"answered": 15}),
        replace(GOOD, counts=COUNTS | {"frames": 21}),
        replace(GOOD, counts=COUNTS | {"entries": 7}),
        replace(GOOD, counts=COUNTS | {"trimmed": 3}),
        replace(GOOD, entries_read=11),
        replace(GOOD, entries_read=14),
    ],
)
def test_one_too_few_or_too_many_breaks_it(broken: PartitionStatus) -> None:
    assert not broken.sum_holds
    assert not PoolStatus(0, (GOOD, broken), ()).healthy


def test_entries_that_wait_are_in_the_sum() -> None:
    more = replace(GOOD, added=20)
    assert more.sum_holds
    assert more.lag == 10


def test_frames_that_wait_without_an_owner_are_not_healthy() -> None:
    found = PoolStatus(0, (FRESH, replace(GOOD, owner=None)), ())
    assert found.without_owner == (3,)
    assert not found.healthy


def test_a_quiet_partition_needs_no_owner() -> None:
    assert PoolStatus(0, (FRESH,), ()).healthy


def test_totals() -> None:
    found = PoolStatus(0, (GOOD, replace(GOOD, partition=4)), (WORKER,))
    assert found.outcomes["answered"] == 28
    assert found.outcomes["trimmed"] == 4
    assert (found.frames, found.lag, found.dead) == (40, 6, 4)
    assert found.models == ("mlp-1",)
    facts = as_dict(found)
    assert facts["healthy"]
    assert facts["workers"][0]["heartbeat_age_ms"] == 120
    assert [one["partition"] for one in facts["partitions"]] == [3, 4]


@pytest.mark.parametrize(
    ("numbers", "words"), [((), ""), ((4,), "4"), ((0, 1, 2, 3), "0-3"), ((0, 1, 5, 7, 8), "0-1, 5, 7-8")]
)
def test_ranges(numbers: tuple[int, ...], words: str) -> None:
    assert ranges(numbers) == words


def test_every_outcome_of_a_frame_is_in_exactly_one_column() -> None:
    counted = [outcome for outcomes in COLUMNS.values() for outcome in outcomes]
    assert sorted(counted) == sorted(FRAME_OUTCOMES)


def test_columns_of_a_partition_add_up(capsys: pytest.CaptureFixture[str]) -> None:
    show(PoolStatus(0, (GOOD,), (WORKER,)))
    lines = capsys.readouterr().out.splitlines()
    header = next(line for line in lines if "answered" in line).split()
    row = dict(zip(header, next(line for line in lines if line.split()[:1] == ["3"]).split(), strict=True))
    number = {name: int(text) for name, text in row.items() if text.isdecimal()}
    assert number["frames"] == sum(number[name] for name in COLUMNS) == 20
    assert number["entries"] == COUNTS["entries"] + number["trimmed"] + number["lag"]
    assert "20 frames = 14 answered + 2 stale + 1 superseded + 1 duplicate + 1 rejected + 1 buried" in lines


@pytest.mark.parametrize("columns", ["40", "80"])
def test_names_are_whole_in_a_pipe(columns: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    name, model = "gesture-maze-worker-6d5f7c9b8-abcde-17-3-0a1b2c3d", "network-0123456789-of-an-evening"
    show(PoolStatus(0, (replace(GOOD, owner=name),), (replace(WORKER, worker=name, model=model),)))
    output = capsys.readouterr().out
    assert name in output
    assert model in output
    assert "…" not in output


def test_names_that_are_commands_to_a_terminal_are_shown_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b]0;title\x07\x1b[2J[red]\u202e"
    show(PoolStatus(0, (replace(GOOD, owner=evil),), (replace(WORKER, host=evil, model=evil),)))
    output = capsys.readouterr().out
    assert output.replace("\n", "").isprintable()
    assert "\\x1b]0;title\\x07\\x1b[2J[red]\\u202e" in output
