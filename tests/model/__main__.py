"""`python -m tests.model`: check the model of ownership exhaustively, with `spin` and a C compiler."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MODEL: Final = Path(__file__).with_name("ownership.pml")
VARIANTS: Final = ("NO_FENCE", "SAME_EPOCH", "REACHABLE")
"""Variants of the model that must fail."""
DEPTH: Final = 100_000
"""Longest run that is searched; the check fails if one is longer."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome of a check.

    Attributes:
        errors: violated assertions.
        states: distinct states.
        complete: whether every state was visited.
    """

    errors: int
    states: int
    complete: bool


def check(variant: str | None, entries: int, epochs: int) -> Checked:
    """Check one variant of the model.

    Args:
        variant: one of `VARIANTS`, or None for the model itself.
        entries: in the stream.
        epochs: acquisitions in one world.
    """
    defines = [f"-DENTRIES={entries}", f"-DEPOCHS={epochs}", *([f"-D{variant}"] if variant else [])]
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(MODEL, folder)
        _run(folder, "spin", "-a", *defines, MODEL.name)
        _run(folder, "cc", "-O1", "-DSAFETY", "-DCOLLAPSE", "-o", "pan", "pan.c")
        report = _run(folder, "./pan", f"-m{DEPTH}")
    errors, states = re.search(r"errors: (\d+)", report), re.search(r"(\d+) states, stored", report)
    assert errors is not None, report
    assert states is not None, report
    complete = "max search depth too small" not in report and "Search not completed" not in report
    return Checked(int(errors[1]), int(states[1]), complete)


def _run(folder: str, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode or "Error:" in done.stdout:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> int:
    """Check the model and its variants; 1 if an outcome is not the expected one."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--entries", type=int, default=3, help="in the stream (default: %(default)s)")
    parser.add_argument(
        "--epochs", type=int, default=4, help="acquisitions in one world (default: %(default)s)"
    )
    wanted = parser.parse_args()
    missing = [tool for tool in ("spin", "cc") if shutil.which(tool) is None]
    if missing:
        print(f"{', '.join(missing)} not found; on Debian and Ubuntu: apt install spin gcc", file=sys.stderr)
        return 2
    good = True
    for variant in (None, *VARIANTS):
        found = check(variant, wanted.entries, wanted.epochs)
        expected = found.errors == 0 and found.complete if variant is None else found.errors > 0
        good &= expected
        verdict = "as it must" if expected else "WRONG"
        outcome = "fails" if found.errors else "holds"
        print(f"{variant or 'model':12} {outcome} {verdict:10} {found.states:>12,} states", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
