"""compose/k8s with its component `cluster`: its objects fit their schemas, and every name they use exists."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.kubernetes import FOLDER, Manifest, generated_files
from tests.support.servers import absent
from tests.support.yamls import read_yaml_all

KUBERNETES = "1.31"
NODES = "valkey-node"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Manifest]:
    """Return all objects by kind and name, as Kustomize renders them."""
    if shutil.which("kubectl") is None:
        absent("kubectl")
    folder = tmp_path_factory.mktemp("k8s") / "k8s"
    shutil.copytree(FOLDER, folder)
    for name in (".", "cluster"):
        for file in generated_files(name):
            path = folder / file.relative_to(FOLDER)
            path.parent.mkdir(exist_ok=True)
            path.touch()
    with (folder / "kustomization.yaml").open("a") as base:
        base.write("components: [cluster]\n")
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    found = read_yaml_all(done.stdout)
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in found}


def pods(rendered: dict[str, Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Yield the name and the template of everything that makes pods."""
    for name, one in rendered.items():
        if name.partition("/")[0] in ("Deployment", "StatefulSet", "Job"):
            yield name, one["spec"]["template"]


def selected(rendered: dict[str, Manifest], labels: dict[str, str]) -> list[str]:
    return [name for name, one in pods(rendered) if labels.items() <= one["metadata"]["labels"].items()]


def ports(rendered: dict[str, Manifest], pod: str) -> set[str]:
    containers = dict(pods(rendered))[pod]["spec"]["containers"]
    return {port["name"] for one in containers for port in one.get("ports", ())}


def references(spec: Any) -> Iterator[tuple[str, str]]:
    """Yield (name of a Secret, key) for every reference in a pod; the key is empty for all keys."""
    if isinstance(spec, list):
        for one in spec:
            yield from references(one)
    if isinstance(spec, dict):
        for kind, one in spec.items():
            if kind == "secretKeyRef":
                yield one["name"], one["key"]
            elif kind == "secret":
                for item in one.get("items", [{"key": ""}]):
                    yield one.get("secretName", one.get("name")), item["key"]
            else:
                yield from references(one)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_objects_fit_the_schemas_of_kubernetes(rendered: dict[str, Manifest]) -> None:
    try:
        import kubernetes_validate
    except ImportError:
        absent("kubernetes-validate")
    for file in ("nodes.yaml", "join.yaml", "network.yaml"):
        for one in read_yaml_all((FOLDER / "cluster" / file).read_text()):
            found = rendered[f"{one['kind']}/{one['metadata']['name']}"]
            kubernetes_validate.validate(found, KUBERNETES, strict=True)


def test_nodes_replace_the_single_server_and_its_exporter(rendered: dict[str, Manifest]) -> None:
    assert rendered.keys().isdisjoint({"StatefulSet/valkey", "Deployment/redis-exporter"})
    assert rendered[f"StatefulSet/{NODES}"]["spec"]["replicas"] == 6
    assert rendered["Service/valkey"]["spec"]["selector"] == {"app.kubernetes.io/name": "valkey"}


def test_secrets_and_config_maps_of_pods_exist(rendered: dict[str, Manifest]) -> None:
    for _, template in pods(rendered):
        for name, key in references(template["spec"]):
            assert not key or key in rendered[f"Secret/{name}"]["data"]
        for volume in template["spec"]["volumes"]:
            assert "configMap" not in volume or f"ConfigMap/{volume['configMap']['name']}" in rendered


def test_files_that_nodes_and_the_job_name_are_mounted(rendered: dict[str, Manifest]) -> None:
    keys = {name: set(one["data"]) for name, one in rendered.items() if name.startswith("Secret/")}
    for pod in (f"StatefulSet/{NODES}", "Job/valkey-join"):
        spec = dict(pods(rendered))[pod]["spec"]
        for container in spec["containers"]:
            found = set()
            for mount in container["volumeMounts"]:
                volume = next((one for one in spec["volumes"] if one["name"] == mount["name"]), {})
                for name, key in references(volume):
                    files = {key} if key else keys[f"Secret/{name}"]
                    found |= {f"{mount['mountPath']}/{file}" for file in files}
            words = " ".join([*container.get("args", ()), *container.get("command", ())])
            assert set(re.findall(r"/run/secrets/[\w./]+", words)) <= found


