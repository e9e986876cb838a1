"""`python -m tests.simulation --seeds 2000`: run worlds, and print the seed of one that breaks a promise."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable

from tests.simulation.bugs import BUGS
from tests.simulation.cluster_faults import CLUSTER_KINDS
from tests.simulation.faults import KINDS
from tests.simulation.run import run, run_wanted
from tests.simulation.world import Result

COUNTED = ("accepted", "answered", "fenced", "deaths", "commits")


def results(seeds: range, bug: str | None, faults: tuple[str, ...], jobs: int) -> Iterable[Result]:
    """Run worlds in `jobs` processes."""
    wanted = [(seed, bug, faults) for seed in seeds]
    if jobs == 1:
        yield from map(run_wanted, wanted)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(run_wanted, wanted, chunksize=4)


def parse() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="worlds to run (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="run this world only")
    parser.add_argument("--trace", action="store_true", help="with --seed: print every event")
    parser.add_argument("--bug", choices=BUGS, help="put an old bug back")
    parser.add_argument(
        "--faults",
        default="",
        help=f"kinds of faults, with commas: {', '.join(KINDS)}; on a cluster also "
        f"{', '.join(CLUSTER_KINDS)} (default: by seed)",
    )
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)"
    )
    parser.add_argument("--keep-going", action="store_true", help="continue after a broken promise")
    return parser.parse_args()


def main() -> int:
    """Run worlds; 1 if a promise was broken."""
    wanted = parse()
    faults = tuple(filter(None, wanted.faults.split(",")))
    if wanted.seed is not None:
        result = run(wanted.seed, wanted.bug, faults, print if wanted.trace else None)
        print(f"seed {wanted.seed}: {result.violation or 'all promises held'}")
        return result.violation is not None
    options = (f" --bug {wanted.bug}" if wanted.bug else "") + (
        f" --faults {wanted.faults}" if faults else ""
    )
    begin_s = time.monotonic()
    totals: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    worlds = broken = 0
    seeds = range(wanted.first, wanted.first + wanted.seeds)
    for result in results(seeds, wanted.bug, faults, wanted.jobs):
        worlds += 1
        kinds.update(result.faults)
        totals.update({name: getattr(result, name) for name in COUNTED})
        if result.violation:
            broken += 1
            print(f"seed {result.seed}: {result.violation} (faults: {', '.join(result.faults)})")
            print(
                f"  replay it: python -m tests.simulation --seed {result.seed} --trace{options}", flush=True
            )
            if not wanted.keep_going:
                break
    took_s = time.monotonic() - begin_s
    print(f"{worlds} worlds in {took_s:.0f} s, {worlds / took_s * 60:.0f} seeds per minute; {broken} broken")
    print("  ".join(f"{name} {count:,}" for name, count in totals.items()))
    print("worlds by fault:", "  ".join(f"{name} {count}" for name, count in kinds.most_common()))
    return broken > 0


if __name__ == "__main__":
    sys.exit(main())
