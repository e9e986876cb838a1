"""A load test by a user that may send frames but not read the pool's status."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from gesture_maze.cli.main import build
from gesture_maze.load import run as load_run
from gesture_maze.load.run import LoadOptions, LoadReport, readable_status
from gesture_maze.wire.errors import RedisRefused, RefusalReason
from gesture_maze.worker.redis.status import PoolStatus


class Reader:
    def __init__(self, reason: RefusalReason | None = None) -> None:
        self._reason = reason

    def read(self) -> PoolStatus:
        if self._reason is not None:
            raise RedisRefused(self._reason, "no")
        return PoolStatus(1, (), ())


def test_readable_status_is_none_only_without_the_right_to_read_it() -> None:
    assert readable_status(Reader()) == PoolStatus(1, (), ())  # type: ignore[arg-type]
    assert readable_status(Reader(RefusalReason.NO_PERMISSION)) is None  # type: ignore[arg-type]
    with pytest.raises(RedisRefused):
        readable_status(Reader(RefusalReason.MEMORY))  # type: ignore[arg-type]


def test_simulate_without_the_right_to_read_the_counts_names_the_role(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ran(_options: LoadOptions) -> LoadReport:
        return LoadReport(1.0, 9, {}, 0, 9, 1, 9.0, None, (1.0, 2.0, 3.0), None, None, 0)

    monkeypatch.setattr(load_run, "run", ran)
    runner = CliRunner(env={"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"})
    found = runner.invoke(build(), ["simulate", "--redis", "redis://127.0.0.1:1/0"])
    assert found.exit_code == 0, found.output
    assert "pool       this user has no right to read its counts, the user 'watch' has" in found.output
