"""`maze dead` on an in-memory server."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import fakeredis
import pytest
from typer.testing import CliRunner

from gesture_maze.cli.main import build
from gesture_maze.wire import keys
from gesture_maze.wire.errors import RejectReason
from gesture_maze.worker.redis.dead_letters import PASSING

Run = Callable[..., Any]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return the command line of a pool of 4 partitions with two malformed frames and a buried one."""
    client = fakeredis.FakeRedis()
    for partition, reason in ((1, "unknown_encoding"), (1, "unknown_encoding"), (2, "killed_worker")):
        origin = {"reason": reason, "entry": "1-1", "worker": "w"}
        client.xadd(keys.dead_key(partition), {"foo": "bar", **origin})

    @contextmanager
    def attached(_: str) -> Iterator[fakeredis.FakeRedis]:
        yield client

    monkeypatch.setattr("gesture_maze.worker.redis.attach.attached", attached)
    monkeypatch.setattr("gesture_maze.worker.redis.status.partition_count", lambda _: 4)
    return lambda *words, code=0: _checked(CliRunner().invoke(build(("dead",)), ["dead", *words]), code)


def _checked(result: Any, code: int) -> Any:
    assert result.exit_code == code, result.output
    return result


def test_dead_with_a_reason_that_none_has_lists_the_reasons(run: Run) -> None:
    for words in (("--reason", "nonsense"), ("redrive", "--all", "--reason", "nonsense")):
        found = run(*words).output
        assert "none with reason nonsense; there are unknown_encoding (2), killed_worker (1)" in found


def test_dead_with_a_partition_that_the_pool_lacks_is_refused(run: Run) -> None:
    for words in ((), ("redrive", "--all"), ("purge", "--all")):
        assert "--partition must be from 0 to 3, got 99" in run(*words, "--partition", "99", code=2).output


def test_redrive_of_a_malformed_frame_warns(run: Run) -> None:
    result = run("redrive", "--all", "--partition", "1")
    assert "2 dead letters redriven." in result.stdout
    assert "warning: 2 frames were invalid (unknown_encoding)" in result.stderr
    assert run("redrive", "--all").stderr == ""  # killed_worker: the frame may be sound


def test_reasons_that_may_pass_are_reasons() -> None:
    assert set(RejectReason) > PASSING