def test_services_and_policies_name_ports_of_their_pods(rendered: dict[str, Manifest]) -> None:
    for name, one in rendered.items():
        if name.startswith("Service/"):
            (pod,) = selected(rendered, one["spec"]["selector"])
            assert {port["targetPort"] for port in one["spec"]["ports"]} <= ports(rendered, pod)
    policy = rendered[f"NetworkPolicy/{NODES}"]["spec"]
    (pod,) = selected(rendered, policy["podSelector"]["matchLabels"])
    assert pod == f"StatefulSet/{NODES}"
    allowed = {port["port"] for rule in policy["ingress"] for port in rule["ports"]}
    assert allowed == ports(rendered, pod)
    peers = policy["ingress"][0]["from"][0]["podSelector"]["matchExpressions"][0]["values"]
    assert all(selected(rendered, {"app.kubernetes.io/name": peer}) for peer in peers)


def test_nodes_announce_names_that_their_service_and_the_join_use(rendered: dict[str, Manifest]) -> None:
    nodes, job = rendered[f"StatefulSet/{NODES}"], rendered["Job/valkey-join"]
    service = rendered[f"Service/{nodes['spec']['serviceName']}"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"]
    domain = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc.cluster.local"
    args = nodes["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args[args.index("--cluster-announce-hostname") + 1] == f"$(POD_NAME).{domain}"
    (script,) = job["spec"]["template"]["spec"]["containers"][0]["command"][2:]
    assert f"{NODES}-$number.{domain}" in script
    (numbers,) = re.findall(r"for number in ([\d ]+);", script)
    assert len(numbers.split()) == nodes["spec"]["replicas"]
    assert f"'*.{domain}'" in (FOLDER / "README.md").read_text()


def test_url_is_that_of_the_service_with_the_same_files_as_a_single_server() -> None:
    one, cluster = (urlsplit((FOLDER / name).read_text().strip()) for name in ("url", "cluster/url"))
    assert cluster.scheme == f"{one.scheme}+cluster"
    assert cluster.netloc == one.netloc
    assert parse_qs(cluster.query) == parse_qs(one.query)


def test_containers_of_the_cluster_are_confined(rendered: dict[str, Manifest]) -> None:
    for pod in (f"StatefulSet/{NODES}", "Job/valkey-join"):
        spec = dict(pods(rendered))[pod]["spec"]
        assert spec["securityContext"]["runAsNonRoot"]
        assert spec["automountServiceAccountToken"] is False
        for container in spec["containers"]:
            security = container["securityContext"]
            assert not security["allowPrivilegeEscalation"]
            assert security["readOnlyRootFilesystem"]
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"].keys() == {"requests", "limits"}


def test_commands_of_the_readme_make_the_secrets_of_the_cluster(tmp_path: Path) -> None:
    readme = (FOLDER / "README.md").read_text().partition("## Six nodes")[2]
    shutil.copytree(FOLDER.parent / "tls", tmp_path / "compose/tls")
    (tmp_path / "compose/k8s/cluster").mkdir(parents=True)
    shutil.copy(FOLDER / "cluster/url", tmp_path / "compose/k8s/cluster/url")
    commands = re.findall(r"^\$ ((?:compose/tls|maze|mkdir|python3 -c) ?.*)$", readme, re.M)
    assert len(commands) == 5
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # `maze` of this interpreter
    for line in commands:
        done = subprocess.run(
            ["/bin/sh", "-euc", line], cwd=tmp_path, capture_output=True, text=True, timeout=30,
            env={**os.environ, "PATH": path},
        )  # fmt: skip
        assert done.returncode == 0, (line, done.stderr)
    made = [tmp_path / "compose/k8s" / one.relative_to(FOLDER) for one in generated_files("cluster")]
    assert all(file.read_text() for file in made)
    users = (tmp_path / "compose/k8s/secrets/users.acl").read_text()
    assert "\nuser admin on #" in users
    assert not (tmp_path / "compose/k8s/secrets/exporter.password").read_text().endswith("\n")
