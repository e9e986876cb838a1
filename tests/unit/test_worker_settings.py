"""Worker settings."""

from __future__ import annotations

import json

import pytest

from gesture_maze.wire.errors import SettingsError
from gesture_maze.worker.faults import WrongSettingsError
from gesture_maze.worker.settings import PoolSettings, Settings


def test_settings_with_many_faults_name_all_of_them() -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.of(partitions=3, deadline_ms=-1, actions={"both:wave": "up"}, metrics_port=70_000)
    for name in ("partitions", "deadline_ms", "wave", "metrics_port"):
        assert name in str(raised.value)


def test_faults_of_several_settings_name_each_setting_in_the_way_of_the_caller() -> None:
    with pytest.raises(WrongSettingsError) as raised:
        PoolSettings.of(
            retention_ms=4000, metrics_port=65_535, processes=2, policy={"repeat_ms": "retention_ms"}
        )
    policy, rebuild, processes = raised.value.faults
    assert rebuild.sentence() == "rebuild_ms: must be less than retention_ms 4000, got 5000"
    assert rebuild.sentence(lambda place: f"<{'/'.join(place)}>").startswith(
        "<rebuild_ms>: must be less than <retention_ms> 4000"
    )
    assert processes.sentence().endswith("choose a lower metrics_port")
    assert policy.sentence().startswith("policy.repeat_ms: input should be a valid integer")
    assert policy.sentence("/".join).endswith("got 'retention_ms'")


def test_settings_as_json_round_trip() -> None:
    settings = Settings.of(partitions=4, actions={"fist": "up"}, policy={"settle_evidence": 900})
    assert Settings.of(**json.loads(settings.model_dump_json())) == settings


def test_settings_with_unknown_name_are_rejected() -> None:
    with pytest.raises(SettingsError, match="dead_line"):
        Settings.of(dead_line=3)


@pytest.mark.parametrize("lease_ttl_ms", [1, 100, 499])
def test_lease_too_short_to_be_renewed_is_refused(lease_ttl_ms: int) -> None:
    with pytest.raises(SettingsError, match=f"lease_ttl_ms: must be at least 500, got {lease_ttl_ms}"):
        Settings.of(lease_ttl_ms=lease_ttl_ms)
    assert Settings.of(lease_ttl_ms=500).lease_ttl_ms == 500
