"""The simulated clock in place of fakeredis's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

CLOCKED = (
    "fakeredis._helpers", "fakeredis._socket._base", "fakeredis.model._stream",
    "fakeredis.commands_mixins.server_mixin",
)  # fmt: skip
"""Modules of fakeredis that read the time."""


class _Clock:
    """Stands in for the module `time` in fakeredis."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self.time = now_s

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


@contextmanager
def simulated_server_clock(now_s: Callable[[], float]) -> Iterator[None]:
    """Let fakeredis read a clock, in Unix seconds."""
    clock = _Clock(now_s)
    with ExitStack() as patches:
        for module in CLOCKED:
            patches.enter_context(patch(f"{module}.time", clock))
        yield
