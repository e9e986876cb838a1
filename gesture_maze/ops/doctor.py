"""What may be wrong with a pool's Redis and its workers, each with a sentence that says what to do. Pure.

A check takes `Facts` and gives findings; `gather` asks for the facts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from gesture_maze.version import __version__
from gesture_maze.worker.redis.status import PoolStatus

Level = Literal["good", "warning", "bad"]

LEAST_REDIS: Final = (7, 0)
TESTED_REDIS: Final = "Redis 7.0 to 8 and Valkey 8 to 9"
SKEW_MS: Final = 250
"""A clock off by more makes a person read logs and metrics wrongly; the pool itself uses the server's."""
SLOW_MS: Final = 5.0
"""A round trip on one network takes less than 1 ms."""
FULL: Final = 0.8
LEAST_TTL_MS: Final = 1000


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        what: was looked at.
        says: what was found and, unless good, what to do.
    """

    what: str
    level: Level
    says: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found.

    Attributes:
        info: of INFO, all sections.
        config: of CONFIG GET; empty where it is not allowed.
        whoami: the user that we are.
        powers: dangerous words -> whether this user may say them; empty where it cannot be asked.
        skew_ms: the server's clock minus ours, half the round trip allowed for.
        round_trip_ms: the fastest of several.
        status: of the pool.
        reached: ids of the workers whose metrics could be read from here.
        tls: the connection is encrypted.
        local: Redis is on this machine.
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

    def number(self, name: str) -> int:
        """A number of INFO; 0 where it is missing."""
        return int(str(self.info.get(name, 0)))


def examine(facts: Facts) -> list[Finding]:
    """All findings, in the order of `CHECKS`."""
    return [finding for check in CHECKS for finding in check(facts)]


def _version(facts: Facts) -> Iterator[Finding]:
    # Valkey says redis_version too, always 7.2.4
    name = "Valkey" if "valkey_version" in facts.info else "Redis"
    shown = str(facts.info.get("valkey_version") or facts.info.get("redis_version", "0"))
    if tuple(map(int, shown.split(".")[:2])) < LEAST_REDIS:
        yield Finding(
            "server",
            "bad",
            f"{name} {shown} is too old for XGROUP SETID .. ENTRIESREAD: take {TESTED_REDIS}.",
        )
    else:
        yield Finding("server", "good", f"{name} {shown}")


def _eviction(facts: Facts) -> Iterator[Finding]:
    policy = str(facts.info.get("maxmemory_policy", "unknown"))
    if policy != "noeviction":
        yield Finding(
            "eviction",
            "bad",
            f"maxmemory-policy {policy} throws whole streams away: CONFIG SET maxmemory-policy noeviction.",
        )
    else:
        yield Finding("eviction", "good", "noeviction")


def _memory(facts: Facts) -> Iterator[Finding]:
    limit, used = facts.number("maxmemory"), facts.number("used_memory")
    if not limit:
        yield Finding(
            "memory",
            "warning",
            "There is no maxmemory: the machine's own limit would kill Redis. Set it to "
            "three quarters of what it may have.",
        )
    elif used > limit * FULL:
        yield Finding(
            "memory",
            "bad",
            f"{used / limit:.0%} of maxmemory is used: lower --retention-ms, or raise "
            "maxmemory; at 100 % frames are refused.",
        )
    else:
        yield Finding("memory", "good", f"{used / limit:.0%} of {limit / 1e6:,.0f} MB used")
    if facts.number("evicted_keys"):
        yield Finding(
            "memory",
            "bad",
            f"{facts.number('evicted_keys')} keys were evicted: frames and leases among them are lost.",
        )


def _persistence(facts: Facts) -> Iterator[Finding]:
    aof, failed = facts.number("aof_enabled"), str(facts.info.get("aof_last_write_status", "ok")) != "ok"
    if failed:
        yield Finding("persistence", "bad", "The append-only file cannot be written: look for a full disk.")
    elif not aof:
        yield Finding(
            "persistence",
            "warning",
            "appendonly is off: a restart of Redis forgets cursors, models and frames. "
            "CONFIG SET appendonly yes, unless that is meant.",
        )
    else:
        yield Finding("persistence", "good", "append-only file")


def _access(facts: Facts) -> Iterator[Finding]:
    may = sorted(word for word, allowed in facts.powers.items() if allowed)
    if facts.whoami == "default":
        yield Finding(
            "access", "warning", "This is the default user: give every role its own, see 'maze acl'."
        )
    elif may:
        yield Finding(
            "access", "warning", f"User {facts.whoami} may {', '.join(may)}: see 'maze acl' for less."
        )
    else:
        yield Finding("access", "good", f"user {facts.whoami}")
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
            f"The server's clock is {facts.skew_ms / 1000:+.1f} s from ours: run an NTP client on both.",
        )
    else:
        yield Finding("clock", "good", f"{facts.skew_ms:+.0f} ms from ours")


def _round_trip(facts: Facts) -> Iterator[Finding]:
    if facts.round_trip_ms > SLOW_MS:
        yield Finding(
            "round trip",
            "warning",
            f"{facts.round_trip_ms:.1f} ms to Redis: every reply waits for two of them. "
            "Bring workers and Redis together.",
        )
    else:
        yield Finding("round trip", "good", f"{facts.round_trip_ms:.2f} ms")


def _time_outs(facts: Facts) -> Iterator[Finding]:
    idle_s = int(facts.config.get("timeout", "0"))
    if 0 < idle_s < 10:
        yield Finding(
            "time-outs",
            "bad",
            f"timeout {idle_s} cuts off players who wait for replies: CONFIG SET timeout 0.",
        )
    elif facts.config:
        yield Finding("time-outs", "good", "idle clients are kept")
    limit = facts.config.get("proto-max-bulk-len")
    if limit and int(limit) < 48 << 20:
        yield Finding(
            "time-outs",
            "warning",
            "proto-max-bulk-len is under 48 MB: a large model bundle cannot be promoted.",
        )


def _pool(facts: Facts) -> Iterator[Finding]:
    status = facts.status
    if not status.partitions:
        yield Finding("pool", "warning", "No pool has been here yet: start one with 'maze worker'.")
        return
    if not status.workers:
        yield Finding("pool", "bad", "No worker lives: start one with 'maze worker'.")
    unowned = [str(one.partition) for one in status.partitions if one.owner is None]
    if unowned:
        yield Finding("pool", "bad", f"Partitions {', '.join(unowned)} have no owner: see the workers' logs.")
    if not status.sum_holds:
        yield Finding("pool", "bad", "The sum does not hold: see 'maze status', and tell the developers.")
    if len(status.models) > 1:
        yield Finding(
            "pool", "warning", f"Several models answer: {', '.join(status.models)}. See 'maze models'."
        )
    versions = {worker.version for worker in status.workers}
    if versions - {__version__}:
        yield Finding(
            "pool",
            "warning",
            f"Workers run {', '.join(sorted(versions))}, this is {__version__}: finish the upgrade.",
        )
    if status.workers and not unowned and status.sum_holds:
        yield Finding(
            "pool",
            "good",
            f"{len(status.workers)} workers own {len(status.partitions)} partitions; the sum holds",
        )


def _metrics(facts: Facts) -> Iterator[Finding]:
    unreached = [one for one in facts.status.workers if one.worker not in facts.reached]
    if unreached:
        first = unreached[0]
        yield Finding(
            "metrics",
            "warning",
            f"Metrics of {len(unreached)} workers cannot be read from here, "
            f"{first.host}:{first.port} for one: start them with --metrics-host, or look at the firewall.",
        )
    elif facts.status.workers:
        yield Finding("metrics", "good", f"{len(facts.reached)} workers answer")


CHECKS: Final[tuple[Callable[[Facts], Iterator[Finding]], ...]] = (
    _version, _eviction, _memory, _persistence, _access, _clock, _round_trip, _time_outs, _pool, _metrics,
)  # fmt: skip
