"""Draw the data of every panel into docs/pictures: python -m tests.support.draw_dashboards

A pool is observed by a real Prometheus for a while; a worker is killed on the way, so that there is something
to see. The pictures show the panels' own queries, drawn plainly: they are not Grafana's.
"""

from __future__ import annotations

import json
import signal
import tempfile
import time
from os import kill
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from tests.support.bare_machine import observed_pool
from tests.support.observed import ROOT, Observed, fetch

mpl.use("Agg")
from matplotlib import pyplot as plt

SECONDS = 75
COLUMNS = 3


def draw(observed: Observed, name: str, begin_s: float, end_s: float) -> None:
    """Draw one dashboard's panels, three in a row."""
    board = json.loads((ROOT / f"compose/grafana/dashboards/{name}.json").read_text())
    lines = -(-len(board["panels"]) // COLUMNS)
    figure, axes = plt.subplots(lines, COLUMNS, figsize=(14, 2.7 * lines), squeeze=False)
    for axis, panel in zip(axes.flat, board["panels"], strict=False):
        axis.set_title(panel["title"], fontsize=8)
        axis.tick_params(labelsize=6)
        heat = panel["type"] == "heatmap"
        for target in panel["targets"]:
            found = observed.range(target["expr"], begin_s, end_s, 1)
            (_heat if heat else _lines)(axis, found, target["legendFormat"], begin_s)
        if not heat:
            axis.set_ylim(bottom=min(0.0, axis.get_ylim()[0]))
        if not heat and len(axis.get_legend_handles_labels()[1]) <= 8:
            axis.legend(fontsize=5, loc="best")
    for axis in axes.flat[len(board["panels"]) :]:
        axis.axis("off")
    figure.suptitle(f"{board['title']} (seconds on the x axis; a worker is killed on the way)", fontsize=10)
    figure.tight_layout()
    figure.savefig(ROOT / f"docs/pictures/{name}.png", dpi=80)
    plt.close(figure)


def _lines(axis: Any, found: list[Any], legend: str, begin_s: float) -> None:
    for series in found:
        points = np.array([[float(at), float(value)] for at, value in series["values"]])
        label = legend
        for word, value in series["metric"].items():
            label = label.replace("{{" + word + "}}", value)
        axis.plot(points[:, 0] - begin_s, points[:, 1], linewidth=1, label=label)


def _heat(axis: Any, found: list[Any], _legend: str, begin_s: float) -> None:
    found.sort(key=lambda series: float(series["metric"]["le"]))
    times = sorted({at for series in found for at, _ in series["values"]})
    rows = np.array(
        [[dict(map(tuple, series["values"])).get(at, 0) for at in times] for series in found], float
    )
    counts = np.diff(rows, axis=0, prepend=0)  # the buckets are cumulative
    axis.pcolormesh(np.array(times) - begin_s, np.arange(len(found)), counts, cmap="magma", shading="nearest")
    axis.set_yticks(range(len(found)), [series["metric"]["le"] for series in found])


def main() -> None:
    """Observe a pool and draw its dashboards."""
    (ROOT / "docs/pictures").mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        observed_pool(Path(folder), players_s=SECONDS + 60) as observed,
    ):
        begin_s = time.time()
        time.sleep(SECONDS / 2)
        import redis

        first = next(iter(redis.Redis.from_url(observed.redis).hvals("{maze}:workers:info")))
        kill(json.loads(first)["pid"], signal.SIGKILL)
        time.sleep(SECONDS / 2)
        for name in ("overview", "gestures", "workers", "redis"):
            draw(observed, name, begin_s, time.time())
        assert fetch(f"{observed.watch}/sd")


if __name__ == "__main__":
    main()
