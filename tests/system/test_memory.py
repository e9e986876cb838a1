"""What a worker process does with freed memory."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

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
