"""Programs that a test starts: none of them outlives it, whether it passes, fails or cannot start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@contextmanager
def child(*words: str | Path, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a program, by default in the repository; at the end kill it if it still runs, and close its pipes.

    Args:
        words: of its command line.
        options: of `subprocess.Popen`. With `start_new_session` its children are killed too.
    """
    with subprocess.Popen(list(map(str, words)), **{"cwd": ROOT, "text": True} | options) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                if options.get("start_new_session"):
                    os.killpg(process.pid, signal.SIGKILL)
            process.kill()


@contextmanager
def maze(*words: str | Path, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a `maze` command like `child`."""
    with child(sys.executable, "-m", "gesture_maze", *words, **options) as process:
        yield process
