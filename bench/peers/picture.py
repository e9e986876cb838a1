"""Draw the pool beside the peers: throughput by `run.py`, latency by `rates.py`.

`python bench/peers/picture.py --throughput FILE --latency FILE [--out docs/pictures/peers.svg]`

Both programs print the JSON that this one reads. Draws with matplotlib.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot

Figures = dict[str, dict[str, dict[str, float]]]
"""Name of a worker -> name of a figure -> its median, least and largest."""

NAMES = {
    "consumer_group": "redis-py, consumer group", "faststream_batch": "FastStream", "streaq_tasks": "streaQ",
    "docket_tasks": "docket", "rq_jobs": "RQ", "celery_tasks": "Celery", "fastapi_predict": "FastAPI",
    "mosec_predict": "mosec",
}  # fmt: skip


def color(name: str) -> str:
    """Return the color of a worker: the pool's, or that of all peers."""
    return "tab:blue" if name.startswith("pool") else "tab:gray"


def draw_throughput(axes: Any, found: Figures) -> None:
    """Draw frames/s as bars, the most on top, with least and largest."""
    rising = sorted(found, key=lambda name: found[name]["frames_per_s"]["median"])
    for row, name in enumerate(rising):
        rate = found[name]["frames_per_s"]
        spread = [[rate["median"] - rate["min"]], [rate["max"] - rate["median"]]]
        axes.barh(row, rate["median"], xerr=spread, color=color(name), ecolor="black", capsize=2)
    axes.set(xscale="log", xlabel="frames/s of one worker process", title="Full queues")
    axes.set_yticks(range(len(rising)), [NAMES.get(name, name) for name in rising])
    axes.grid(axis="x", alpha=0.3)


def draw_latency(axes: Any, found: Figures) -> None:
    """Draw a line from p50 to p99 for each worker and rate, of medians."""
    rates = dict(zip(sorted({_rate(one) for one in found}), "os^", strict=False))
    least: dict[str, float] = {}
    for one, figures in found.items():
        name, p50_ms = one.partition(" at ")[0], figures["p50_ms"]["median"]
        least[name] = min(p50_ms, least.get(name, p50_ms))
    falling = sorted(least, key=least.__getitem__, reverse=True)
    for one, figures in found.items():
        name, rate = one.partition(" at ")[0], _rate(one)
        row = falling.index(name) + 0.3 * (0.5 - sorted(rates).index(rate) / max(len(rates) - 1, 1))
        ends = [figures["p50_ms"]["median"], figures["p99_ms"]["median"]]
        axes.plot(ends, [row, row], color=color(name), marker=rates[rate], markersize=5)
    for rate, marker in rates.items():
        axes.plot([], [], color="black", marker=marker, markersize=5, label=f"{rate:,} frames/s")
    axes.set(xscale="log", xlabel="ms, from p50 to p99", title="Random gaps")
    axes.set_yticks(range(len(falling)), [NAMES.get(name, name) for name in falling])
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="best")


def _rate(one: str) -> int:
    """Return the rate of an entry like `pool at 500/s`."""
    return int(one.partition(" at ")[2].removesuffix("/s"))


def main() -> None:
    """Read and draw."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--throughput", type=Path, required=True)
    options.add_argument("--latency", type=Path, required=True)
    options.add_argument("--out", type=Path, default=Path(__file__).parents[2] / "docs/pictures/peers.svg")
    chosen = options.parse_args()
    mpl.rcParams.update({"svg.hashsalt": "peers", "svg.fonttype": "none"})
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10.4, 3.6), layout="constrained")
    draw_throughput(left, json.loads(chosen.throughput.read_text()))
    draw_latency(right, json.loads(chosen.latency.read_text()))
    figure.savefig(chosen.out, metadata={"Date": None})


if __name__ == "__main__":
    main()
