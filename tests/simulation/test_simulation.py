"""The worlds of `make simulate`, and proofs that the simulation finds what it is there to find."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulation.run import run

SEEDS = 150
CHUNK = 25
"""Worlds per test: about 6 s."""
CLUSTER_SEED = 3
"""The first world with a cluster."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_worlds_of_seeds_keep_every_promise(first: int) -> None:
    answered = 0
    for seed in range(first, first + CHUNK):
        result = run(seed)
        assert result.violation is None, f"python -m tests.simulation --seed {seed} --trace"
        answered += result.answered
    assert answered > 20 * CHUNK


def test_world_of_a_seed_is_the_same_in_every_process() -> None:
    worlds = "for seed in (0, CLUSTER_SEED): r = run(seed); print(r.events, *r.trace, sep='\\n')"
    code = f"from tests.simulation.run import run\n{worlds.replace('CLUSTER_SEED', str(CLUSTER_SEED))}"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for hash_seed in ("1", "2")
    ]
    traces = [process.communicate()[0] for process in processes]
    assert len(traces[0].splitlines()) > 20
    assert traces[0] == traces[1]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("bug", "first", "faults", "found"),
    [
        ("commit_without_fence", 1, ("slow", "freeze"), "had an effect on partition"),
        ("suspects_cleared_without_lease", 0, ("network", "kill"), "clear_suspects of"),
        ("cursor_moved_when_built", 6, ("group",), "frames up to the cursor"),
        ("rebuild_bounded", 0, ("burst", "restart"), "was answered 2 times"),
        ("suspects_classified_when_rebuilt", 0, ("poison",), "has killed 4 workers"),
        ("lost_commits_taken_for_done", 0, ("move", "network"), "frames up to the cursor"),
        ("epoch_kept_when_acquired_again", 3, ("move", "network"), "frames up to the cursor"),
        ("moved_taken_for_ask", 0, ("node",), "in spite of MOVED"),
    ],
)
def test_bug_is_found_by_a_seed_that_passes_without_it(
    bug: str, first: int, faults: tuple[str, ...], found: str
) -> None:
    # the first seed is known to find it; others do if a change of the worlds has made it useless
    for seed in (first, *range(100)):
        violation = run(seed, bug, faults).violation
        if violation is not None:
            assert found in violation
            assert run(seed, None, faults).violation is None
            return
    pytest.fail(f"no seed below 100 has found {bug}")
