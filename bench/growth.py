"""How costs grow, as one picture each: partitions owned, sessions, batch size, width of the network.

`python bench/growth.py [--only partitions sessions batch width] [--rounds 4] [--passes 10] [--out PATH]`

Every point is the fastest of several passes, in several rounds over all points, in CPU time of one thread
(wall time for small batches), so that a busy machine matters little. The partitions are measured with a real
server, everything else without one. Prints one JSON object; draws with matplotlib.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import redis
import stages
from servers import redis_server

from gesture_maze.models.features import COORDINATES, FEATURES
from gesture_maze.models.plain import PlainNetwork
from gesture_maze.wire import keys
from gesture_maze.worker.redis.client import connect
from gesture_maze.worker.redis.streams import StreamReader

Curves = dict[str, list[float]]
AXES = {
    "partitions": ("partitions owned", "µs per read of one frame"),
    "sessions": ("sessions known", "µs or ms"),
    "batch": ("frames in a batch", "µs per frame"),
    "width": ("units of the hidden layer", "µs per frame"),
}


def fastest(run: Callable[[], object], passes: int, clock: Callable[[], float] = time.thread_time) -> float:
    """Return the seconds of the fastest of several calls."""
    found = []
    for _ in range(passes):
        begin = clock()
        run()
        found.append(clock() - begin)
    return min(found)


def partitions(passes: int) -> tuple[list[int], Curves]:
    """Return the cost of one read of one frame by the number of partitions read, in worker and server."""
    counts = [1, 4, 16, 64, 256, 1024]
    curves: Curves = {"worker: request and answer": [], "server: XREAD": []}
    with redis_server() as url:
        client, wake = redis.Redis.from_url(url), os.pipe()[0]
        for number in range(max(counts)):
            client.xadd(keys.frames_key(number), {"s": "x"}, id="1-1")
        for count in counts:
            reader = StreamReader(connect(url, "growth"))
            positions = dict.fromkeys(range(count), b"1-1") | {0: b"0-0"}

            def read(reader: StreamReader = reader, positions: dict[int, bytes] = positions) -> None:
                reader.request(dict(positions), 1, 1000)
                reader.wait(1.0, (wake,))
                reader.receive()

            read()
            curves["worker: request and answer"].append(fastest(read, 10 * passes) * 1e6)
            spent_us = []
            for _ in range(2 * passes):
                client.config_resetstat()
                read()
                spent_us.append(client.info("commandstats")["cmdstat_xread"]["usec"])
            curves["server: XREAD"].append(min(spent_us))
            reader.close()
    return counts, curves


def sessions(passes: int) -> tuple[list[int], Curves]:
    """Return the cost of a frame, and of forgetting sessions, by the sessions that are known."""
    counts = [16, 100, 1000, 10_000, 100_000]
    curves: Curves = {"µs per frame, batches of 512": [], "ms to look for idle sessions, 1 of 16": []}
    for count in counts:
        batches = max(-(-count // 512), 4)
        raws = stages.answers("ticks", 512, min(batches, 8), sessions=count)
        bench = stages.Bench()
        for number in range(count):  # all are known from the start
            name = f"player-{number}".encode()
            session = bench.partitions[keys.partition_of(name, stages.PARTITIONS)].sessions.open(name)
            session.active_ms = stages.NOW_MS
        best = [float("inf")] * len(raws)
        for _ in range(passes):
            for one in bench.partitions.values():
                for session in one.sessions.by_id.values():
                    session.seq = -1
            for at, raw in enumerate(raws):
                seconds, frames = bench.timed(raw, time.thread_time)
                best[at] = min(best[at], sum(seconds) / frames * 1e6)
        curves["µs per frame, batches of 512"].append(float(np.median(best)))
        table = bench.partitions[0].sessions
        sweep_s = fastest(partial(table.forget_older, 0), passes)
        curves["ms to look for idle sessions, 1 of 16"].append(sweep_s * 1e3)
    return counts, curves


def batch(passes: int) -> tuple[list[int], Curves]:
    """Return the cost of a frame by the size of the batch, for single frames and ticks."""
    counts = [1, 4, 16, 64, 256, 1024, 4096]
    curves: Curves = {"single frames": [], "ticks of up to 32": []}
    for count in counts:
        for name, kind in (("single frames", "single"), ("ticks of up to 32", "ticks")):
            raws = stages.answers(kind, count, 4 if count > 64 else 50)
            curves[name].append(float(stages.costs(raws, passes).sum()))
    return counts, curves


def width(passes: int) -> tuple[list[int], Curves]:
    """Return the cost of the network in numpy by its width."""
    counts = [16, 64, 128, 192, 256, 384, 512, 1024]
    rng = np.random.default_rng(1)
    linear = rng.normal(size=(COORDINATES + 4 + 2 * (FEATURES - COORDINATES), 63)).astype(np.float32)
    hands, aspect = rng.random((256, 21, 3), np.float32), np.ones(256, np.float32)
    curves: Curves = {"one hand of 256": [], "one hand alone": []}
    for count in counts:
        hidden = rng.normal(size=(count + 1, FEATURES + 1)).astype(np.float32)
        network = PlainNetwork(linear, hidden, rng.normal(size=(19, count + 1)).astype(np.float32))
        many_s = fastest(partial(network.classify, hands, aspect), 10 * passes)
        one_s = fastest(partial(network.classify, hands[:1], aspect[:1]), 20 * passes)
        curves["one hand of 256"].append(many_s / 256 * 1e6)
        curves["one hand alone"].append(one_s * 1e6)
    return counts, curves


MEASURES = {"partitions": partitions, "sessions": sessions, "batch": batch, "width": width}


def least(rounds: list[tuple[list[int], Curves]]) -> tuple[list[int], Curves]:
    """Return the least of each value over several rounds of the same measure."""
    counts, first = rounds[0]
    return counts, {
        label: np.min([curves[label] for _, curves in rounds], axis=0).tolist() for label in first
    }


def draw(name: str, counts: list[int], curves: Curves, out: Path) -> None:
    """Draw the curves of one measure, both axes logarithmic."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    mpl.rcParams.update({"svg.hashsalt": "growth", "svg.fonttype": "none"})
    figure, axes = pyplot.subplots(figsize=(5.2, 3.2), layout="constrained")
    for label, values in curves.items():
        axes.loglog(counts, values, marker="o", markersize=4, label=label)
    across, upward = AXES[name]
    axes.set(xlabel=across, ylabel=upward, xticks=counts, xticklabels=[f"{count:,}" for count in counts])
    axes.minorticks_off()
    every = [value for values in curves.values() for value in values]
    ticks = [tick for power in range(-4, 5) for tick in (10.0**power, 3 * 10.0**power)]
    shown = [tick for tick in ticks if min(every) / 3 <= tick <= 3 * max(every)]
    axes.set(yticks=shown, yticklabels=[f"{tick:g}" for tick in shown])
    axes.tick_params(axis="x", labelrotation=30)
    axes.grid(alpha=0.3)
    axes.legend(loc="best")
    figure.savefig(out / f"growth-{name}.svg", metadata={"Date": None})
    pyplot.close(figure)


def main() -> None:
    """Run, draw and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--only", nargs="+", default=list(MEASURES), choices=MEASURES)
    options.add_argument("--passes", type=int, default=10)
    options.add_argument("--rounds", type=int, default=4)
    options.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "pictures")
    chosen = options.parse_args()
    gc.collect()
    gc.freeze()
    gc.disable()
    report = {}
    for name in chosen.only:
        print(name, file=sys.stderr)
        counts, curves = least([MEASURES[name](chosen.passes) for _ in range(chosen.rounds)])
        draw(name, counts, curves, chosen.out)
        rounded = {label: [round(value, 3) for value in values] for label, values in curves.items()}
        report[name] = {"at": counts, **rounded}
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
