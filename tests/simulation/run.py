"""Run one world, in this process or in another one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

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
    with BUGS[bug]() if bug else nullcontext():
        return World(seed, show, faults).run()


def run_wanted(wanted: tuple[int, str | None, tuple[str, ...]]) -> Result:
    """Run a world given as seed, bug and faults."""
    return run(*wanted)
