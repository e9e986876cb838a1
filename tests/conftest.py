"""For all tests: Hypothesis without a clock, because these machines are slow now and then."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def _no_tracking(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test leaves a tracking database behind, unless it asks for one."""
    monkeypatch.setenv("MAZE_TRACKING_URI", "none")
