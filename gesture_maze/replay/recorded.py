"""The settings of a replay: those given, else those of the pool that was recorded, else the defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gesture_maze.capture.files import capture_error
from gesture_maze.capture.pool import DECIDING, MODEL, POOL, pool_of
from gesture_maze.replay.engine import replay_settings
from gesture_maze.wire.errors import SettingsError
from gesture_maze.worker.settings import Settings


def recorded_pool(path: Path) -> dict[str, Any]:
    """Return the checked settings of the pool in the header of a capture; empty if it has none.

    Raises:
        SettingsError: `capture`, if the capture has no header, or these settings are wrong.
    """
    found = pool_of(path)
    try:
        replay_settings(**_deciding(found))
    except SettingsError as error:
        raise capture_error(f"{path}: line 1: {POOL}: {error}") from None
    return found


def settings_of(paths: Sequence[Path], **given: Any) -> Settings:
    """Return the settings of a replay of captures.

    Args:
        paths: the captures.
        given: arguments of `replay_settings`; they take precedence over those of the recorded pool.

    Raises:
        SettingsError: `capture`, as `recorded_pool`; `settings`, if a setting is wrong, or if the captures
            are of pools with other settings.
    """
    pools = [recorded_pool(path) for path in paths]
    merged = [replay_settings(**_merged(_deciding(pool), given)) for pool in pools]
    for path, one in zip(paths[1:], merged[1:], strict=True):
        differing = [name for name in DECIDING if getattr(one, name) != getattr(merged[0], name)]
        if differing:
            message = (
                f"{paths[0]} and {path} were recorded from pools with other settings "
                f"({', '.join(differing)}): replay them one by one, or give these settings"
            )
            raise SettingsError("settings", message)
    return merged[0] if merged else replay_settings(**given)


def other_model(paths: Sequence[Path], version: str) -> str | None:
    """Return the version of the model that answered a recording, if it is not `version`; else None."""
    recorded = (recorded_pool(path).get(MODEL) for path in paths)
    return next((str(one) for one in recorded if one is not None and one != version), None)


def _deciding(pool: Mapping[str, Any]) -> dict[str, Any]:
    return {name: pool[name] for name in DECIDING if pool.get(name) is not None}


def _merged(recorded: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return `recorded`, overridden by `given`; rules of the policy are replaced one by one."""
    found = {name: value for name, value in given.items() if value is not None}
    rules = found.pop("policy", {})
    if not isinstance(rules, Mapping):
        return {**recorded, **found, "policy": rules}  # all `Rules` of a policy
    return {**recorded, **found, "policy": {**recorded.get("policy", {}), **rules}}
