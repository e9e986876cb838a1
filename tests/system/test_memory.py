"""What a worker keeps in memory, and for how long."""

from __future__ import annotations

import platform
import subprocess
import sys
import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest

from tests.support.pool import HandWorker, WristModel, add, hand
from tests.support.servers import Server

PAGE_FAULTS = """
import resource
from gesture_maze.worker.process import _keep_heap
_keep_heap()
def use(): [bytearray(1 << 18) for _ in range(12)]
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50): use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
"""Allocates and frees 3 MB again and again, which is 768 pages."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has mallopt")
def test_freed_memory_of_a_batch_is_used_again_without_page_faults() -> None:
    done = subprocess.run([sys.executable, "-c", PAGE_FAULTS], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1000


class Weighing(WristModel):
    """Notes how much memory is in use when it is called."""

    def __init__(self) -> None:
        self.bytes = 0

    def classify(
        self, landmarks: npt.NDArray[np.float32], aspect: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        self.bytes = tracemalloc.get_traced_memory()[0]
        return super().classify(landmarks, aspect)


def test_entries_are_freed_before_their_frames_are_classified(server: Server) -> None:
    model = Weighing()
    worker = HandWorker(server.client, model=model)
    worker.join()
    frames = 2000
    add(server.client, *(hand("player-0", seq) for seq in range(1, frames + 1)))
    tracemalloc.start()
    try:
        assert worker.work() == frames
    finally:
        tracemalloc.stop()
        HandWorker.close_all()
    assert 252 * frames < model.bytes < 2 * 252 * frames
