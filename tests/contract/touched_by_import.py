"""A module that leaves a mark when it is imported, which no payload may cause."""

from __future__ import annotations

import os
from pathlib import Path

Path(os.environ["TOUCHED_BY_IMPORT"]).touch()


def run(*_: object, **__: object) -> None:
    """Do what a payload asks RQ to call."""
    Path(os.environ["TOUCHED_BY_IMPORT"]).touch()
