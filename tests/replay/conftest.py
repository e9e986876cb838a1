"""Captures and a model that the replay tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from gesture_maze.models.classifier import Classifier
from gesture_maze.worker.assembly import load_classifier
from tests.support.captures import synthetic


@pytest.fixture(scope="session")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds of eight players."""
    return synthetic(tmp_path_factory.mktemp("capture") / "synthetic.jsonl.gz")


@pytest.fixture(scope="session")
def classifier() -> Classifier:
    """The bundled model."""
    return load_classifier(None)
