"""Captures and a model shared by the replay tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from gesture_maze.models.classifier import Classifier
from gesture_maze.worker.assembly import load_classifier
from tests.support.captures import synthetic


@pytest.fixture(scope="session")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a capture of eight players over 8 s."""
    return synthetic(tmp_path_factory.mktemp("capture") / "synthetic.jsonl.gz")


@pytest.fixture(scope="session")
def classifier() -> Classifier:
    """Return a classifier of the bundled model."""
    return load_classifier(None)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a capture of three players over 5 s."""
    return synthetic(tmp_path_factory.mktemp("small") / "small.jsonl.gz", players=3, seconds=5)
