"""Importing this leaves a mark: what no payload may achieve."""

from __future__ import annotations

import os
from pathlib import Path

Path(os.environ["TOUCHED_BY_IMPORT"]).touch()


def run(*_: object, **__: object) -> None:
    """What a payload would like to be called."""
    Path(os.environ["TOUCHED_BY_IMPORT"]).touch()
