"""The helper for real data: what a missing file means on a person's machine and in CI."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import data


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(data, "FOLDER", tmp_path)


def test_missing_file_on_a_persons_machine_skips_with_a_reason(
    empty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"train\.csv\.gz is not in .*MAZE_TEST_DATA"):
        data.landmarks_train()


def test_missing_file_in_ci_fails(empty: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="CI must have it"):
        data.webcam_sequences()


def test_folder_none_skips_in_ci_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(data, "FOLDER", Path("none"))
    with pytest.raises(pytest.skip.Exception, match="on purpose"):
        data.camera_clip()


def test_file_that_exists_is_returned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(data, "FOLDER", tmp_path)
    (tmp_path / "landmarks_train.csv.gz").touch()
    assert data.landmarks_train() == tmp_path / "landmarks_train.csv.gz"
