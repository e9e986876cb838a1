"""Secrets from files: `MAZE_REDIS_FILE=/run/secrets/worker_url` in the place of `MAZE_REDIS`.

An address of Redis holds a password. Environment variables are shown by `docker inspect`, are inherited by
every child and end up in crash reports; a file is none of that.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

from gesture_maze.wire.errors import SettingsError

NAMES: Final = ("MAZE_REDIS", "MAZE_JOBS_REDIS")
"""Variables that hold secrets; with `_FILE` behind, the name of a file that does."""


def read_secret_files(environment: MutableMapping[str, str]) -> None:
    """Set each variable of `NAMES` whose file is named. One that is set itself wins.

    Raises:
        SettingsError: `settings`, where a file cannot be read.
    """
    for name in NAMES:
        path = environment.get(f"{name}_FILE")
        if not path or name in environment:
            continue
        try:
            environment[name] = Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError("settings", f"{name}_FILE: {error}") from None
