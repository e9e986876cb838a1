"""A Redis and a small pool of real workers, for examples and clients in other languages."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gesture_maze.worker.settings import Settings
from tests.support.children import child
from tests.support.servers import Server, running_redis, wait_until

ROOT = Path(__file__).parents[2]
WORKERS = 2


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "VECTORS": str(ROOT / "tests" / "vectors")}


def run(*command: str, cwd: Path = ROOT, timeout_s: float = 30, text: str | None = None) -> str:
    """Run a command that must succeed, and return its output."""
    done = subprocess.run(
        command,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env=environment(),
        check=False,
        input=text,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def running_pool(folder: Path) -> Iterator[Server]:
    """Run a Redis with workers that own every partition."""
    with running_redis(folder) as server:
        assert server.url is not None
        settings = Settings(redis=server.url, metrics_port=0).model_dump_json()
        with ExitStack() as stack:
            workers = []
            for number in range(WORKERS):
                log = stack.enter_context((folder / f"{number}.log").open("wb"))
                command = (sys.executable, "-m", "gesture_maze.worker", settings, f"example-{number}")
                options = {"stdout": log, "stderr": log, "env": environment(), "cwd": folder}
                workers.append(stack.enter_context(child(*command, **options)))

            def all_owned() -> bool:
                gone = [number for number, worker in enumerate(workers) if worker.poll() is not None]
                assert not gone, (folder / f"{gone[0]}.log").read_text()
                return len(server.client.keys("lease:*")) == 16

            wait_until(all_owned, 30)
            yield server
            for worker in workers:
                worker.terminate()
            assert [worker.wait(20) for worker in workers] == [0] * WORKERS
