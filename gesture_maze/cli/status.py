"""`maze status`: owners, lag, workers, and whether all frames are accounted for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gesture_maze.cli.options import DEFAULT_REDIS, AsJson, RedisUrl
from gesture_maze.cli.printing import cell, print_json, print_line, print_table, text_table
from gesture_maze.wire.printable import amount, ranges

if TYPE_CHECKING:
    from redis import Redis
    from rich.table import Table

    from gesture_maze.worker.redis.cluster.placement import Primary
    from gesture_maze.worker.redis.status import PartitionStatus, PoolStatus, StatusReader, WorkerStatus

Opt = typer.Option

ADVISE_S: Final = 2.0
"""Seconds between the two readings from which advice is given."""

READINGS: Final = 4
READ_AGAIN_S: Final = 0.4
"""During a hand-over frames wait without an owner for a few hundred ms: read again before reporting a
fault."""
COLUMNS: Final = {
    "answered": ("answered",),
    "shed": ("stale", "superseded"),
    "duplicate": ("duplicate",),
    "bad": ("rejected", "buried"),
}
"""Column of the table -> the outcomes that it counts. Each outcome of a frame is in exactly one of them."""
FRAME_OUTCOMES: Final = tuple(name for names in COLUMNS.values() for name in names)
QUIET_MS: Final = 3000
"""A worker without a heartbeat for this long (the default time to live of a lease) is shown in red."""


def status(
    redis: RedisUrl = DEFAULT_REDIS,
    advise: Annotated[
        bool, Opt("--advise", help="Measure for two seconds, and print how many workers are needed.")
    ] = False,
    sd: Annotated[
        bool, Opt("--sd", help="List the workers' metrics for Prometheus (file_sd, http_sd).")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show partitions, owners, lag, dead letters and workers, and whether all frames are accounted for.

    Per partition, entries = read + trimmed + lag, and frames = answered + shed + duplicate + bad; shed are
    stale and superseded frames, bad are rejected and buried ones. --json has each outcome, and the epochs.
    Exit codes: 0 healthy, 1 frames are not accounted for or wait in a partition without an owner, 2 no Redis.

    Example: [bold]maze status --redis redis://127.0.0.1:6379/0[/bold]
    """
    from gesture_maze.worker.redis.attach import attached
    from gesture_maze.worker.redis.cluster.placement import primaries_of
    from gesture_maze.worker.redis.status import StatusReader

    with attached(redis) as client:
        if advise:
            _advise(client, as_json=as_json)
            return
        reader = StatusReader(client)
        if sd:
            _list_targets(reader)
            return
        found = reader.read()
        for _ in range(READINGS - 1):
            if found.healthy:
                break
            time.sleep(READ_AGAIN_S)
            found = reader.read()
        primaries = primaries_of(client, len(found.partitions))
    if as_json:
        print_json(as_dict(found, primaries))
    else:
        show(found, primaries)
    raise typer.Exit(0 if found.healthy else 1)


def _advise(client: Redis, *, as_json: bool) -> None:
    from dataclasses import asdict

    from gesture_maze.ops.advice import advise, measure

    load = measure(client, ADVISE_S)
    advice = advise(load)
    if as_json:
        print_json(
            {**asdict(load), **asdict(advice), "utilisation": advice.utilisation if load.workers else None}
        )
        return
    workers = "1 worker is" if load.workers == 1 else f"{load.workers} workers are"
    print_line(
        f"{load.frames_per_s:,.0f} frames/s arrive; {workers} {advice.utilisation:.0%} busy; "
        f"plan with at most {advice.worker_frames_per_s:,.0f} frames/s per worker."
    )
    for sentence in advice.sentences:
        print_line(sentence)


def _list_targets(reader: StatusReader) -> None:
    import socket

    from gesture_maze.ops.watch import targets

    print_json(targets(reader.read(), socket.gethostname()))


def as_dict(found: PoolStatus, primaries: tuple[Primary, ...] = ()) -> dict[str, Any]:
    """Return the status as `--json` prints it; times in ms. `primaries` are those of a cluster."""
    return {
        "healthy": found.healthy,
        "all_accounted_for": found.all_accounted_for,
        "partitions_without_owner": list(found.without_owner),
        "server_ms": found.server_ms,
        "models": list(found.models),
        "frames": found.frames,
        "outcomes": found.outcomes,
        "lag": found.lag,
        "dead": found.dead,
        "workers": [_worker_dict(one) for one in found.workers],
        "partitions": [_partition_dict(one) for one in found.partitions],
        "primaries": [
            {"address": one.address, "partitions": list(one.partitions), "pool_wide": one.pool_wide}
            for one in primaries
        ],
    }


