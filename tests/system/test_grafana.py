"""Grafana's files: well formed, made by their script, and each query has data that moved on a real pool."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.observed import ROOT, Observed
from tests.support.observed_metrics import known_metrics, metrics_in
from tests.support.servers import wait_until

GRAFANA = ROOT / "compose/grafana"
DASHBOARDS = {
    path.stem: json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))
}
PANELS = [(name, panel) for name, one in DASHBOARDS.items() for panel in one["panels"]]

ZERO_ON_A_HEALTHY_POOL = {
    "job:maze_pool_frames_shed:ratio_rate5m",
    "sum(maze_pool_waiting_entries)",
    "job:maze_pool_waiting_seconds:max",
    "max by (partition) (maze_lag_entries)",
    "sum by (by) (maze_fenced_commits_total)",
    "sum by (instance, operation) (maze_redis_errors_total)",
    "redis_rejected_connections_total",
    "redis_evicted_keys_total",
}
"""Queries that are zero on a pool that is well; rules/alerts.yml has cases in which they rise."""


def named(value: Any) -> str:
    return value if isinstance(value, str) else str(value.get("title", ""))


def test_dashboards_are_four_with_distinct_ids() -> None:
    assert DASHBOARDS.keys() == {"overview", "gestures", "workers", "redis"}
    assert len({one["uid"] for one in DASHBOARDS.values()}) == 4


def test_dashboards_are_what_their_script_makes(tmp_path: Path) -> None:
    code = f"import make, pathlib; make.FOLDER = pathlib.Path({str(tmp_path)!r}); make.main()"
    subprocess.run([sys.executable, "-c", code], cwd=GRAFANA, check=True, timeout=20)
    for name in DASHBOARDS:
        made = (tmp_path / f"{name}.json").read_text()
        assert made == (GRAFANA / f"dashboards/{name}.json").read_text(), "run compose/grafana/make.py"


@pytest.mark.parametrize(("name", "panel"), PANELS, ids=named)
def test_panel_asks_a_question_of_the_provisioned_source(name: str, panel: dict[str, Any]) -> None:
    source = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yaml").read_text())
    assert panel["title"].endswith("?")
    assert panel["datasource"]["uid"] == source["datasources"][0]["uid"]
    for target in panel["targets"]:
        assert metrics_in(target["expr"])
        assert metrics_in(target["expr"]) <= known_metrics(), name


def test_panels_do_not_overlap() -> None:
    for one in DASHBOARDS.values():
        cells = [
            (place["x"] + column, place["y"] + line)
            for place in (panel["gridPos"] for panel in one["panels"])
            for column in range(place["w"])
            for line in range(place["h"])
        ]
        assert len(cells) == len(set(cells))
        assert max(column for column, _ in cells) < 24


@pytest.mark.parametrize(("name", "panel"), PANELS, ids=named)
def test_each_query_on_a_busy_pool_has_data_that_moved(
    observed: Observed, name: str, panel: dict[str, Any]
) -> None:
    for target in panel["targets"]:
        expression = target["expr"]
        if expression in ZERO_ON_A_HEALTHY_POOL:
            wait_until(lambda expression=expression: observed.query(f"({expression}) >= 0"), 10)
        else:
            wait_until(lambda expression=expression: observed.moves(expression), 20)
        labels = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
        assert all(observed.query(expression)[0]["metric"].get(label) for label in labels)


def test_queries_that_may_be_zero_are_queries_of_panels() -> None:
    expressions = {target["expr"] for _, panel in PANELS for target in panel["targets"]}
    assert expressions >= ZERO_ON_A_HEALTHY_POOL


def test_grafana_sends_nothing_to_its_makers() -> None:
    grafana = yaml.safe_load((ROOT / "compose/compose.yaml").read_text())["services"]["grafana"]
    off = {
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
        "GF_ANALYTICS_FEEDBACK_LINKS_ENABLED": "false",
        "GF_NEWS_NEWS_FEED_ENABLED": "false",
        "GF_PLUGINS_PLUGIN_ADMIN_ENABLED": "false",
        "GF_PLUGINS_PREINSTALL_DISABLED": "true",
        "GF_PLUGINS_PUBLIC_KEY_RETRIEVAL_DISABLED": "true",
        "GF_SECURITY_DISABLE_GRAVATAR": "true",
        "GF_SNAPSHOTS_EXTERNAL_ENABLED": "false",
    }
    assert grafana["environment"].items() >= off.items()


def test_provisioning_reads_the_folder_that_compose_mounts() -> None:
    provider = yaml.safe_load((GRAFANA / "provisioning/dashboards/maze.yaml").read_text())["providers"][0]
    grafana = yaml.safe_load((ROOT / "compose/compose.yaml").read_text())["services"]["grafana"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in grafana["volumes"]
    assert grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].startswith(
        provider["options"]["path"]
    )
