"""A few worlds of `make simulate`, and proofs that the simulation finds what it is there to find."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulation.run import run

SEEDS = 6
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


@pytest.mark.parametrize(
    ("bug", "faults", "seeds"),
    [("commit_without_fence", (), 6), ("suspects_classified_when_rebuilt", ("poison",), 4)],
)
def test_old_bug_put_back_is_found(bug: str, faults: tuple[str, ...], seeds: int) -> None:
    assert any(run(seed, bug, faults).violation for seed in range(seeds))


@pytest.mark.skipif("MAZE_SIMULATE" not in os.environ, reason="takes minutes: `make simulate` runs it")
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("bug", "faults", "seeds"),
    [
        ("suspects_cleared_without_lease", ("network", "kill"), 200),
        ("cursor_moved_when_built", ("group",), 200),
        ("rebuild_bounded", ("burst", "restart"), 20),
    ],
)
def test_rare_old_bug_put_back_is_found(bug: str, faults: tuple[str, ...], seeds: int) -> None:
    assert any(run(seed, bug, faults).violation for seed in range(seeds))
