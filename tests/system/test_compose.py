"""compose/: the merged configuration, and rules that no engine enforces."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.composed import COMPOSE, DOCKERFILE, last, merged, services, sources, stage
from tests.support.servers import absent
from tests.support.yamls import read_yaml

OVERLAYS = [
    (),
    ("compose.demo.yaml",),
    ("compose.tls.yaml",),
    ("compose.demo.yaml", "compose.tls.yaml"),
    ("compose.cluster.yaml",),
]
ALL: dict[str, Any] = {
    name: one
    for file in ("compose.yaml", "compose.demo.yaml")
    for name, one in read_yaml((COMPOSE / file).read_text())["services"].items()
}
OURS = {name: one for name, one in ALL.items() if one["image"].startswith("gesture-maze/")}


@pytest.mark.parametrize("overlays", OVERLAYS, ids=str)
def test_compose_files_are_accepted_by_docker_compose(overlays: tuple[str, ...]) -> None:
    assert {"redis", "worker", "watch", "gateway", "prometheus", "grafana"} <= services(*overlays).keys()


@pytest.mark.parametrize("name", ALL)
def test_service_is_confined(name: str) -> None:
    one = ALL[name]
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert one["init"] is True
    assert one["deploy"]["resources"]["limits"].keys() == {"memory", "cpus"}


@pytest.mark.parametrize("name", sorted(ALL.keys() - OURS.keys()))
def test_foreign_image_is_pinned(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9_/]+:v?\d+\.\d+\.\d+(-alpine)?", ALL[name]["image"])


def test_published_ports_are_on_loopback_only() -> None:
    assert all(port.startswith("127.0.0.1:") for one in ALL.values() for port in _published(one))
    assert not any(_published(ALL[name]) for name in ("worker", "redis", "watch", "redis-exporter"))


def _published(service: dict[str, Any]) -> list[str]:
    return [port if isinstance(port, str) else f"{port['host_ip']}:" for port in service.get("ports", [])]


def test_environment_contains_no_secret() -> None:
    values = [str(value) for one in ALL.values() for value in one.get("environment", {}).values()]
    assert not [value for value in values if re.search(r"://[^/]*@", value)]


def test_stop_grace_period_is_longer_than_a_drain() -> None:
    from gesture_maze.worker.settings import Settings

    grace_s = float(re.sub(r"s$", "", ALL["worker"]["stop_grace_period"]))
    assert grace_s > Settings().drain_ms / 1000 + 1


@pytest.mark.parametrize("name", [name for name in OURS if name != "players"])
def test_own_service_has_a_health_check(name: str) -> None:
    assert OURS[name]["healthcheck"]["test"]


@pytest.mark.parametrize("name", [name for name, one in OURS.items() if one.get("volumes")])
def test_volume_belongs_to_the_user_of_the_image(name: str) -> None:
    # a new volume takes the owner of the image's folder at its path; without that folder, root
    for volume in OURS[name]["volumes"]:
        assert f"install -d -o 10001 -g 10001 {volume.partition(':')[2]}" in stage(
            OURS[name]["image"].partition("/")[2]
        )


def test_gateway_requires_client_certificates_only_if_a_ca_is_set() -> None:
    with_ca = {"MAZE_GATEWAY_CLIENT_CA": "/run/secrets/tls_ca"}
    for environment, wanted in (({"MAZE_GATEWAY_CLIENT_CA": ""}, ""), (with_ca, "/run/secrets/tls_ca")):
        gateway = merged("compose.tls.yaml", **environment)["services"]["gateway"]
        assert gateway["environment"]["MAZE_TLS_CLIENT_CA"] == wanted
        assert "tls_ca" in sources(gateway, "secrets")


@pytest.mark.parametrize("name", sorted(services("compose.cluster.yaml").keys() - ALL.keys()))
def test_service_of_the_cluster_is_confined_and_pinned(name: str) -> None:
    one = services("compose.cluster.yaml")[name]
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert one["deploy"]["resources"]["limits"].keys() == {"memory", "cpus"}
    assert not one.get("ports")
    assert re.fullmatch(r"[a-z0-9_/]+:v?\d+\.\d+\.\d+(-alpine)?", one["image"])


@pytest.mark.parametrize("overlays", [(), ("compose.tls.yaml",), ("compose.cluster.yaml",)], ids=str)
def test_commands_in_the_file_headers_create_every_secret(overlays: tuple[str, ...], tmp_path: Path) -> None:
    shutil.copytree(COMPOSE / "tls", tmp_path / "compose/tls")
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    for file in ("compose.yaml", *overlays):
        lines = [line.removeprefix("#   ") for line in (COMPOSE / file).read_text().splitlines()]
        commands = [line for line in lines if line.startswith(("mkdir", "maze", "python", "compose/"))]
        assert commands
        for line in commands:
            done = subprocess.run(
                ["/bin/sh", "-euc", line], cwd=tmp_path, env={"PATH": path}, capture_output=True, text=True,
                timeout=30,
            )  # fmt: skip
            assert done.returncode == 0, (line, done.stderr)
    wanted = [Path(one["file"]).name for one in merged(*overlays)["secrets"].values()]
    assert [name for name in wanted if not (tmp_path / "compose/secrets" / name).read_text()] == []


def test_players_start_with_the_demo_and_not_with_tls_alone() -> None:
    assert "profiles" not in services("compose.demo.yaml")["players"]
    assert services("compose.tls.yaml")["players"]["profiles"] == ["demo"]


@pytest.mark.parametrize(
    "name", ["redis", "jobs-redis", "redis-exporter", "prometheus", "alertmanager", "grafana"]
)
def test_foreign_image_does_not_run_as_root(name: str) -> None:
    # these images set their own user, except the server's, which starts as root by default
    assert ALL[name].get("user", "set by the image") == ("valkey" if "redis" in name and "ex" not in name else
                                                        "set by the image")  # fmt: skip


@pytest.mark.parametrize("target", ["worker", "watch", "gateway", "jobs", "mlflow"])
def test_own_image_does_not_run_as_root(target: str) -> None:
    assert last("USER", stage(target)) == "10001:10001"
    assert last("STOPSIGNAL", stage(target)) == "SIGTERM"
    assert last("ENTRYPOINT", stage(target)).startswith("[")
    assert "org.opencontainers.image.revision" in stage(target)


def test_worker_image_has_no_training_dependencies() -> None:
    needs = subprocess.run(
        [sys.executable, str(COMPOSE / "requirements.py"), "worker", "tracing"],
        capture_output=True, text=True, check=True, timeout=20,
    ).stdout  # fmt: skip
    assert not re.search(r"scikit|joblib|mlflow|^rq|^onnx[<>=]", needs, re.MULTILINE)
    assert "onnxruntime" in needs


def test_dockerfile_is_accepted_by_hadolint(tmp_path: Path) -> None:
    found = Path(sys.executable).parent / "hadolint"
    if not found.exists():
        absent("hadolint")
    done = subprocess.run([str(found), "-"], input=DOCKERFILE, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stdout


def test_extras_of_every_image_exist() -> None:
    for extras in re.findall(r"requirements.py (.*?) > ", DOCKERFILE):
        needs = [sys.executable, str(COMPOSE / "requirements.py"), *extras.split()]
        assert subprocess.run(needs, capture_output=True, check=True, timeout=20).stdout
