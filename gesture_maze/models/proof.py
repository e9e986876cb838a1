"""Proof of a bundle in a process of its own, before this process loads it.

A user who can write a bundle can write a graph that never ends or takes all memory. ONNX Runtime cannot be
interrupted in either, so a bundle that comes from elsewhere is loaded and tested by a child with limits
first. That takes about half a second, and only for a bundle that this process has not
proved before: a swap back to the previous model is immediate.

Run as `python -m gesture_maze.models.proof` with the zipped bundle on standard input; the answer is one JSON
object on standard output: `{}`, or `reason` and `error`.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
from collections import deque
from typing import Final

from gesture_maze.models.bundle import MAX_ZIP_BYTES, ModelReason, load_zip
from gesture_maze.wire.errors import ModelError

CPU_S: Final = 4
"""Most CPU time of the child, which stops an endless graph. A valid bundle takes under one second, the
largest accepted one two seconds; unlike elapsed time, that does not depend on how busy the machine is."""
TIMEOUT_S: Final = 30.0
"""Longest time for the child on a busy machine."""
MEMORY_BYTES: Final = 3 * 1024**3
"""Most address space of the child: ONNX Runtime reserves far more than it uses."""

_sound: deque[bytes] = deque(maxlen=16)
"""Digests of the bundles that passed, latest last."""


def prove(data: bytes, timeout_s: float = TIMEOUT_S) -> None:
    """Load and test a zipped bundle in a child process with limits of time and memory.

    Raises:
        ModelError: with a `ModelReason`: what the child found, or `too_costly` if it reached a limit.
    """
    if len(data) > MAX_ZIP_BYTES:
        raise ModelError(ModelReason.TOO_LARGE, f"the zipped bundle is over {MAX_ZIP_BYTES} bytes")
    digest = hashlib.sha256(data).digest()
    if digest not in _sound:
        _prove(data, timeout_s)
        _sound.append(digest)


def _prove(data: bytes, timeout_s: float) -> None:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "gesture_maze.models.proof"],
            input=data, capture_output=True, timeout=timeout_s, check=False, env=_environment(),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ModelError(
            ModelReason.TOO_COSTLY, f"the model did not answer its golden hands within {timeout_s:g} s"
        ) from None
    except OSError as error:
        raise ModelError(ModelReason.TOO_COSTLY, f"cannot start a process to test it: {error}") from None
    try:
        answer = json.loads(done.stdout)
        reason, words = answer.get("reason"), str(answer.get("error"))
    except (ValueError, AttributeError):
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["without a word"]
        message = f"the process that tested the model ended with code {done.returncode}: {last[0]}"
        raise ModelError(ModelReason.TOO_COSTLY, message) from None
    if reason is not None:
        raise ModelError(ModelReason(reason), words)


def main() -> int:
    """Prove the bundle on standard input and return the exit code."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from gesture_maze.models.classifier import Classifier

    answer: dict[str, str] = {}
    try:
        Classifier.from_bundle(load_zip(sys.stdin.buffer.read(MAX_ZIP_BYTES + 1)))
    except ModelError as error:
        answer = {"reason": error.reason, "error": str(error)}
    except MemoryError:
        answer = {"reason": ModelReason.TOO_COSTLY, "error": "the model needs too much memory"}
    except Exception as error:  # noqa: BLE001 - a crafted bundle may fail in any way
        answer = {"reason": ModelReason.NOT_A_BUNDLE, "error": f"the bundle cannot be loaded: {error!r}"}
    sys.stdout.write(json.dumps(answer))
    return 0


def _environment() -> dict[str, str]:
    """Return what an interpreter needs to start, without our settings and secrets."""
    needed = ("PATH", "HOME", "LANG", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
    # one thread each: otherwise a matrix library reserves memory for every core
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return {**{name: os.environ[name] for name in needed if name in os.environ}, **threads}


if __name__ == "__main__":
    sys.exit(main())
