"""Slots moved and primaries killed under load, then the sums.

`python -m tests.chaos.cluster [--rounds 3] [--redis-server]`

A cluster of three primaries and three replicas, two workers and steady traffic. Each round moves the slot of
a partition key by key, moves one at once (Valkey 9 only), kills a primary and starts it again. At the end a
node is added and takes a slot. For each event: the longest wait of a player for an answer, in the partitions
concerned and in the others, which shows what the machine itself costs. At the end: frames that were accepted
and not answered, answered twice or out of order.

Replication is asynchronous: frames and answers of the last moment may be lost with a killed primary, and
frames whose commit was lost with it are answered again. Prints one JSON object; exit code 1 if replies were
out of order.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from gesture_maze.embedded.cluster import LocalCluster, bundled_binary
from gesture_maze.producer.address import open_client
from gesture_maze.wire.keys import frames_key, partition_of
from tests.chaos.driver import broken_order
from tests.support.clusters import (
    kill_primary,
    migrate_slot,
    move_slot,
    owner_of,
    slot_of_partition,
    table_of,
)
from tests.support.processes import PARTITIONS, Traffic, Workers, pool_outcomes

LONG_LIVED = {"lease_ttl_ms": 3000, "deadline_ms": 0, "supersede_ms": 0, "retention_ms": 3_600_000}
"""Settings of the workers: frames of any age are answered and stay."""
AFTER_S = 4.0
"""Time after an event before the next one."""


class Events:
    """What is done to the cluster, and when."""

    def __init__(self, cluster: LocalCluster, dice: random.Random) -> None:
        self._cluster = cluster
        self._dice = dice
        self.done: list[tuple[str, float, set[int]]] = []
        """Kind, begin and partitions concerned."""

    def move(self) -> None:
        self._move("setslot", move_slot)

    def migrate(self) -> None:
        self._move("migrateslots", migrate_slot)

    def _move(self, kind: str, move: Callable[..., Any], target: Any = None) -> None:
        partition = self._dice.randrange(PARTITIONS)
        slot = slot_of_partition(partition)
        source = owner_of(self._cluster, slot)
        ports = {address.port for address in table_of(source).primaries()}
        others = [node for node in self._cluster.nodes if node.port in ports and node is not source]
        self.done.append((kind, time.monotonic(), {partition}))
        move(self._cluster, slot, target or self._dice.choice(others))
        time.sleep(AFTER_S)

    def add(self, move: Callable[..., Any]) -> None:
        self._move("node added", move, self._cluster.add_node())

    def kill(self) -> None:
        slot = slot_of_partition(self._dice.randrange(PARTITIONS))
        victim = owner_of(self._cluster, slot)
        concerned = {p for p in range(PARTITIONS) if owner_of(self._cluster, slot_of_partition(p)) is victim}
        self.done.append(("kill", time.monotonic(), concerned))
        kill_primary(self._cluster, slot)
        time.sleep(AFTER_S)
        victim.start()
        time.sleep(AFTER_S)


def outages_s(traffic: Traffic, events: Events) -> dict[str, list[tuple[float, float]]]:
    """Return, per kind of event, the longest wait for an answer in the partitions concerned and in the
    others."""
    times: dict[str, list[float]] = defaultdict(list)
    for reply, at_s in zip(traffic.answered, traffic.answered_s, strict=True):
        times[reply.session].append(at_s)
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for kind, begin_s, partitions in events.done:
        longest = {True: 0.0, False: 0.0}
        for session, answers in times.items():
            concerned = partition_of(session, PARTITIONS) in partitions
            for before, later in pairwise(answers):
                if begin_s - 0.5 <= before <= begin_s + AFTER_S - 0.5:
                    longest[concerned] = max(longest[concerned], later - before)
        found[kind].append((longest[True], longest[False]))
    return found


def run(cluster: LocalCluster, rounds: int, dice: random.Random, *, atomic: bool) -> dict[str, Any]:
    """Run the rounds and return the report."""
    client = open_client(cluster.url, name="chaos", timeout_s=2.0)
    workers = Workers(cluster.url, client)
    events = Events(cluster, dice)
    try:
        for name in "ab":
            workers.start(name, wait=False, **LONG_LIVED)
        workers.wait_balanced(60)
        with Traffic(cluster.url, sessions=40, rate=400) as traffic:
            traffic.wait_for_answers(200, 30)
            for _ in range(rounds):
                events.move()
                if atomic:
                    events.migrate()
                events.kill()
            events.add(migrate_slot if atomic else move_slot)
            workers.wait_balanced(30)
            traffic.wait_for_answers(400, 30)
        outcomes = pool_outcomes(client)
        held = sum(client.xlen(frames_key(number)) for number in range(PARTITIONS))
    finally:
        workers.close()
        client.close()
    return report(traffic, events, outcomes, held)


def report(traffic: Traffic, events: Events, outcomes: dict[str, int], held: int) -> dict[str, Any]:
    """Return the sums and the outages."""
    twice, late = broken_order(traffic)
    outages = {
        kind: {
            "n": len(found),
            "p50_s": round(float(np.median([one for one, _ in found])), 2),
            "max_s": round(max(one for one, _ in found), 2),
            "others_max_s": round(max(other for _, other in found), 2),
        }
        for kind, found in outages_s(traffic, events).items()
    }
    kills = sum(kind == "kill" for kind, *_ in events.done)
    return {
        "accepted": len(traffic.accepted),
        "refused": traffic.refused,
        "in_doubt": len(traffic.doubtful),
        "entries_held": held,
        "answered": outcomes["answered"],
        "lost": max(len(traffic.accepted) - outcomes["answered"], 0),
        "replies_without_subscriber": len(traffic.unanswered()),
        "answered_twice": twice,
        "out_of_order": late,
        "kills": kills,
        "outages": outages,
        "outcomes": outcomes,
    }


def main() -> int:
    """Run, print, judge."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument(
        "--redis-server", action="store_true", help="the system's server, not the bundled one"
    )
    chosen = options.parse_args()
    binary = shutil.which("redis-server") if chosen.redis_server else bundled_binary()
    if binary is None:
        sys.exit("redis-server is not installed")
    with tempfile.TemporaryDirectory() as folder:
        cluster = LocalCluster(binary, Path(folder))
        try:
            found = run(cluster, chosen.rounds, random.Random(chosen.seed), atomic=not chosen.redis_server)
        finally:
            cluster.close()
    sys.stdout.write(json.dumps({"seed": chosen.seed, "server": binary, **found}, indent=1) + "\n")
    return int(bool(found["out_of_order"]))


if __name__ == "__main__":
    sys.exit(main())
