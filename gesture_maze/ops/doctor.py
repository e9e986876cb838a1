"""Checks of a pool's Redis and its workers, each with the remedy for a fault. Pure.

A check takes `Facts` and yields findings; `ops.doctor_facts.gather` collects the facts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from gesture_maze.version import __version__
from gesture_maze.wire.printable import amount, ranges
from gesture_maze.worker.redis.status import PoolStatus

Status = Literal["ok", "warning", "error"]

LEAST_REDIS: Final = (7, 0)
TESTED_REDIS: Final = "Redis 7.0 to 8 and Valkey 8 to 9"
SKEW_MS: Final = 250
"""A larger difference makes logs and metrics misleading; the pool itself uses only the server's clock."""
AHEAD_MS: Final = 10_000
"""Entry ids further ahead of the server's clock are a fault; smaller steps resolve by themselves."""
SLOW_MS: Final = 5.0
"""A round trip within one network takes less than 1 ms."""
FULL: Final = 0.8


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        check: what was checked.
        status: `ok`, `warning` or `error`.
        message: what was found and, unless `ok`, what to do.
    """

    check: str
    status: Status
    message: str


@dataclass(frozen=True, slots=True)
class Facts:
    """The input of the checks.

    Attributes:
        info: all sections of INFO.
        config: answer to CONFIG GET; empty if the user may not run it.
        whoami: name of the current user.
        powers: dangerous commands -> whether the user may run them; empty if that cannot be asked.
        skew_ms: the server's clock minus ours, corrected by half the round trip.
        round_trip_ms: the fastest of several.
        status: of the pool.
        reached: ids of the workers whose metrics could be read from here.
        tls: whether the connection is encrypted.
        local: whether Redis is on this machine.
        nodes: the same facts of each other primary of a cluster, by address.
        covered: whether every slot of a cluster has a primary.
    """

    info: Mapping[str, object]
    config: Mapping[str, str]
    whoami: str
    powers: Mapping[str, bool]
    skew_ms: float
    round_trip_ms: float
    status: PoolStatus
    reached: frozenset[str] = field(default_factory=frozenset)
    tls: bool = False
    local: bool = True
    nodes: Mapping[str, Facts] = field(default_factory=dict)
    covered: bool = True

    def number(self, name: str) -> int:
        """Return a number of INFO; 0 if it is missing."""
        return int(str(self.info.get(name, 0)))


def examine(facts: Facts) -> list[Finding]:
    """Return all findings, in the order of `CHECKS`, then those of the other primaries of a cluster."""
    found = [finding for check in CHECKS for finding in check(facts)]
    if not facts.covered:
        found.append(Finding("cluster", "error", "Some slots have no primary: see CLUSTER SHARDS."))
    for address, node in facts.nodes.items():
        for check in SERVER_CHECKS:
            found += [replace(one, check=f"{one.check} {address}") for one in check(node)]
    return found


def _version(facts: Facts) -> Iterator[Finding]:
    # Valkey also reports redis_version, always 7.2.4
    name = "Valkey" if "valkey_version" in facts.info else "Redis"
    shown = str(facts.info.get("valkey_version") or facts.info.get("redis_version", "0"))
    if tuple(map(int, shown.split(".")[:2])) < LEAST_REDIS:
        yield Finding(
            "server",
            "error",
            f"{name} {shown} is too old (it lacks XGROUP SETID ... ENTRIESREAD): use {TESTED_REDIS}.",
        )
    else:
        yield Finding("server", "ok", f"{name} {shown}")


def _eviction(facts: Facts) -> Iterator[Finding]:
    policy = str(facts.info.get("maxmemory_policy", "unknown"))
    if policy != "noeviction":
        yield Finding(
            "eviction",
            "error",
            f"maxmemory-policy {policy} deletes whole streams: CONFIG SET maxmemory-policy noeviction.",
        )
    else:
        yield Finding("eviction", "ok", "noeviction")


def _memory(facts: Facts) -> Iterator[Finding]:
    limit, used = facts.number("maxmemory"), facts.number("used_memory")
    if not limit:
        yield Finding(
            "memory",
            "warning",
            "maxmemory is not set, so the machine's own limit would kill Redis: set it to three quarters of "
            "the memory that Redis may use.",
        )
    elif used > limit * FULL:
        yield Finding(
            "memory",
            "error",
            f"{used / limit:.0%} of maxmemory is used: lower --retention-ms, or raise maxmemory; at 100 % "
            "frames are refused. 'maze status --advise' says what the present rate needs.",
        )
    else:
        yield Finding("memory", "ok", f"{used / limit:.0%} of {limit / 1e6:,.0f} MB used")
    if facts.number("evicted_keys"):
        yield Finding(
            "memory",
            "error",
            f"{facts.number('evicted_keys')} keys were evicted: frames and leases among them are lost.",
        )


def _persistence(facts: Facts) -> Iterator[Finding]:
    aof, failed = facts.number("aof_enabled"), str(facts.info.get("aof_last_write_status", "ok")) != "ok"
    if failed:
        yield Finding("persistence", "error", "The append-only file cannot be written: is the disk full?")
    elif not aof:
        yield Finding(
            "persistence",
            "warning",
            "appendonly is off, so a restart of Redis loses cursors, models and frames: "
            "CONFIG SET appendonly yes, unless that is intended.",
        )
    else:
        yield Finding("persistence", "ok", "append-only file")


def _access(facts: Facts) -> Iterator[Finding]:
    may = sorted(word for word, allowed in facts.powers.items() if allowed)
    if facts.whoami == "default":
        yield Finding(
            "access", "warning", "This is the default user: give every role its own user, see 'maze acl'."
        )
    elif may:
        yield Finding(
            "access",
            "warning",
            f"User {facts.whoami} may run {', '.join(may)}: see 'maze acl'.",
        )
    else:
        yield Finding("access", "ok", f"user {facts.whoami}")
    if not (facts.tls or facts.local):
        yield Finding(
            "access",
            "warning",
            "Redis is on another machine and the connection is not encrypted: use rediss://.",
        )


def _clock(facts: Facts) -> Iterator[Finding]:
    if abs(facts.skew_ms) > SKEW_MS:
        yield Finding(
            "clock",
            "warning",
            f"The server's clock is {facts.skew_ms / 1000:+.1f} s off ours: run an NTP client on both.",
        )
    else:
        whole_ms = round(facts.skew_ms)
        off = f"{whole_ms:+d} ms" if whole_ms else "less than 1 ms"
        yield Finding("clock", "ok", f"{off} off ours")


def _ids(facts: Facts) -> Iterator[Finding]:
    ahead = {one.partition: one.newest_ms - facts.status.server_ms for one in facts.status.partitions}
    late = [number for number, ms in ahead.items() if ms > AHEAD_MS]
    if late:
        yield Finding(
            "ids",
            "warning",
            f"Entry ids of partitions {ranges(late)} are up to "
            f"{max(ahead.values()) / 1000:,.0f} s ahead of the server's clock, so frames age by observation: "
            "correct the clock, then 'maze doctor --mend'.",
        )


def _round_trip(facts: Facts) -> Iterator[Finding]:
    if facts.round_trip_ms > SLOW_MS:
        yield Finding(
            "round trip",
            "warning",
            f"{facts.round_trip_ms:.1f} ms to Redis, and every reply takes two round trips: "
            "run workers and Redis in the same network.",
        )
    else:
        yield Finding("round trip", "ok", f"{facts.round_trip_ms:.2f} ms")


def _timeouts(facts: Facts) -> Iterator[Finding]:
    idle_s = int(facts.config.get("timeout", "0"))
    if 0 < idle_s < 10:
        yield Finding(
            "timeouts",
            "error",
            f"timeout {idle_s} disconnects clients that wait for replies: CONFIG SET timeout 0.",
        )
    elif facts.config:
        yield Finding("timeouts", "ok", "idle clients are kept")
    limit = facts.config.get("proto-max-bulk-len")
    if limit and int(limit) < 48 << 20:
        yield Finding(
            "timeouts",
            "warning",
            "proto-max-bulk-len is below 48 MB, so a large model bundle cannot be promoted: raise it.",
        )


def _pool(facts: Facts) -> Iterator[Finding]:
    status = facts.status
    if not status.partitions:
        yield Finding("pool", "warning", "No pool has used this Redis yet: start one with 'maze worker'.")
        return
    if not status.workers:
        yield Finding("pool", "error", "No worker is alive: start one with 'maze worker'.")
    unowned = [one.partition for one in status.partitions if one.owner is None]
    if unowned:
        yield Finding("pool", "error", f"No owner for partitions {ranges(unowned)}: see the workers' logs.")
    if not status.all_accounted_for:
        yield Finding("pool", "error", "Frames were lost or counted twice (see 'maze status'): report it.")
    if len(status.models) > 1:
        yield Finding(
            "pool", "warning", f"Workers use different models, {', '.join(status.models)}: see 'maze models'."
        )
    versions = {worker.version for worker in status.workers}
    if versions - {__version__}:
        yield Finding(
            "pool",
            "warning",
            f"Workers run version {', '.join(sorted(versions))}, this is {__version__}: finish the upgrade.",
        )
    if status.workers and not unowned and status.all_accounted_for:
        yield Finding(
            "pool",
            "ok",
            f"all frames are accounted for, {amount(len(status.partitions), 'partition')} owned by "
            f"{amount(len(status.workers), 'worker')}",
        )


def _metrics(facts: Facts) -> Iterator[Finding]:
    unreached = [one for one in facts.status.workers if one.worker not in facts.reached]
    if unreached:
        first = unreached[0]
        yield Finding(
            "metrics",
            "warning",
            f"Metrics cannot be read from {amount(len(unreached), 'worker')}, such as "
            f"{first.host}:{first.port}: "
            "start them with --metrics-host, or check the firewall.",
        )
    elif facts.status.workers:
        yield Finding("metrics", "ok", f"metrics read from {amount(len(facts.reached), 'worker')}")


CHECKS: Final[tuple[Callable[[Facts], Iterator[Finding]], ...]] = (
    _version, _eviction, _memory, _persistence, _access, _clock, _ids, _round_trip, _timeouts, _pool,
    _metrics,
)  # fmt: skip
SERVER_CHECKS: Final = (_version, _eviction, _memory, _persistence, _clock, _timeouts)
"""Checks of each server of a cluster."""
