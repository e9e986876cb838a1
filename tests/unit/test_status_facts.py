"""Accounting for all frames, pool health, and the output of `maze status`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gesture_maze.cli.status import COLUMNS, as_dict, ranges, show
from gesture_maze.worker.redis.status import (
    FRAME_OUTCOMES,
    PartitionStatus,
    PoolStatus,
    WorkerStatus,
    _info,
)

COUNTS = {
    "entries": 8, "frames": 20, "answered": 14, "stale": 2, "superseded": 1, "duplicate": 1, "rejected": 1,
    "buried": 1, "trimmed": 2,
}  # fmt: skip
GOOD = PartitionStatus(
    partition=3, owner="a", epoch=7, lease_ms=2000, added=13, length=9, entries_read=10, dead=2, counts=COUNTS
)
FRESH = PartitionStatus(0, None, 0, 0, 0, 0, None, 0, {})
WORKER = WorkerStatus("a", "host", 17, 9464, "mlp-1", "0.1.0", 120, (3,))


@pytest.mark.parametrize("raw", [b"{", b"[]", b"\xff", b"9" * 5000, b"[" * 100_000])
def test_worker_with_an_unreadable_description_has_none(raw: bytes) -> None:
    assert _info(raw) == {}


def test_partition_with_one_outcome_per_frame_is_accounted_for() -> None:
    assert GOOD.all_accounted_for
    assert GOOD.lag == 3
    assert FRESH.all_accounted_for


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
def test_partition_with_one_count_off_is_unaccounted_for_and_unhealthy(broken: PartitionStatus) -> None:
    assert not broken.all_accounted_for
    assert not PoolStatus(0, (GOOD, broken), ()).healthy


def test_partition_with_waiting_entries_is_accounted_for() -> None:
    more = replace(GOOD, added=20)
    assert more.all_accounted_for
    assert more.lag == 10


def test_pool_with_waiting_frames_and_no_owner_is_unhealthy() -> None:
    found = PoolStatus(0, (FRESH, replace(GOOD, owner=None)), ())
    assert found.without_owner == (3,)
    assert not found.healthy


def test_pool_with_idle_partition_and_no_owner_is_healthy() -> None:
    assert PoolStatus(0, (FRESH,), ()).healthy


def test_pool_totals_add_up_over_partitions() -> None:
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
def test_ranges_of_numbers_are_joined(numbers: tuple[int, ...], words: str) -> None:
    assert ranges(numbers) == words


def test_columns_contain_each_frame_outcome_once() -> None:
    counted = [outcome for outcomes in COLUMNS.values() for outcome in outcomes]
    assert sorted(counted) == sorted(FRAME_OUTCOMES)


def test_columns_of_partition_add_up_to_frames(capsys: pytest.CaptureFixture[str]) -> None:
    show(PoolStatus(0, (GOOD,), (WORKER,)))
    lines = capsys.readouterr().out.splitlines()
    header = next(line for line in lines if "answered" in line).split()
    row = dict(zip(header, next(line for line in lines if line.split()[:1] == ["3"]).split(), strict=True))
    number = {name: int(text) for name, text in row.items() if text.isdecimal()}
    assert number["frames"] == sum(number[name] for name in COLUMNS) == 20
    assert number["entries"] == COUNTS["entries"] + number["trimmed"] + number["lag"]
    assert "20 frames = 14 answered + 2 stale + 1 superseded + 1 duplicate + 1 rejected + 1 buried" in lines


@pytest.mark.parametrize("columns", ["40", "80"])
def test_show_to_pipe_does_not_truncate_names(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    name, model = "gesture-maze-worker-6d5f7c9b8-abcde-17-3-0a1b2c3d", "network-0123456789-of-an-evening"
    show(PoolStatus(0, (replace(GOOD, owner=name),), (replace(WORKER, worker=name, model=model),)))
    output = capsys.readouterr().out
    assert name in output
    assert model in output
    assert "…" not in output


def test_show_with_terminal_commands_in_names_escapes_them(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b]0;title\x07\x1b[2J[red]\u202e"
    show(PoolStatus(0, (replace(GOOD, owner=evil),), (replace(WORKER, host=evil, model=evil),)))
    output = capsys.readouterr().out
    assert output.replace("\n", "").isprintable()
    assert "\\x1b]0;title\\x07\\x1b[2J[red]\\u202e" in output
