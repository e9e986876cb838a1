"""prometheus.yml, the rules and the metrics behind them: checked by promtool, then scraped for real."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.support.observed import ROOT, Observed, binary, fetch
from tests.support.observed_metrics import known_metrics, metrics_in
from tests.support.servers import wait_until

ALERTS = yaml.safe_load((ROOT / "compose/prometheus/alerts.yml").read_text())["groups"][0]["rules"]
RECORDED = yaml.safe_load((ROOT / "compose/prometheus/recording.yml").read_text())["groups"][0]["rules"]
CASES = ROOT / "tests/rules/alerts.yml"


def promtool(*words: str) -> None:
    done = subprocess.run([binary("promtool"), *words], capture_output=True, text=True, cwd=ROOT, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_configuration() -> None:
    promtool("check", "config", "prometheus.yml")


def test_each_alert_fires_and_is_silent_as_its_cases_say() -> None:
    promtool("test", "rules", str(CASES))


def cases() -> Iterator[tuple[str, bool]]:
    for test in yaml.safe_load(CASES.read_text())["tests"]:
        for case in test.get("alert_rule_test", ()):
            yield case["alertname"], bool(case["exp_alerts"])


@pytest.mark.parametrize("alert", [rule["alert"] for rule in ALERTS])
def test_each_alert_has_a_case_that_fires_and_one_that_does_not(alert: str) -> None:
    assert {fires for name, fires in cases() if name == alert} == {True, False}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: str(rule["alert"]))
def test_each_alert_has_a_runbook(rule: dict[str, Any]) -> None:
    path, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    titles = re.findall(r"^#+ (.+)$", (ROOT / path).read_text(), re.MULTILINE)
    assert anchor in {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize(
    "rule", [*ALERTS, *RECORDED], ids=lambda rule: str(rule.get("alert") or rule["record"])
)
def test_rules_name_metrics_that_exist(rule: dict[str, Any]) -> None:
    assert metrics_in(rule["expr"])
    assert metrics_in(rule["expr"]) <= known_metrics()


def test_prometheus_finds_and_scrapes_all(observed: Observed) -> None:
    def targets() -> dict[str, int]:
        up = observed.query("sum by (job) (up)")
        return {one["metric"]["job"]: int(one["value"][1]) for one in up}

    wait_until(lambda: targets() == {"worker": 2, "watch": 1, "redis": 1}, 10)


@pytest.mark.parametrize("rule", RECORDED, ids=lambda rule: str(rule["record"]))
def test_every_recording_rule_has_data(observed: Observed, rule: dict[str, Any]) -> None:
    if rule["record"] == "job:maze_pool_frames_shed:ratio_rate5m":
        wait_until(lambda: observed.query(f"{rule['record']} >= 0"), 10)
    else:
        wait_until(lambda: observed.query(rule["record"]), 10)


def test_no_alert_fires_on_a_healthy_pool(observed: Observed) -> None:
    found = observed.api("rules", type="alert")["groups"][0]["rules"]
    assert len(found) == len(ALERTS)
    assert {rule["health"] for rule in found} == {"ok"}
    assert [rule["name"] for rule in found if rule["state"] == "firing"] == []


def test_workers_are_listed_for_http_sd(observed: Observed) -> None:
    listed = fetch(f"{observed.watch}/sd")
    assert len(listed) == 2
    assert {one["labels"]["job"] for one in listed} == {"worker"}
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+", one["targets"][0]) for one in listed)


def test_scaled_workers_are_found_by_all_their_addresses() -> None:
    jobs = yaml.safe_load((ROOT / "prometheus.yml").read_text())["scrape_configs"]
    worker = next(job for job in jobs if job["job_name"] == "worker")
    assert worker["dns_sd_configs"][0].items() >= {"names": ["worker"], "type": "A", "port": 9464}.items()
