"""For all tests: Hypothesis without a clock, because these machines are slow now and then."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

BROWSER = Path(__file__).parent / "browser"


@pytest.hookimpl(tryfirst=True)  # before pytest deselects by markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark browser tests as slow, and spread their files over the run: two browsers crowd two cores."""
    for item in items:
        if BROWSER in item.path.parents:
            item.add_marker("slow")
    files = list(dict.fromkeys(item.path for item in items))
    place = dict[Path, float]()
    for browser in (True, False):
        kind = [file for file in files if (BROWSER in file.parents) == browser]
        place |= {file: (number + 0.5) / len(kind) for number, file in enumerate(kind)}
    items.sort(key=lambda item: place[item.path])


@pytest.fixture(autouse=True)
def _no_tracking(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test leaves a tracking database behind, unless it asks for one."""
    monkeypatch.setenv("MAZE_TRACKING_URI", "none")


@pytest.fixture(autouse=True, scope="session")
def _brief_timing() -> Iterator[None]:
    """Measure the speed of each model that a test trains or promotes over fewer calls than in production."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gesture_maze.models.timing.BUDGET_S", 0.03)
        yield
