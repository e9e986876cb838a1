"""Random faults under load, then the sums: `python -m tests.chaos.driver [--seconds 60] [--seed 1]`.

Three workers, steady traffic, and every two seconds a fault drawn by chance: a worker is killed, drained, or
stopped past its lease; scripts are flushed; all connections are cut. A killed or drained worker is replaced.
The checker sees only what was accepted, what subscribers received, and the counters in Redis. Deadlines are
off, so that every accepted frame has to be answered. Prints one JSON object; exit code 1 if a promise broke.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tests.servers import Server, running_redis, wait_until
from tests.system.processes import Traffic, Workers, pool_outcomes

LEASE_MS = 1000
WORKERS = 3
EVERY_S = 2.0


class Chaos:
    """Faults by name. Each leaves three workers behind that run or will run again."""

    def __init__(self, server: Server, workers: Workers, dice: random.Random) -> None:
        self._server = server
        self._workers = workers
        self._dice = dice
        self._names = (f"w{number}" for number in count())
        self.takeovers_s: list[float] = []
        self.exit_codes: list[int] = []
        self.faults: dict[str, Callable[[], None]] = {
            "kill": self._kill,
            "drain": self._drain,
            "stop": self._stop,
            "cut": self._cut,
            "flush_scripts": self._flush_scripts,
        }

    def start(self) -> None:
        """One more worker."""
        self._workers.start(next(self._names), lease_ttl_ms=LEASE_MS, deadline_ms=0, supersede_ms=0)

    def _any(self) -> str:
        return self._dice.choice(sorted(self._workers.by_name))

    def _kill(self) -> None:
        name = self._any()
        process = self._workers.by_name[name]
        process.kill()
        killed_s = time.monotonic()
        process.communicate()
        del self._workers.by_name[name]
        wait_until(
            lambda: sum(self._workers.owners().values()) == 8 and name not in self._workers.owners(), 10
        )
        self.takeovers_s.append(time.monotonic() - killed_s)
        self.start()

    def _drain(self) -> None:
        self.exit_codes.append(self._workers.stop(self._any())[0])
        self.start()

    def _stop(self) -> None:
        name = self._any()
        self._workers.signal(name, signal.SIGSTOP)
        time.sleep(LEASE_MS / 1000 + 0.5)
        self._workers.signal(name, signal.SIGCONT)
        self._workers.wait_balanced(15)

    def _cut(self) -> None:
        self._server.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def _flush_scripts(self) -> None:
        self._server.client.script_flush()


def broken_order(traffic: Traffic) -> tuple[int, int]:
    """Answers that came twice, and answers out of order, over all sessions."""
    by_session: dict[str, list[int]] = {}
    for reply in traffic.answered:
        by_session.setdefault(reply.session, []).append(reply.seq)
    twice = sum(len(seqs) - len(set(seqs)) for seqs in by_session.values())
    late = sum(later < before for seqs in by_session.values() for before, later in pairwise(seqs))
    return twice, late


def run(server: Server, seconds: float, dice: random.Random) -> dict[str, Any]:
    """The run and its report."""
    assert server.url is not None
    workers = Workers(server.url, server.client)
    chaos = Chaos(server, workers, dice)
    done: Counter[str] = Counter()
    try:
        for _ in range(WORKERS):
            chaos.start()
        end_s = time.monotonic() + seconds
        with Traffic(server.url) as traffic:
            while time.monotonic() < end_s:
                traffic.wait_for_answers(50, 15)
                fault = dice.choice(sorted(chaos.faults))
                chaos.faults[fault]()
                done[fault] += 1
                time.sleep(EVERY_S / 2)
            traffic.wait_for_answers(200, 15)
        outcomes = pool_outcomes(server.client)
    finally:
        workers.close()
    twice, late = broken_order(traffic)
    takeovers_s = np.array(chaos.takeovers_s or [0.0])
    return {
        "faults": dict(done),
        "accepted": len(traffic.accepted),
        "in_doubt": len(traffic.doubtful),
        "answered": len(traffic.answered),
        "answered_twice": twice,
        "out_of_order": late,
        "lost": len(traffic.unanswered()),
        "not_counted": max(len(traffic.answered) - outcomes["answered"], 0),
        "outcomes": outcomes,
        "takeover_s": {
            "n": len(chaos.takeovers_s),
            "p50": np.median(takeovers_s).round(3),
            "max": takeovers_s.max().round(3),
        },
        "exit_codes_of_drains": sorted(set(chaos.exit_codes)),
    }


def main() -> int:
    """Run, print, judge."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_redis(Path(folder)) as server:
        report = {"seed": chosen.seed, **run(server, chosen.seconds, random.Random(chosen.seed))}
    print(json.dumps(report, indent=2, default=float))
    broken = ("answered_twice", "out_of_order", "lost", "not_counted")
    return int(any(report[name] for name in broken) or report["exit_codes_of_drains"] not in ([], [0]))


if __name__ == "__main__":
    sys.exit(main())
