"""The settings of the pool that a capture was recorded from, which its header keeps under the key `pool`.

The recorded replies depend on them, so a replay needs them to give the same answers.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gesture_maze.capture.files import capture_error
from gesture_maze.capture.reader import CaptureReader

POOL: Final = "pool"
"""The key of the header."""
MODEL: Final = "model"
SETTINGS: Final = "settings"
"""The key in a worker's description."""
DECIDING: Final = ("threshold", "actions", "policy")
"""Settings that are kept, in addition to the version of the model; null means the model's own."""
MOST_WORKERS: Final = 1000


def pool_settings(infos: Mapping[bytes, bytes]) -> dict[str, Any] | None:
    """Return the settings that most workers use, or None if no worker reports any.

    Args:
        infos: worker id -> its description as JSON; written by other programs, so not trusted.
    """
    found = Counter(text for raw in list(infos.values())[:MOST_WORKERS] if (text := _text(raw)))
    if not found:
        return None
    settings: dict[str, Any] = json.loads(found.most_common(1)[0][0])
    return settings


def pool_of(path: Path) -> dict[str, Any]:
    """Return the pool's settings in the header of a capture, not checked; empty if it has none.

    Raises:
        SettingsError: `capture`, if the capture has no header, or these settings are not an object.
    """
    if path.exists() and not path.is_file():
        return {}  # a pipe can be read only once
    with CaptureReader(path) as reader:
        found = reader.header.get(POOL) or {}
    if not isinstance(found, dict):
        raise capture_error(f"{path}: line 1: {POOL} must be an object, got {found!r:.40}")
    return found


def common_pool(paths: Sequence[Path]) -> dict[str, Any] | None:
    """Return the settings that the pools of captures have in common; its model is None if models differ.

    Returns:
        None if threshold, actions or policy differ, or a capture has none.

    Raises:
        SettingsError: `capture`, as `pool_of`.
    """
    pools = [pool_of(path) for path in paths]
    settings = [{name: pool.get(name) for name in DECIDING} for pool in pools]
    if not pools or not all(pools) or any(one != settings[0] for one in settings):
        return None
    model = pools[0].get(MODEL)
    return {**settings[0], MODEL: model if all(pool.get(MODEL) == model for pool in pools) else None}


def _text(raw: bytes) -> str:
    try:
        info = json.loads(raw)
    except (ValueError, RecursionError):
        return ""
    settings = info.get(SETTINGS) if isinstance(info, dict) else None
    if not isinstance(settings, dict):
        return ""  # a worker of an older version
    kept = {name: settings.get(name) for name in DECIDING}
    return json.dumps({**kept, MODEL: info.get(MODEL)}, sort_keys=True)
