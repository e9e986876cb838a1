"""Generate the JSON of the dashboards from the questions they answer: python compose/grafana/make.py

A panel is a question, one or more queries, and the way to show the answer. Tests hold that the files are up
to date, that every metric exists, and that every query has data that moved on a running pool.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parent / "dashboards"
SOURCE: Final = {"type": "prometheus", "uid": "prometheus"}
WIDTH: Final = 24
HEIGHT: Final = 8
LATENCY: Final = "sum by (le) (rate(maze_reply_latency_seconds_bucket[1m]))"


@dataclass(frozen=True)
class Panel:
    """A question and the queries that answer it.

    Attributes:
        title: the question.
        queries: (PromQL, legend).
        unit: of Grafana: `s`, `percentunit`, `reqps`, `bytes`, `short`.
        kind: `timeseries`, `stat`, `heatmap`, `bargauge` or `table`.
        width: columns of 24.
        stacked: areas on top of each other.
    """

    title: str
    queries: Sequence[tuple[str, str]]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 12
    stacked: bool = False


OVERVIEW: Final = (
    Panel(
        "Does every partition have an owner?",
        [("sum(maze_pool_owned)", "owned"), ("count(maze_pool_owned)", "all")],
        kind="stat",
        width=6,
    ),
    Panel(
        "Which model answers, on how many workers?",
        [("maze_pool_workers", "{{model}}")],
        kind="stat",
        width=6,
    ),
    Panel(
        "Is every frame accounted for?", [("maze_pool_all_accounted_for", "1 = yes")], kind="stat", width=6
    ),
    Panel(
        "How fast does a synthetic player get its replies?",
        [("job:maze_heartbeat_seconds:p99_rate1m", "p99")],
        "s",
        "stat",
        6,
    ),
    Panel(
        "How many frames per second end in which outcome?",
        [("outcome:maze_frames:rate1m", "{{outcome}}")],
        "reqps",
        stacked=True,
    ),
    Panel("How long does a player wait for a reply?", [(LATENCY, "{{le}}")], "s", "heatmap"),
    Panel(
        "How long do most and almost all replies take?",
        [
            ("job:maze_reply_latency_seconds:p50_rate1m", "p50"),
            ("job:maze_reply_latency_seconds:p99_rate1m", "p99"),
        ],
        "s",
    ),
    Panel(
        "What share of the frames is shed?",
        [("job:maze_pool_frames_shed:ratio_rate5m", "shed")],
        "percentunit",
    ),
    Panel("How far behind is the pool?", [("sum(maze_pool_waiting_entries)", "waiting entries")]),
    Panel("How old is the oldest waiting frame?", [("job:maze_pool_waiting_seconds:max", "oldest")], "s"),
    Panel(
        "How many partitions does each worker own?", [("maze_partitions_owned", "{{instance}}")], stacked=True
    ),
    Panel(
        "Are frames rejected, and how many dead letters are kept?",
        [
            ('sum(rate(maze_pool_frames_total{outcome=~"rejected|buried"}[1m]))', "rejected or buried"),
            ("sum(maze_pool_dead_letters)", "dead letters"),
        ],
    ),
)

GESTURES: Final = (
    Panel(
        "What do players show?",
        [("sum by (gesture) (rate(predicted_gesture_count_total[1m]))", "{{gesture}}")],
        "reqps",
        stacked=True,
        width=24,
    ),
    Panel(
        "What share does each gesture have in the last 5 minutes?",
        [("sort_desc(gesture:predicted_gesture_count:share_rate5m)", "{{gesture}}")],
        "percentunit",
        "bargauge",
    ),
    Panel(
        "How confident is the model?",
        [("sum by (le) (rate(maze_confidence_bucket[1m]))", "{{le}}")],
        "percentunit",
        "heatmap",
    ),
    Panel(
        "How confident is it of the median hand?",
        [
            ("histogram_quantile(0.5, sum by (le) (rate(maze_confidence_bucket[5m])))", "median"),
            ("histogram_quantile(0.1, sum by (le) (rate(maze_confidence_bucket[5m])))", "lowest tenth"),
        ],
        "percentunit",
    ),
    Panel(
        "Does the output drift from the baseline?",
        [("max by (of) (maze_drift_psi)", "PSI of {{of}}")],
    ),
    Panel(
        "What share of the hands shows no gesture?",
        [('gesture:predicted_gesture_count:share_rate5m{gesture="no_gesture"}', "no_gesture")],
        "percentunit",
    ),
    Panel(
        "Does the challenger agree?",
        [("sum by (result) (rate(maze_shadow_frames_total[1m]))", "{{result}}")],
        "reqps",
        stacked=True,
    ),
)

WORKERS: Final = (
    Panel(
        "How many frames does each worker answer?",
        [('sum by (instance) (rate(maze_frames_total{outcome="answered"}[1m]))', "{{instance}}")],
        "reqps",
        stacked=True,
    ),
    Panel(
        "How long do each worker's replies take (p99)?",
        [
            (
                "histogram_quantile(0.99,"
                " sum by (instance, le) (rate(maze_reply_latency_seconds_bucket[1m])))",
                "{{instance}}",
            )
        ],
        "s",
    ),
    Panel(
        "How busy is each worker's model?",
        [("sum by (instance) (rate(maze_inference_seconds_sum[1m]))", "{{instance}}")],
        "percentunit",
    ),
    Panel(
        "What does a frame cost the model?",
        [("job:maze_inference_seconds_per_frame:rate5m", "seconds per frame")],
        "s",
    ),
    Panel(
        "How many frames are in a batch?",
        [
            (
                "sum by (instance) (rate(maze_batch_frames_sum[1m]))"
                " / sum by (instance) (rate(maze_batch_frames_count[1m]) > 0)",
                "{{instance}}",
            )
        ],
    ),
    Panel("How far behind is each partition?", [("max by (partition) (maze_lag_entries)", "{{partition}}")]),
    Panel(
        "How often were partitions taken over, and why?",
        [("sum by (cause) (maze_takeovers_total)", "{{cause}}")],
    ),
    Panel("Were commits fenced?", [("sum by (by) (maze_fenced_commits_total)", "by {{by}}")]),
    Panel(
        "Which workers have errors from Redis?",
        [("sum by (instance, operation) (maze_redis_errors_total)", "{{instance}} {{operation}}")],
    ),
    Panel(
        "Which model does each worker use?", [("maze_model_info", "{{instance}} {{version}}")], kind="table"
    ),
)

REDIS: Final = (
    Panel("Does Redis answer?", [("redis_up", "{{instance}}: 1 = yes")], kind="stat", width=6),
    Panel(
        "How full is its memory?",
        [("redis_memory_used_bytes / (redis_memory_max_bytes > 0)", "{{instance}}")],
        "percentunit",
        "stat",
        6,
    ),
    Panel(
        "How many clients are connected?", [("redis_connected_clients", "{{instance}}")], kind="stat", width=6
    ),
    Panel(
        "Were connections rejected?",
        [("redis_rejected_connections_total", "{{instance}}")],
        kind="stat",
        width=6,
    ),
    Panel(
        "How much memory does it use?",
        [("redis_memory_used_bytes", "{{instance}} used"), ("redis_memory_max_bytes", "{{instance}} limit")],
        "bytes",
    ),
    Panel(
        "How many commands does it serve?",
        [("rate(redis_commands_processed_total[1m])", "{{instance}}")],
        "reqps",
    ),
    Panel(
        "How much of a core does it take?",
        [("rate(redis_cpu_sys_seconds_total[1m]) + rate(redis_cpu_user_seconds_total[1m])", "{{instance}}")],
        "percentunit",
    ),
    Panel(
        "How much data goes in and out?",
        [
            ("rate(redis_net_input_bytes_total[1m])", "{{instance}} in"),
            ("rate(redis_net_output_bytes_total[1m])", "{{instance}} out"),
        ],
        "Bps",
    ),
    Panel("How long are the streams?", [("redis_stream_length", "{{stream}}")]),
    Panel("Were keys evicted?", [("redis_evicted_keys_total", "{{instance}} (must stay 0)")]),
)

CLUSTER: Final = (
    Panel(
        "How many slots are served, of 16,384?",
        [("min(redis_cluster_slots_ok)", "served"), ("max(redis_cluster_slots_fail)", "failed")],
        kind="stat",
        width=8,
    ),
    Panel(
        "How many primaries have slots, of how many nodes?",
        [("max(redis_cluster_size)", "primaries"), ("max(redis_cluster_known_nodes)", "nodes")],
        kind="stat",
        width=8,
    ),
    Panel(
        "Which node is a primary, which a replica?",
        [("redis_instance_info and on (instance) redis_cluster_enabled == 1", "{{instance}} {{role}}")],
        kind="table",
        width=8,
    ),
    Panel("How many replicas has each primary?", [("redis_connected_slaves", "{{instance}}")]),
    Panel(
        "How far is each replica behind its primary?",
        [("redis_connected_slave_lag_seconds", "{{instance}} to {{slave_ip}}:{{slave_port}}")],
        "s",
    ),
    Panel(
        "How much of a core does each node take?",
        [
            (
                "rate(redis_cpu_sys_seconds_total[1m]) + rate(redis_cpu_user_seconds_total[1m])"
                " and on (instance) redis_cluster_enabled == 1",
                "{{instance}}",
            )
        ],
        "percentunit",
    ),
    Panel(
        "Does one primary serve more commands than the others?",
        [
            (
                "rate(redis_commands_processed_total[1m]) and on (instance)"
                ' redis_instance_info{role="master"} and on (instance) redis_cluster_enabled == 1',
                "{{instance}}",
            )
        ],
        "reqps",
        stacked=True,
    ),
)

DASHBOARDS: Final = {
    "overview": ("Overview", OVERVIEW),
    "gestures": ("Gestures", GESTURES),
    "workers": ("Workers", WORKERS),
    "redis": ("Redis", REDIS),
    "cluster": ("Cluster", CLUSTER),
}


def dashboard(uid: str, title: str, panels: Sequence[Panel]) -> dict[str, Any]:
    """Return a dashboard in Grafana's format."""
    shown, x, y = [], 0, 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > WIDTH:
            x, y = 0, y + HEIGHT
        shown.append(_panel(number, panel, {"x": x, "y": y, "w": panel.width, "h": HEIGHT}))
        x += panel.width
    return {
        "id": None,
        "uid": f"maze-{uid}",
        "title": f"Maze: {title}",
        "tags": ["gesture-maze"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "timezone": "browser",
        "links": [{"type": "dashboards", "tags": ["gesture-maze"], "title": "All", "asDropdown": False}],
        "panels": shown,
    }


def _panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    heat, momentary = panel.kind == "heatmap", panel.kind in ("stat", "bargauge", "table")
    custom = {"stacking": {"mode": "normal"}, "fillOpacity": 40} if panel.stacked else {}
    targets = [
        {
            "refId": chr(ord("A") + index),
            "datasource": SOURCE,
            "expr": expression,
            "legendFormat": legend,
            "format": "heatmap" if heat else "table" if panel.kind == "table" else "time_series",
            "instant": momentary,
            "range": not momentary,
        }
        for index, (expression, legend) in enumerate(panel.queries)
    ]
    return {
        "id": number,
        "title": panel.title,
        "type": panel.kind,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "custom": custom}, "overrides": []},
        "options": {"calculate": False, "yAxis": {"unit": panel.unit}} if heat else {},
        "targets": targets,
    }


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(exist_ok=True)
    for uid, (title, panels) in DASHBOARDS.items():
        text = json.dumps(dashboard(uid, title, panels), indent=1)
        (FOLDER / f"{uid}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
