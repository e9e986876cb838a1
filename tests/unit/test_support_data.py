"""The helper for real data: a missing file is a skip on a developer's machine and a failure in CI."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import data


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(data, "FOLDER", tmp_path)


def test_missing_file_outside_ci_skips_with_reason(empty: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"train\.csv\.gz is not in .*MAZE_TEST_DATA"):
        data.landmarks_train()


def test_missing_file_in_ci_fails(empty: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="CI must have it"):
        data.webcam_sequences()


def test_folder_none_in_ci_skips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(data, "FOLDER", Path("none"))
    with pytest.raises(pytest.skip.Exception, match="on purpose"):
        data.camera_clip()


def test_existing_file_is_returned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(data, "FOLDER", tmp_path)
    (tmp_path / "landmarks_train.csv.gz").touch()
    assert data.landmarks_train() == tmp_path / "landmarks_train.csv.gz"
