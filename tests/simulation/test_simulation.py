"""A few worlds of `make simulate`, and proofs that the simulation finds what it is there to find."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulation.run import run

SEEDS = 12
"""One world takes about 0.3 s."""


@pytest.mark.parametrize("seed", range(SEEDS))
def test_world_of_a_seed_keeps_every_promise(seed: int) -> None:
    result = run(seed)
    assert result.violation is None, f"python -m tests.simulation --seed {seed} --trace"
    assert result.answered > 0


def test_world_of_a_seed_is_the_same_in_every_process() -> None:
    code = "from tests.simulation.run import run; r = run(0); print(r.events, *r.trace, sep='\\n')"
    traces = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert len(traces[0].splitlines()) > 20
    assert traces[0] == traces[1]
