"""Worker ids."""

from __future__ import annotations

import os

import pytest

from gesture_maze.worker.identity import is_child_of, worker_id


def test_worker_id_is_child_of_issuing_process() -> None:
    assert worker_id(3) != worker_id(3)
    assert is_child_of(worker_id(3), os.getpid())


@pytest.mark.parametrize("host", ["maze-7-0-worker", "a" * 60, "pod.example.org"])
def test_worker_id_on_any_host_name_is_child(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: host)
    assert is_child_of(worker_id(), os.getpid())


@pytest.mark.parametrize(
    "name", ["elsewhere-{pid}-0-0a1b2c3d", "{host}-1{pid}-0-0a1b2c3d", "{host}-0-{pid}-0a1b2c3d", "w1", ""]
)
def test_worker_id_of_other_pool_is_not_child(name: str) -> None:
    assert not is_child_of(name.format(host=worker_id().rsplit("-", 3)[0], pid=os.getpid()), os.getpid())
