"""`maze status`: who owns what, what waits, and whether every frame is accounted for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gesture_maze.cli.options import DEFAULT_REDIS, AsJson, RedisUrl
from gesture_maze.cli.printing import print_json, print_line

if TYPE_CHECKING:
    from redis import Redis

    from gesture_maze.worker.redis.status import PartitionStatus, PoolStatus, StatusReader, WorkerStatus

Opt = typer.Option

ADVISE_S: Final = 2.0
"""Between the two looks from which advice is given."""

LOOKS: Final = 4
LOOK_AGAIN_S: Final = 0.4
"""In a hand-over frames wait without an owner for a few 100 ms: look again before crying wolf."""
QUIET_MS: Final = 3000
"""A worker that has been silent for this long (the default time to live of a lease) is presumed dead."""


def status(
    redis: RedisUrl = DEFAULT_REDIS,
    advise: Annotated[
        bool, Opt("--advise", help="Say how many workers are needed, after two seconds.")
    ] = False,
    sd: Annotated[
        bool, Opt("--sd", help="List the workers' metrics for Prometheus (file_sd, http_sd).")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show partitions, owners, epochs, lag, dead letters, workers, outcomes, and whether their sum comes out.

    Exit codes: 0 healthy, 1 the sum does not hold or frames wait in a partition without an owner, 2 no Redis.

    Example: [bold]maze status --redis redis://127.0.0.1:6379/0[/bold]
    """
    from gesture_maze.worker.redis.attach import attached
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
        for _ in range(LOOKS - 1):
            if found.healthy:
                break
            time.sleep(LOOK_AGAIN_S)
            found = reader.read()
    if as_json:
        print_json(as_dict(found))
    else:
        show(found)
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
    print_line(
        f"{load.frames_per_s:,.0f} frames/s arrive; {load.workers} workers are "
        f"{advice.utilisation:.0%} busy; "
        f"one should be given {advice.worker_frames_per_s:,.0f} frames/s at most."
    )
    for sentence in advice.sentences:
        print_line(sentence)


def _list_targets(reader: StatusReader) -> None:
    import socket

    from gesture_maze.ops.watch import targets

    print_json(targets(reader.read(), socket.gethostname()))


def as_dict(found: PoolStatus) -> dict[str, Any]:
    """The status as `--json` prints it; times in ms."""
    return {
        "healthy": found.healthy,
        "sum_holds": found.sum_holds,
        "partitions_without_owner": list(found.orphans),
        "server_ms": found.server_ms,
        "models": list(found.models),
        "frames": found.frames,
        "outcomes": found.outcomes,
        "lag": found.lag,
        "dead": found.dead,
        "workers": [_worker_dict(one) for one in found.workers],
        "partitions": [_partition_dict(one) for one in found.partitions],
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
        "lag": one.lag,
        "added": one.added,
        "length": one.length,
        "dead": one.dead,
        "counts": dict(one.counts),
        "entries_sum_holds": one.entries_sum_holds,
        "frames_sum_holds": one.frames_sum_holds,
    }


def show(found: PoolStatus) -> None:
    """Print the status for a person."""
    from rich.console import Console

    console = Console()
    if not found.partitions:
        console.print("No pool has been here yet: start one with 'maze worker'.")
        return
    console.print(_partition_table(found))
    console.print(_worker_table(found))
    words = "   ".join(f"{name} [bold]{count:,}[/bold]" for name, count in found.outcomes.items())
    console.print(f"[bold]{found.frames:,}[/bold] frames:   {words}")
    console.print(_verdict(found))


def _partition_table(found: PoolStatus) -> Any:
    from rich import box
    from rich.table import Table

    numbers_of = {worker.worker: f"#{number}" for number, worker in enumerate(found.workers, 1)}
    table = Table("partition", "owner", "epoch", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("lag", "entries", "frames", "answered", "shed", "dead"):
        table.add_column(column, justify="right")
    table.add_column("sum")
    for one in found.partitions:
        shed = sum(one.counts.get(name, 0) for name in ("stale", "superseded", "trimmed"))
        nobody = "[red]nobody[/red]" if one.lag else "[dim]nobody[/dim]"
        owner = numbers_of.get(one.owner, one.owner) if one.owner else nobody
        numbers = (
            one.lag,
            one.added,
            one.counts.get("frames", 0),
            one.counts.get("answered", 0),
            shed,
            one.dead,
        )
        table.add_row(
            str(one.partition),
            owner,
            str(one.epoch or "-"),
            *(f"{number:,}" for number in numbers),
            "holds" if one.sum_holds else "[red]DOES NOT HOLD[/red]",
        )
    return table


def _worker_table(found: PoolStatus) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("worker", "host", "pid", "metrics", "model", "version", "partitions", "heartbeat"):
        table.add_column(column, justify="right" if column in ("pid", "heartbeat") else "left")
    for number, one in enumerate(found.workers, 1):
        age = f"{one.silent_ms / 1000:.1f} s ago"
        table.add_row(
            f"#{number}",
            one.host,
            str(one.pid),
            f":{one.port}",
            one.model,
            one.version,
            f"{len(one.partitions)}: {ranges(one.partitions)}" if one.partitions else "0",
            f"[red]{age}[/red]" if one.silent_ms > QUIET_MS else age,
        )
    return table


def ranges(numbers: tuple[int, ...]) -> str:
    """Rising numbers in few words: 0-3, 5, 8-9."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _verdict(found: PoolStatus) -> str:
    if not found.sum_holds:
        wrong = ranges(tuple(one.partition for one in found.partitions if not one.sum_holds))
        return (
            f"[red bold]The sum does not hold[/red bold] in partitions {wrong}: frames lost or counted twice."
        )
    if found.orphans:
        return f"[red bold]Frames wait without an owner[/red bold] in partitions {ranges(found.orphans)}."
    return f"[green bold]The sum holds[/green bold]: one outcome per frame read; {found.lag:,} entries wait."