def _worker_dict(one: WorkerStatus) -> dict[str, Any]:
    return {
        "worker": one.worker,
        "host": one.host,
        "pid": one.pid,
        "metrics_port": one.port,
        "model": one.model,
        "version": one.version,
        "heartbeat_age_ms": one.silent_ms,
        "partitions": list(one.partitions),
    }


def _partition_dict(one: PartitionStatus) -> dict[str, Any]:
    return {
        "partition": one.partition,
        "owner": one.owner,
        "epoch": one.epoch,
        "lease_ms": one.lease_ms,
        "away": one.away,
        "lag": one.lag,
        "added": one.added,
        "length": one.length,
        "dead": one.dead,
        "counts": dict(one.counts),
        "entries_accounted_for": one.entries_accounted_for,
        "frames_accounted_for": one.frames_accounted_for,
    }


def show(found: PoolStatus, primaries: tuple[Primary, ...] = ()) -> None:
    """Print the status for a person. `primaries` are those of a cluster."""
    if not found.partitions:
        print_line("No pool has used this Redis yet: start one with 'maze worker'.")
        return
    print_table(_partition_table(found))
    print_table(_worker_table(found))
    if primaries:
        print_table(_primary_table(found, primaries))
    frames = " + ".join(f"{found.outcomes[name]:,} {name}" for name in FRAME_OUTCOMES)
    print_line(f"{amount(found.frames, 'frame')} = {frames}")
    if found.outcomes["trimmed"]:
        print_line(
            f"trimmed by another program, unread: {amount(found.outcomes['trimmed'], 'entry', 'entries')}"
        )
    print_line(_verdict(found))


def _partition_table(found: PoolStatus) -> Table:
    """Return a table with one row per partition, in which frames = answered + shed + duplicate + bad."""
    numbers_of = {worker.worker: f"#{number}" for number, worker in enumerate(found.workers, 1)}
    trimming = ("trimmed",) if found.outcomes["trimmed"] else ()
    numeric = ("lag", "entries", *trimming, "frames", *COLUMNS, "dead")
    table = text_table(("p", "owner", *numeric, "accounting"), whole=("p",), right=("p", *numeric))
    for one in found.partitions:
        if one.away:
            owner = cell("away", "red")
        elif one.owner is None:
            owner = cell("none", "red" if one.lag else "dim")
        else:
            owner = cell(numbers_of.get(one.owner, one.owner))
        trimmed = [one.counts.get(name, 0) for name in trimming]
        counts = [sum(one.counts.get(name, 0) for name in names) for names in COLUMNS.values()]
        numbers = (one.lag, one.added, *trimmed, one.counts.get("frames", 0), *counts, one.dead)
        verdict = cell("ok") if one.all_accounted_for else cell("error", "red")
        table.add_row(cell(one.partition), owner, *(cell(f"{number:,}") for number in numbers), verdict)
    return table


def _worker_table(found: PoolStatus) -> Table:
    columns = ("#", "worker", "pid", "metrics", "model", "version", "owns", "beat")
    table = text_table(columns, whole=("#", "worker", "pid", "model"), right=("pid", "beat"))
    for number, one in enumerate(found.workers, 1):
        owned = f"{len(one.partitions)}: {ranges(one.partitions)}" if one.partitions else "0"
        cells = (f"#{number}", one.worker, one.pid, f"{one.host}:{one.port}", one.model, one.version, owned)
        age = cell(f"{one.silent_ms / 1000:.1f} s", "red" if one.silent_ms > QUIET_MS else "")
        table.add_row(*map(cell, cells), age)
    return table


def _primary_table(found: PoolStatus, primaries: tuple[Primary, ...]) -> Table:
    numeric = ("count", "entries", "lag")
    table = text_table(("primary", "partitions", *numeric, "keys of the pool"), right=numeric)
    for one in primaries:
        there = [found.partitions[number] for number in one.partitions]
        numbers = (len(there), sum(part.added for part in there), sum(part.lag for part in there))
        table.add_row(
            cell(one.address),
            cell(ranges(one.partitions) or "-"),
            *(cell(f"{number:,}") for number in numbers),
            cell("yes" if one.pool_wide else ""),
        )
    return table


def _verdict(found: PoolStatus) -> str:
    if found.away:
        return f"error: not counted, because their node is away: partitions {ranges(found.away)}"
    if not found.all_accounted_for:
        wrong = ranges(tuple(one.partition for one in found.partitions if not one.all_accounted_for))
        return f"error: frames were lost or counted twice in partitions {wrong}"
    if found.without_owner:
        return f"error: frames wait in partitions without an owner: {ranges(found.without_owner)}"
    return f"ok: all frames are accounted for; lag {amount(found.lag, 'entry', 'entries')}"
