"""The containers' command lines on the Dockerfile's layout, with Redis as compose configures it."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import redis

from gesture_maze.gateway.poses import hands
from tests.support.certificates import client_context
from tests.support.composed import Here, merged
from tests.support.containers import Containers
from tests.support.laid_out import SITE, build_wheel, link, missing, size_mb
from tests.support.servers import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]  # pip installs the packages of an image first
LARGEST_MB = {"worker": 230, "gateway": 260}
PORTS = {"redis": ("6379",), "worker": ("9464",), "watch": ("9109",), "gateway": ("8000", "9464")}


@dataclass
class Images:
    """Folders with `opt/maze` as in an image, by target, and the project's wheel."""

    folders: dict[str, Path]
    wheel: Path


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    """The image of the worker and the watch, and the image of the gateway."""
    folder = tmp_path_factory.mktemp("images")
    wheel = build_wheel(folder)
    worker = link(folder / "worker", "worker", wheel)
    return Images(
        {"worker": worker, "watch": worker, "gateway": link(folder / "gateway", "gateway", wheel)}, wheel
    )


@pytest.fixture(scope="module", params=[(), ("compose.tls.yaml",)], ids=["plain", "tls"])
def composed(
    request: pytest.FixtureRequest, images: Images, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Containers]:
    """Redis, a worker, the watch, the gateway and the players of compose.yaml, with and without TLS."""
    folder, config = tmp_path_factory.mktemp("composed"), merged("compose.demo.yaml", *request.param)
    ports = {name: dict.fromkeys(of, 0) for name, of in PORTS.items()}
    found = Containers(Here(folder, config, images.folders, ports), tls=bool(request.param))
    try:
        found.start("redis")
        found.start("worker")
        wait_until(lambda: found.admin.zcard("{maze}:workers") == 1, 20)
        found.start("watch")
        found.start("gateway")
        found.start("players", "--json", instead=(("3600", "3"),))
        yield found
    finally:
        found.close()


@pytest.mark.parametrize("target", LARGEST_MB)
def test_image_layers_are_below_their_limits(
    images: Images, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, wheel = size_mb(images.folders[target] / "opt/maze"), images.wheel.stat().st_size / 1e6
    found = {path.name for path in (images.folders[target] / "opt/maze" / SITE).iterdir()}
    assert not {"sklearn", "scipy", "mlflow", "joblib", "onnx", "pip", "rq"} & found
    with capsys.disabled():
        sys.stdout.write(f" {target}: {whole:.0f} MB in {len(found)} entries, our wheel {wheel:.1f} MB ")
    assert whole < LARGEST_MB[target]
    assert wheel < 20  # most of it is the hand tracker that the gateway hands to browsers


@pytest.mark.parametrize("target", LARGEST_MB)
def test_image_satisfies_its_requirements(images: Images, target: str) -> None:
    assert missing(images.folders[target], target) == []


def test_services_are_healthy_by_their_own_checks(composed: Containers) -> None:
    for name in ("redis", "worker", "watch", "gateway"):
        wait_until(lambda name=name: composed.healthy(name), 15)


def test_players_of_the_composed_pool_are_answered(composed: Containers) -> None:
    assert composed.running["players"].wait(30) == 0, composed.output("players", "err").read_text()
    report = json.loads(composed.output("players", "out").read_text())
    # on a busy machine some become stale, but none is lost
    shed = report["outcomes"]["stale"] + report["outcomes"]["superseded"]
    assert report["replies"] + shed >= report["accepted"] > 100
    assert report["replies"] > shed
    assert report["all_accounted_for"]


def test_gateway_answers_through_the_pool(composed: Containers) -> None:
    port, secrets = composed.here.ports["gateway"]["8000"], composed.here.folder / "secrets"
    url = f"{'https' if composed.tls else 'http'}://localhost:{port}"
    with httpx.Client(base_url=url, verify=client_context(secrets) if composed.tls else True) as browser:
        wait_until(lambda: browser.get("/readyz").status_code == 200, 10)
        answer = browser.post("/predict", json={"landmarks": hands()["dislike"], "aspect": 4 / 3})
        assert (answer.status_code, answer.json()["action"]) == (200, "down")
        assert "maze_browser" in browser.get("/game").headers["set-cookie"]
        assert browser.get("/metrics").status_code == 404, "they are for operators"
    if composed.tls:
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://localhost:{port}/readyz")


@pytest.mark.parametrize(
    ("name", "port", "expected"),
    [
        ("watch", "9109", ("maze_pool_all_accounted_for 1.0", "maze_heartbeats_answered_total")),
        ("worker", "9464", ("model_predictions_total", "maze_partitions_owned 16.0")),
        ("gateway", "9464", ("maze_gateway_sockets 0.0", 'http_requests_total{handler="/predict"')),
    ],
)
def test_service_serves_metrics_where_prometheus_scrapes(
    composed: Containers, name: str, port: str, expected: tuple[str, ...]
) -> None:
    page = f"http://127.0.0.1:{composed.here.ports[name][port]}/metrics"
    with urllib.request.urlopen(page, timeout=5) as answer:
        text = answer.read().decode()
    assert [one for one in expected if one not in text] == []


def test_acl_log_stays_empty(composed: Containers) -> None:
    assert composed.refused() == []


@pytest.mark.parametrize("name", ["gateway", "worker"])
def test_service_after_sigterm_drains_and_exits_with_0(composed: Containers, name: str) -> None:
    process = composed.running[name]
    process.terminate()
    assert process.wait(10) == 0, composed.output(name, "err").read_text()
    if name == "worker":
        assert composed.admin.zcard("{maze}:workers") == 0


@pytest.mark.parametrize("name", ["gateway", "worker"])
def test_log_of_a_service_is_one_object_per_line(composed: Containers, name: str) -> None:
    lines = [json.loads(line) for line in composed.output(name, "err").read_text().splitlines()]
    assert lines
    assert all({"time", "level", "event"} <= line.keys() for line in lines)


def test_client_without_credentials_is_refused(composed: Containers) -> None:
    # without a certificate the connection fails; without a password every command is refused
    with (
        composed.client(certificate=False) as stranger,
        pytest.raises(redis.ConnectionError if composed.tls else redis.AuthenticationError),
    ):
        stranger.ping()
