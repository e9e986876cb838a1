"""The metrics that the code declares, and those that an expression names."""

from __future__ import annotations

import re
from functools import cache

from prometheus_client import CollectorRegistry

from gesture_maze.gateway.metrics import Metrics as GatewayMetrics
from gesture_maze.ops.watch import Pool
from gesture_maze.worker.metrics import Metrics
from tests.support.observed import ROOT

REDIS_EXPORTER = {
    "redis_up", "redis_memory_used_bytes", "redis_memory_max_bytes", "redis_connected_clients",
    "redis_commands_processed_total", "redis_commands_total", "redis_stream_length",
    "redis_uptime_in_seconds",
    "redis_net_input_bytes_total", "redis_net_output_bytes_total", "redis_rejected_connections_total",
    "redis_cpu_sys_seconds_total", "redis_cpu_user_seconds_total", "redis_rdb_last_bgsave_status",
    "redis_aof_enabled", "redis_aof_last_write_status", "redis_blocked_clients", "redis_evicted_keys_total",
    "redis_latency_spike_duration_seconds", "redis_instance_info", "redis_connected_slaves",
    "redis_connected_slave_lag_seconds", "redis_cluster_enabled", "redis_cluster_slots_ok",
    "redis_cluster_slots_fail", "redis_cluster_size", "redis_cluster_known_nodes",
}  # fmt: skip
"""The metrics of redis_exporter that this project uses."""

NAME = re.compile(r"(?<![\w:.])(?:[a-z]+:)?(?:maze_|redis_|model_|predicted_|up\b)[a-z0-9_]*(?::[a-z0-9_]+)?")
STRINGS = re.compile(r'"[^"]*"')


def metrics_in(expression: str) -> set[str]:
    """Return the names of metrics in a PromQL expression."""
    bare = STRINGS.sub('""', expression)
    bare = re.sub(r"\b(by|on|ignoring|without|group_left|group_right)\s*\([^)]*\)", "", bare)
    return set(NAME.findall(bare))


@cache
def known_metrics() -> frozenset[str]:
    """Return the names of all series that are scraped or recorded."""
    watch = CollectorRegistry()
    watch.register(Pool())
    found = {"up"} | REDIS_EXPORTER | _of_watch()
    for registry in (Metrics().registry, watch, GatewayMetrics().registry):
        for family in registry.collect():
            found |= {family.name + ending for ending in _ENDINGS[family.type]}
    recorded = (ROOT / "compose/prometheus/recording.yml").read_text()
    return frozenset(found | set(re.findall(r"record: (\S+)", recorded)))


_ENDINGS = {
    "counter": ("_total",),
    "gauge": ("",),
    "info": ("_info",),
    "histogram": ("_bucket", "_count", "_sum"),
}


def _of_watch() -> set[str]:
    """Return the metrics that the watch declares."""
    source = (ROOT / "gesture_maze/ops/watch.py").read_text()
    kinds = {"Counter": ("_total",), "Gauge": ("",), "Histogram": _ENDINGS["histogram"]}
    return {
        name + ending
        for kind, name in re.findall(r'(Counter|Gauge|Histogram)\(\s*"(\w+)"', source)
        for ending in kinds[kind]
    }
