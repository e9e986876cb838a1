"""The settings of the pool that a capture was recorded from, which its header keeps under the key `pool`.

They decide what the recorded frames were answered with, so that a replay needs them to answer alike.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gesture_maze.capture.reader import CaptureReader

POOL: Final = "pool"
"""The key of the header."""
MODEL: Final = "model"
SETTINGS: Final = "settings"
"""The key in a worker's description."""
NAMES: Final = ("threshold", "actions", "policy")
"""Settings that are kept, beside the version of the model; null is that of the model."""
MOST_WORKERS: Final = 1000


def pool_settings(infos: Mapping[bytes, bytes]) -> dict[str, Any] | None:
    """Return the settings that most workers use, or None where no worker describes any.

    Args:
        infos: worker id -> its description as JSON; written by other programs, so not trusted.
    """
    found = Counter(text for raw in list(infos.values())[:MOST_WORKERS] if (text := _text(raw)))
    if not found:
        return None
    settings: dict[str, Any] = json.loads(found.most_common(1)[0][0])
    return settings


def common_pool(paths: Sequence[Path]) -> dict[str, Any] | None:
    """Return the pool's settings in the headers of captures, or None where they differ or there are none."""
    found = []
    for path in paths:
        with CaptureReader(path) as reader:
            pool = reader.header.get(POOL)
        found.append(pool if isinstance(pool, dict) else None)
    return found[0] if found and all(one == found[0] for one in found) else None


def _text(raw: bytes) -> str:
    try:
        info = json.loads(raw)
    except (ValueError, RecursionError):
        return ""
    settings = info.get(SETTINGS) if isinstance(info, dict) else None
    if not isinstance(settings, dict):
        return ""  # a worker of an older version
    kept = {name: settings.get(name) for name in NAMES}
    return json.dumps({**kept, MODEL: info.get(MODEL)}, sort_keys=True)
