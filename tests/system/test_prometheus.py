"""prometheus.yml, the rules and the metrics behind them: checked by promtool, then run as documented."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.observed import ROOT, Observed, binary, fetch
from tests.support.observed_metrics import known_metrics, metrics_in
from tests.support.servers import absent, wait_until
from tests.support.yamls import read_yaml

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
]  # the first test of a pool waits until all its programs run
ALERTS = read_yaml((ROOT / "compose/prometheus/alerts.yml").read_text())["groups"][0]["rules"]
RECORDED = read_yaml((ROOT / "compose/prometheus/recording.yml").read_text())["groups"][0]["rules"]
RUNBOOK = ROOT / "compose/k8s/monitoring/user/runbook.html"
ZERO_ON_A_HEALTHY_POOL = {"job:maze_pool_frames_shed:ratio_rate5m", "job:maze_pool_waiting_seconds:max"}
CASES = ROOT / "tests/rules/alerts.yml"


def promtool(*words: str) -> None:
    done = subprocess.run([binary("promtool"), *words], capture_output=True, text=True, cwd=ROOT, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr


def test_configuration_is_accepted_by_promtool() -> None:
    promtool("check", "config", "prometheus.yml")


def test_alerts_in_their_cases_fire_and_stay_silent_as_expected() -> None:
    promtool("test", "rules", str(CASES))


def cases() -> Iterator[tuple[str, bool]]:
    for test in read_yaml(CASES.read_text())["tests"]:
        for case in test.get("alert_rule_test", ()):
            yield case["alertname"], bool(case["exp_alerts"])


@pytest.mark.parametrize("alert", [rule["alert"] for rule in ALERTS])
def test_alert_has_a_firing_and_a_silent_case(alert: str) -> None:
    assert {fires for name, fires in cases() if name == alert} == {True, False}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: str(rule["alert"]))
def test_alert_runbook_url_points_to_its_section(rule: dict[str, Any]) -> None:
    address, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert address == "{{ $externalURL }}/user/runbook.html"
    section = RUNBOOK.read_text().partition(f'<h2 id="{anchor}">')[2].partition("<h2")[0]
    assert f"<code>{rule['alert']}</code>" in section


def test_runbook_page_is_the_only_one_in_the_repository() -> None:
    found = subprocess.run(["git", "ls-files", "*runbook.html"], cwd=ROOT, capture_output=True, text=True)
    if found.returncode:
        absent("git", "does not know this folder")
    assert found.stdout.split() == [str(RUNBOOK.relative_to(ROOT))]


def test_runbook_page_matches_the_output_of_its_script() -> None:
    code = "import runbook; print(runbook.page(runbook.SOURCE.read_text()), end='')"
    made = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "compose/prometheus",
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert made == RUNBOOK.read_text(), "run compose/prometheus/runbook.py"


@pytest.mark.parametrize(
    "rule", [*ALERTS, *RECORDED], ids=lambda rule: str(rule.get("alert") or rule["record"])
)
def test_rule_uses_existing_metrics(rule: dict[str, Any]) -> None:
    assert metrics_in(rule["expr"])
    assert metrics_in(rule["expr"]) <= known_metrics()


def test_documented_programs_on_a_bare_machine_are_all_scraped(observed: Observed) -> None:
    def targets() -> dict[str, int]:
        up = observed.query("sum by (job) (up)")
        return {one["metric"]["job"]: int(one["value"][1]) for one in up}

    wait_until(lambda: targets() == {"worker": 2, "watch": 1, "redis": 1, "gateway": 1}, 20)


def test_prometheus_on_a_bare_machine_finds_its_alertmanager(observed: Observed) -> None:
    wait_until(lambda: observed.api("alertmanagers")["activeAlertmanagers"], 10)


@pytest.mark.parametrize("rule", RECORDED, ids=lambda rule: str(rule["record"]))
def test_recording_rule_on_a_busy_pool_is_above_zero(observed: Observed, rule: dict[str, Any]) -> None:
    if rule["record"] in ZERO_ON_A_HEALTHY_POOL:
        wait_until(lambda: observed.query(f"{rule['record']} >= 0"), 10)
    else:
        wait_until(lambda: observed.moves(rule["record"]), 20)


def test_alerts_on_a_healthy_pool_do_not_fire(observed: Observed) -> None:
    found = observed.healthy
    assert len(found) == len(ALERTS)
    assert {rule["health"] for rule in found} == {"ok"}
    assert [(rule["name"], rule["state"]) for rule in found if rule["state"] != "inactive"] == []


def test_example_of_alertmanager_is_accepted_by_amtool() -> None:
    example = ROOT / "compose/prometheus/alertmanager.yml"
    words = [binary("amtool"), "check-config", str(example)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr


def test_receiver_gets_a_firing_alert_and_that_it_is_resolved(observed: Observed) -> None:
    def received(status: str) -> list[str]:
        lines = observed.received.read_text().splitlines()
        return [one for one in lines if one.startswith(f"{status} warning MazeDeadLettersGrowing")]

    wait_until(lambda: received("FIRING"), 60)
    assert received("FIRING")[0].endswith("/user/runbook.html#dead-letters-grow")
    wait_until(lambda: received("RESOLVED"), 90)


def test_runbook_is_served_by_prometheus(observed: Observed) -> None:
    with urllib.request.urlopen(f"{observed.prometheus}/user/runbook.html", timeout=5) as answer:
        assert answer.read().decode() == RUNBOOK.read_text()


def test_watch_lists_the_workers_for_http_sd(observed: Observed) -> None:
    listed = fetch(f"{observed.watch}/sd")
    assert len(listed) == 2
    assert {one["labels"]["job"] for one in listed} == {"worker"}
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+", one["targets"][0]) for one in listed)


@pytest.mark.parametrize(
    ("service", "port"),
    [("worker", 9464), ("watch", 9109), ("gateway", 9464), ("redis-exporter", 9121), ("alertmanager", 9093)],
)
def test_compose_service_is_discovered_at_all_its_addresses(service: str, port: int) -> None:
    settings = read_yaml((ROOT / "prometheus.yml").read_text())
    jobs = [*settings["scrape_configs"], *settings["alerting"]["alertmanagers"]]
    found = [one for job in jobs for one in job.get("dns_sd_configs", ()) if one["names"] == [service]]
    assert [(one["type"], one["port"]) for one in found] == [("A", port)]
    composed = read_yaml((ROOT / "compose/compose.yaml").read_text())["services"][service]
    assert str(port) in composed["expose"]


def test_compose_does_not_mount_the_targets_of_bare_machines() -> None:
    prometheus = read_yaml((ROOT / "compose/compose.yaml").read_text())["services"]["prometheus"]
    assert not [volume for volume in prometheus["volumes"] if "bare" in volume]
