"""What 10 thousand to 10 million players need: shards, workers, partitions, memory, network, money.

`python bench/capacity.py [--plot docs/scaling.svg] [--json]`

Arithmetic from measured costs, which are the constants below and options of the command. Prints a table.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict, dataclass
from typing import Any, Final

PLAYERS: Final = (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
RATES: Final = (15, 30)
MOST_PARTITIONS: Final = 1024


@dataclass(frozen=True, slots=True)
class Costs:
    """What was measured, and prices.

    Attributes:
        worker_frames_per_s: frames that one worker process answers on one core (bench/drain.py).
        shard_frames_per_s: frames that one server stores, delivers and publishes (`ops/advice.py`).
        headroom: share of both to plan with.
        frame_bytes: a frame in a stream, with its share of the entry.
        reply_bytes: a reply.
        retention_s: how long committed frames are kept.
        core_hour, gb_hour, egress_gb: money for a core, for a GB of memory, for a GB to the players.
    """

    worker_frames_per_s: float = 142_000
    shard_frames_per_s: float = 250_000
    headroom: float = 0.6
    frame_bytes: float = 300
    reply_bytes: float = 220
    retention_s: float = 60
    core_hour: float = 0.04
    gb_hour: float = 0.005
    egress_gb: float = 0.0


@dataclass(frozen=True, slots=True)
class Need:
    """The resources that a number of players needs.

    Attributes:
        frames_per_s: of all players.
        primaries: shards; each has one replica, which doubles cores and memory of the servers.
        workers: processes of one core each.
        partitions: a power of two, at least four per primary and two per worker.
        partition_load: share of one worker's planned capacity that the busiest partition takes.
        memory_gb: of all primaries, for retained frames.
        network_gbit: into the servers, out to the workers and out to the players, per primary.
        money_per_million_player_hours: cores and memory, replicas included.
        wall: the limit that one pool reaches here; empty if none.
    """

    players: int
    fps: int
    frames_per_s: float
    primaries: int
    workers: int
    partitions: int
    partition_load: float
    memory_gb: float
    network_gbit: float
    money_per_million_player_hours: float
    wall: str


def need(players: int, fps: int, costs: Costs) -> Need:
    """Return the resources that `players` at `fps` frames per second need."""
    rate = players * fps
    primaries = max(math.ceil(rate / (costs.shard_frames_per_s * costs.headroom)), 1)
    workers = max(math.ceil(rate / (costs.worker_frames_per_s * costs.headroom)), 1) + 1
    wanted = max(4 * primaries, 2 * workers, 16)
    partitions = min(1 << (wanted - 1).bit_length(), MOST_PARTITIONS)
    load = rate / partitions / (costs.worker_frames_per_s * costs.headroom)
    memory_gb = rate * costs.retention_s * costs.frame_bytes / 1e9
    gbit = rate * (2 * costs.frame_bytes + costs.reply_bytes) * 8 / 1e9 / primaries
    cores = workers + 2 * primaries
    egress = rate * costs.reply_bytes * 3600 / 1e9 * costs.egress_gb
    money = (cores * costs.core_hour + 2 * memory_gb * costs.gb_hour + egress) / players * 1e6
    wall = "partitions: one worker per partition is not enough" if load > 1 else ""
    return Need(
        players, fps, rate, primaries, workers, partitions, load, memory_gb, gbit, money, wall
    )  # fmt: skip


def most_players(fps: int, costs: Costs) -> int:
    """Return how many players the largest pool serves: 1,024 partitions, one worker each."""
    return int(MOST_PARTITIONS * costs.worker_frames_per_s * costs.headroom / fps)


def table(rows: list[Need]) -> str:
    """Return the rows as a table in Markdown."""
    names = (
        "players",
        "fps",
        "frames/s",
        "primaries",
        "workers",
        "partitions",
        "memory GB",
        "Gbit/s",
        "money",
    )
    head = f"| {' | '.join(names)} |"
    lines = [head, "|" + "---:|" * 9]
    for one in rows:
        cells = (
            f"{one.players:,}", one.fps, f"{one.frames_per_s:,.0f}", one.primaries, f"{one.workers:,}",
            f"{one.partitions:,}{' *' if one.wall else ''}",
            f"{one.memory_gb:,.1f}", f"{one.network_gbit:.2f}",
            f"{one.money_per_million_player_hours:.2f}",
        )  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def plot(rows: list[Need], path: str) -> None:
    """Draw servers and workers over players."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for fps, line in zip(RATES, ("-", "--"), strict=True):
        part = [one for one in rows if one.fps == fps]
        players = [one.players for one in part]
        axes.plot(players, [one.primaries for one in part], f"C0{line}", label=f"primaries, {fps} fps")
        axes.plot(players, [one.workers for one in part], f"C1{line}", label=f"workers, {fps} fps")
        axes.plot(players, [one.memory_gb for one in part], f"C2{line}", label=f"memory in GB, {fps} fps")
        axes.axvline(most_players(fps, Costs()), color="C3", linestyle=line, linewidth=1)
    axes.set(xscale="log", yscale="log", xlabel="players", title="What one pool needs")
    axes.text(most_players(30, Costs()), 1.2, " 1,024 partitions full", color="C3", ha="right", rotation=90)
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, metadata={"Date": None} if path.endswith(".svg") else None)


def main() -> None:
    """Compute and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--plot", help="write a plot to this file")
    options.add_argument("--json", action="store_true")
    defaults: dict[str, Any] = asdict(Costs())
    for name, value in defaults.items():
        options.add_argument(f"--{name.replace('_', '-')}", type=float, default=value)
    chosen = options.parse_args()
    costs = Costs(**{name: getattr(chosen, name) for name in defaults})
    rows = [need(players, fps, costs) for fps in RATES for players in PLAYERS]
    if chosen.plot:
        plot(rows, chosen.plot)
    if chosen.json:
        sys.stdout.write(json.dumps([asdict(one) for one in rows]) + "\n")
        return
    sys.stdout.write(table(rows) + "\n\n")
    for fps in RATES:
        sys.stdout.write(f"One pool serves at most {most_players(fps, costs):,} players at {fps} fps.\n")


if __name__ == "__main__":
    main()
