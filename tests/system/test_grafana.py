"""Grafana's files: well formed, made by their script, and every panel's query has data on a real pool."""

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


def named(value: Any) -> str:
    return value if isinstance(value, str) else str(value.get("title", ""))


def test_there_are_four() -> None:
    assert DASHBOARDS.keys() == {"overview", "gestures", "workers", "redis"}
    assert len({one["uid"] for one in DASHBOARDS.values()}) == 4


def test_the_files_are_what_their_script_makes(tmp_path: Path) -> None:
    code = f"import make, pathlib; make.FOLDER = pathlib.Path({str(tmp_path)!r}); make.main()"
    subprocess.run([sys.executable, "-c", code], cwd=GRAFANA, check=True, timeout=20)
    for name in DASHBOARDS:
        made = (tmp_path / f"{name}.json").read_text()
        assert made == (GRAFANA / f"dashboards/{name}.json").read_text(), "run compose/grafana/make.py"


@pytest.mark.parametrize(("name", "panel"), PANELS, ids=named)
def test_a_panel_asks_a_question_of_the_provisioned_source(name: str, panel: dict[str, Any]) -> None:
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
def test_every_query_has_data(observed: Observed, name: str, panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        wait_until(lambda expression=target["expr"]: observed.query(expression), 10)
        labels = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
        assert all(observed.query(target["expr"])[0]["metric"].get(label) for label in labels)


def test_provisioning_names_the_folder_that_compose_mounts() -> None:
    provider = yaml.safe_load((GRAFANA / "provisioning/dashboards/maze.yaml").read_text())["providers"][0]
    grafana = yaml.safe_load((ROOT / "compose/compose.yaml").read_text())["services"]["grafana"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in grafana["volumes"]
    assert grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].startswith(
        provider["options"]["path"]
    )
