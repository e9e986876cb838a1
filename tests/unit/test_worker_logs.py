"""Log lines in the human and JSON formats."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gesture_maze
from gesture_maze.worker.library_logs import route_libraries
from gesture_maze.worker.logs import Log, Sampler

EVIL = "\x1b[2J\nlevel=ERROR\u202e"


def refuse(word: str) -> Any:
    raise AssertionError(f"{word} is not JSON")


def test_json_log_line_with_nan_is_valid_json(capsys: pytest.CaptureFixture[str]) -> None:
    values = {"p50_ms": math.nan, "gestures": {"like": math.inf}, "path": Path("x"), "partitions": [1, 2]}
    Log("json", "info", worker="w").info("summary", **values)
    [line] = capsys.readouterr().err.splitlines()
    found = json.loads(line, parse_constant=refuse)
    assert found["p50_ms"] is None
    assert found["gestures"] == {"like": None}
    assert (found["path"], found["partitions"], found["worker"]) == ("x", [1, 2], "w")


@pytest.mark.parametrize("log_format", ["human", "json"])
def test_log_line_with_hostile_value_stays_on_one_line(
    log_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Log(log_format, "info").warning("frame_rejected", session=EVIL, fields={EVIL: EVIL})
    [line] = capsys.readouterr().err.splitlines()
    assert line.isprintable()


def test_log_event_below_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    log = Log("human", "warning")
    log.info("started")
    log.error("process_exited", pid=7)
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith("pid=7")


def test_sampler_admits_one_event_per_key_and_interval() -> None:
    sampler = Sampler(1.0)
    assert [sampler.admit("a", at_s) for at_s in (0.0, 0.1, 0.2, 1.1)] == [0, None, None, 2]
    assert sampler.admit("b", 1.2) == 0


@pytest.mark.parametrize("log_format", ["human", "json"])
def test_log_line_has_event_and_fields(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    log = Log(log_format, "info", worker="w")
    log.debug("too_fine", number=1)
    log.warning("partition_lost", partition=3, why="fenced")
    (line,) = capsys.readouterr().err.splitlines()
    if log_format == "json":
        found: dict[str, Any] = json.loads(line)
        assert found.pop("time").endswith("Z")
        assert found == {
            "level": "warning", "event": "partition_lost", "worker": "w", "partition": 3, "why": "fenced",
        }  # fmt: skip
    else:
        assert "WARNING partition_lost" in line
        assert line.endswith("worker=w partition=3 why=fenced")


def test_sampler_under_flood_counts_suppressed_events() -> None:
    sampler = Sampler(interval_s=1.0)
    assert [sampler.admit("a", now_s) for now_s in (0.0, 0.2, 0.9, 1.0, 1.5, 3.0)] == [
        0,
        None,
        None,
        2,
        None,
        1,
    ]
    assert sampler.admit("b", 0.3) == 0


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """The root logger, whose handlers are restored."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = before
    root.setLevel(level)


def test_library_messages_once_routed_are_events_of_the_log(
    root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    route_libraries(Log("json", "info", worker="watch"))
    logging.getLogger("gesture_maze.producer").warning("no worker has processed a frame of partition %d", 3)
    [line] = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert (found["event"], found["worker"]) == ("library_logged", "watch")
    assert found["message"] == "no worker has processed a frame of partition 3"


def test_messages_of_numbered_connections_share_a_sample(
    root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    route_libraries(Log("json", "info"))
    for number in range(20):
        logging.getLogger(f"maze.gateway.sockets.{number}").error("parser error")
    [line] = capsys.readouterr().err.splitlines()
    assert json.loads(line)["logger"] == "maze.gateway.sockets"


@pytest.mark.parametrize("module", ["cli/watch.py", "cli/worker.py", "worker/__main__.py", "gateway/logs.py"])
def test_long_running_program_routes_what_libraries_log(module: str) -> None:
    assert "route_libraries(" in (Path(gesture_maze.__file__).parent / module).read_text()


def test_human_log_line_leaves_out_absent_values(capsys: pytest.CaptureFixture[str]) -> None:
    Log("human", "info").info("summary", p50_ms=math.nan, frames={}, suspect_until=None, lag=0)
    [line] = capsys.readouterr().err.splitlines()
    assert line.split()[2:] == ["summary", "lag=0"]
