"""Run one world, in this process or in another one."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from tests.simulation.bugs import BUGS
from tests.simulation.world import Result, World


def run(
    seed: int, bug: str | None = None, faults: tuple[str, ...] = (), show: Callable[[str], None] | None = None
) -> Result:
    """Run one world.

    Args:
        seed: of the world.
        bug: an old bug to put back, see `bugs.BUGS`.
        faults: kinds of faults; none lets the seed choose.
        show: called with each line of the trace.
    """
    with BUGS[bug]() if bug else nullcontext(), _garbage_kept():
        return World(seed, show, faults).run()


@contextmanager
def _garbage_kept() -> Iterator[None]:
    """Collect garbage after a world instead of during it, which saves a tenth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def run_wanted(wanted: tuple[int, str | None, tuple[str, ...]]) -> Result:
    """Run a world given as seed, bug and faults."""
    return run(*wanted)
