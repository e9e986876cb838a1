"""Random faults under load, then the sums.

`python -m tests.chaos.driver [--seconds 60] [--seed 1] [--restarts]`

Three workers, steady traffic, and every two seconds a fault drawn by chance: a worker is killed, drained,
stopped past its lease, or cut off for as long while all that it says arrives late; scripts are flushed; all
connections are broken. A killed or drained worker is replaced.
With --restarts Redis, too, is stopped and started again, and killed and started again; it then writes every
command to disk before it answers (appendfsync always), so that what it accepted must still be there.

The checker sees only what was accepted, what the streams hold at the end, what subscribers received, and the
counters in Redis. Deadlines are off, so that every accepted frame has to be answered. What is published while
Redis comes back and the subscriber does not listen yet reaches no subscriber: with --restarts `unreceived` is
reported and not judged, and the counters tell what was answered. Prints one JSON object; exit code 1 if a
promise broke.
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

from gesture_maze.wire.frames import META
from gesture_maze.wire.keys import frames_key, outcomes_key
from tests.support.processes import PARTITIONS, Traffic, Workers, pool_outcomes
from tests.support.servers import Proxy, RedisProcess, wait_until

LEASE_MS = 1000
WORKERS = 3
EVERY_S = 2.0
KEPT_MS = 3_600_000
"""Committed entries stay for the checker."""
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


class Chaos:
    """Faults by name. Each leaves three workers behind that run or will run again."""

    def __init__(
        self, server: RedisProcess, workers: Workers, dice: random.Random, *, restarts: bool
    ) -> None:
        self._server = server
        self._workers = workers
        self._dice = dice
        self._names = (f"w{number}" for number in count())
        self._proxies: dict[str, Proxy] = {}
        self.takeovers_s: list[float] = []
        self.returns_s: list[float] = []
        self.exit_codes: list[int] = []
        self.crashes: list[str] = []
        """Last line of the log of each worker that ended by itself."""
        self.faults: dict[str, Callable[[], None]] = {
            "kill": self._kill,
            "drain": self._drain,
            "stop": self._stop,
            "break": self._break,
            "late": self._late,
            "flush_scripts": self._flush_scripts,
        }
        if restarts:
            self.faults["restart_redis"] = lambda: self._restart_redis(signal.SIGTERM)
            self.faults["kill_redis"] = lambda: self._restart_redis(signal.SIGKILL)

    def start(self) -> None:
        """Start one more worker, with a connection of its own."""
        name = next(self._names)
        proxy = self._proxies[name] = Proxy(self._server.port)
        ageless = {"deadline_ms": 0, "supersede_ms": 0, "retention_ms": KEPT_MS}
        self._workers.start(name, redis=proxy.url, lease_ttl_ms=LEASE_MS, **ageless)

    def look_for_crashes(self) -> None:
        """Note and replace workers that ended without a signal."""
        for name, process in list(self._workers.by_name.items()):
            if process.poll() is not None:
                _, log = process.communicate()
                del self._workers.by_name[name]
                sys.stderr.write(log)
                self.crashes.append(log.strip().rpartition("\n")[2])
                self.start()

    def close(self) -> None:
        """Close the connections."""
        for proxy in self._proxies.values():
            proxy.close()

    def _any(self) -> str:
        return self._dice.choice(sorted(self._workers.by_name))

    def _kill(self) -> None:
        name = self._any()
        process = self._workers.by_name[name]
        process.kill()
        killed_s = time.monotonic()
        process.communicate()
        del self._workers.by_name[name]
        wait_until(lambda: self._all_owned_without(name), 10)
        self.takeovers_s.append(time.monotonic() - killed_s)
        self.start()

    def _drain(self) -> None:
        code, log = self._workers.stop(self._any())
        self.exit_codes.append(code)
        if code:
            sys.stderr.write(log)
        self.start()

    def _stop(self) -> None:
        name = self._any()
        self._workers.signal(name, signal.SIGSTOP)
        time.sleep(LEASE_MS / 1000 + 0.5)
        self._workers.signal(name, signal.SIGCONT)
        self._workers.wait_balanced(15)

    def _late(self) -> None:
        """Cut the network for longer than a lease, then let it deliver everything."""
        proxy = self._proxies[self._any()]
        proxy.passing.clear()
        time.sleep(LEASE_MS / 1000 + 0.5)
        proxy.passing.set()
        self._workers.wait_balanced(15)

    def _break(self) -> None:
        self._server.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def _flush_scripts(self) -> None:
        self._server.client.script_flush()

    def _restart_redis(self, number: signal.Signals) -> None:
        self._server.end(number)
        time.sleep(0.3)
        self._server.client.connection_pool.disconnect()
        self._server.start().close()
        back_s = time.monotonic()
        before = pool_answered(self._server.client)
        wait_until(lambda: pool_answered(self._server.client) > before, 10)
        self.returns_s.append(time.monotonic() - back_s)

    def _all_owned_without(self, name: str) -> bool:
        owners = self._workers.owners()
        return sum(owners.values()) == PARTITIONS and name not in owners


def pool_answered(client: Any) -> int:
    """Return the number of frames answered so far, by the counters."""
    return sum(int(client.hget(outcomes_key(number), "answered") or 0) for number in range(PARTITIONS))


def in_streams(client: Any) -> list[tuple[str, int]]:
    """(session, seq) of every frame that Redis holds, more than once where an entry stands twice."""
    found = []
    for number in range(PARTITIONS):
        for _, fields in client.xrange(frames_key(number)):
            seqs = np.frombuffer(fields[b"m"], META)["seq"].tolist()
            found += zip(fields[b"s"].decode().split(), seqs, strict=True)
    return found


def broken_order(traffic: Traffic) -> tuple[int, int]:
    """Answers that came twice, and answers out of order, over all sessions."""
    by_session: dict[str, list[int]] = {}
    for reply in traffic.answered:
        by_session.setdefault(reply.session, []).append(reply.seq)
    twice = sum(len(seqs) - len(set(seqs)) for seqs in by_session.values())
    late = sum(later < before for seqs in by_session.values() for before, later in pairwise(seqs))
    return twice, late


def run(server: RedisProcess, seconds: float, dice: random.Random, *, restarts: bool) -> dict[str, Any]:
    """Run the faults and return the report."""
    workers = Workers(server.url, server.client)
    chaos = Chaos(server, workers, dice, restarts=restarts)
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
                chaos.look_for_crashes()
                time.sleep(EVERY_S / 2)
            traffic.wait_for_answers(200, 15)
        outcomes = pool_outcomes(server.client)
        held = in_streams(server.client)
    finally:
        workers.close()
        chaos.close()
    return {"faults": dict(done), **sums(traffic, outcomes, held), **times(chaos)}


def sums(traffic: Traffic, outcomes: dict[str, int], held: list[tuple[str, int]]) -> dict[str, Any]:
    """Return what was accepted, what Redis holds, what the counters say and what was received."""
    twice, late = broken_order(traffic)
    frames = set(held)
    return {
        "accepted": len(traffic.accepted),
        "in_doubt": len(traffic.doubtful),
        "in_streams": len(frames),
        "answered": outcomes["answered"],
        "received": len(traffic.answered),
        "answered_twice": twice,
        "out_of_order": late,
        "lost_by_redis": len(traffic.accepted - frames),
        "lost": len(frames) - outcomes["answered"],
        "unreceived": len(traffic.unanswered()),
        "first_unheard": sorted(traffic.unanswered(), key=lambda frame: frame[1])[:3],
        "not_counted": max(len(traffic.answered) - outcomes["answered"], 0),
        "doubles_answered": len(held) - len(frames) - outcomes["duplicate"],
        "outcomes": outcomes,
    }


def times(chaos: Chaos) -> dict[str, Any]:
    """Return how long faults and recoveries took, in s, and their number."""

    def spread(found_s: list[float]) -> dict[str, float]:
        values = np.array(found_s or [0.0])
        return {"n": len(found_s), "p50": np.median(values).round(3), "max": values.max().round(3)}

    return {
        "takeover_s": spread(chaos.takeovers_s),
        "first_answer_after_a_restart_s": spread(chaos.returns_s),
        "exit_codes_of_drains": sorted(set(chaos.exit_codes)),
        "crashes": chaos.crashes,
    }


def main() -> int:
    """Run, print, judge."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--restarts", action="store_true", help="restart and kill Redis, too")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = RedisProcess(Path(folder), *(DURABLE if chosen.restarts else ()))
        try:
            dice = random.Random(chosen.seed)
            report = {"seed": chosen.seed, **run(server, chosen.seconds, dice, restarts=chosen.restarts)}
        finally:
            server.end(signal.SIGKILL)
    print(json.dumps(report, indent=2, default=float))
    broken = ["answered_twice", "out_of_order", "lost_by_redis", "lost", "not_counted", "doubles_answered"]
    broken += ["crashes"] if chosen.restarts else ["crashes", "unreceived"]
    return int(any(report[name] for name in broken) or report["exit_codes_of_drains"] not in ([], [0]))


if __name__ == "__main__":
    sys.exit(main())
