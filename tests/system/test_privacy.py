"""No library reports usage: those with telemetry by default have it disabled."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CLASSIFY = """
from gesture_maze.models.bundle import bundled_path, load_bundle
from gesture_maze.models.classifier import Classifier
Classifier.from_bundle(load_bundle(bundled_path()))
"""


def test_model_runtime_writes_no_identity_to_disk(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if "TELEMETRY" not in name}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", CLASSIFY],
        env=environment, capture_output=True, text=True, timeout=50,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.rglob("*")) == []
