"""compose/k8s: each object fits the schema of its kind, and every name that one refers to exists."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gesture_maze.wire.keys import DEFAULT_PARTITIONS, GROUP, frames_key
from tests.support.kubernetes import (
    FOLDER,
    Manifest,
    generated_files,
    kustomization,
    manifests,
    mounted,
    pods,
    secret_keys,
)  # fmt: skip
from tests.support.observed import ROOT
from tests.support.servers import absent
from tests.support.yamls import read_yaml, read_yaml_all

POOL, MONITORING, SCALING = manifests(), manifests("monitoring"), manifests("scaling")
ALL = [*POOL, *MONITORING, *SCALING]
NAMESPACE = "gesture-maze"
KUBERNETES = "1.31"
SECRETS = {one["metadata"]["name"]: set(one["data"]) for one in POOL if one["kind"] == "Secret"}
PODS = {owner["metadata"]["name"]: template for owner, template in pods(POOL)}
OURS = ("worker", "watch", "gateway", "operator")


def named(manifest: Manifest) -> str:
    return f"{manifest['kind']}-{manifest['metadata']['name']}"


def of(kind: str, name: str) -> Manifest:
    return next(one for one in ALL if named(one) == f"{kind}-{name}")


def names(kind: str) -> set[str]:
    return {one["metadata"]["name"] for one in ALL if one["kind"] == kind}


def selected(labels: dict[str, str], templates: dict[str, Manifest] = PODS) -> list[str]:
    return [
        name for name, one in templates.items() if labels.items() <= one["metadata"].get("labels", {}).items()
    ]


def ports(name: str) -> set[str]:
    return {port["name"] for port in PODS[name]["spec"]["containers"][0].get("ports", ())}


# --- schemas

OF_OPERATORS = [one for one in ALL if one["apiVersion"] in ("keda.sh/v1alpha1", "monitoring.coreos.com/v1")]
OF_KUBERNETES = [one for one in ALL if one not in OF_OPERATORS]


@pytest.mark.parametrize("manifest", OF_KUBERNETES, ids=named)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_object_fits_the_schema_of_kubernetes(manifest: Manifest) -> None:
    try:
        import kubernetes_validate
    except ImportError:
        absent("kubernetes-validate")
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


@pytest.mark.parametrize("manifest", OF_OPERATORS, ids=named)
@pytest.mark.filterwarnings("ignore")
def test_object_fits_the_schema_of_its_operator(manifest: Manifest) -> None:
    try:
        from cloudcoil.models.keda import v1alpha1
        from cloudcoil.models.prometheus_operator import v1
    except ImportError:
        absent("cloudcoil.models.keda or cloudcoil.models.prometheus_operator")
    models = v1alpha1 if manifest["apiVersion"].startswith("keda") else v1
    getattr(models, manifest["kind"]).model_validate(manifest, strict=False, extra="forbid")


@pytest.mark.filterwarnings("ignore")
def test_invalid_objects_do_not_fit_the_schemas() -> None:
    try:
        import kubernetes_validate
        from cloudcoil.models.keda import v1alpha1
        from cloudcoil.models.prometheus_operator import v1
    except ImportError:
        absent("a schema")
    wrong = {**of("Deployment", "watch"), "spec": {"replicas": "one"}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES, strict=True)
    scaled, monitor = of("ScaledObject", "worker"), of("PodMonitor", "worker")
    for model, one, field in (
        (v1alpha1.ScaledObject, scaled, "minReplicas"),
        (v1.PodMonitor, monitor, "select"),
    ):
        with pytest.raises(ValueError, match=field):
            model.model_validate({**one, "spec": {**one["spec"], field: 1}}, extra="forbid")


@pytest.mark.parametrize("folder", [".", "monitoring", "scaling", "scaling-by-age"])
def test_kustomize_renders_the_folder(folder: str, tmp_path: Path) -> None:
    if shutil.which("kubectl") is None:
        absent("kubectl")
    version = subprocess.run(["kubectl", "version", "--client"], capture_output=True, text=True).stdout
    if not re.search(r"Kustomize Version: v[5-9]", version):
        absent("kubectl with Kustomize 5 or newer")
    shutil.copytree(FOLDER, tmp_path / "k8s", dirs_exist_ok=True)
    for file in generated_files():
        path = tmp_path / "k8s" / file.relative_to(FOLDER)
        path.parent.mkdir(exist_ok=True)
        path.touch()
    words = ["kubectl", "kustomize", str(tmp_path / "k8s" / folder)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    rendered = read_yaml_all(done.stdout)
    assert {one["metadata"].get("namespace", NAMESPACE) for one in rendered} == {NAMESPACE}
    expected = manifests("scaling" if folder == "scaling-by-age" else folder)
    assert sorted(map(named, rendered)) == sorted(map(named, expected))


# --- references between objects


@pytest.mark.parametrize("name", PODS)
def test_secrets_that_a_pod_mounts_exist(name: str) -> None:
    for secret, key in secret_keys(PODS[name]["spec"]):
        assert secret in SECRETS
        assert not key or key in SECRETS[secret]


@pytest.mark.parametrize("name", PODS)
def test_config_maps_and_claims_that_a_pod_mounts_exist(name: str) -> None:
    pod, owner = PODS[name]["spec"], next(one for one, template in pods(POOL) if template is PODS[name])
    maps = [one["configMap"]["name"] for one in pod["volumes"] if "configMap" in one]
    assert set(maps) <= names("ConfigMap")
    volumes = {one["name"] for one in pod["volumes"]}
    volumes |= {one["metadata"]["name"] for one in owner["spec"].get("volumeClaimTemplates", ())}
    assert {one["name"] for one in pod["containers"][0]["volumeMounts"]} <= volumes


@pytest.mark.parametrize("name", PODS)
def test_files_named_in_container_arguments_are_mounted(name: str) -> None:
    pod = PODS[name]["spec"]
    container = pod["containers"][0]
    words = [*container.get("args", ()), *(str(one.get("value")) for one in container.get("env", ()))]
    files = set(re.findall(r"/run/secrets/[\w./]+", " ".join(words)))
    assert files
    if name in OURS:
        query = parse_qs(urlsplit((FOLDER / "url").read_text()).query)
        files |= {query[option][0].strip() for option in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")}
    assert files <= mounted(pod, SECRETS)


@pytest.mark.parametrize("service", [one for one in POOL if one["kind"] == "Service"], ids=named)
def test_service_targets_a_port_of_its_pods(service: Manifest) -> None:
    (name,) = selected(service["spec"]["selector"])
    assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports(name)


@pytest.mark.parametrize("name", PODS)
def test_probes_target_a_port_of_the_pod(name: str) -> None:
    container = PODS[name]["spec"]["containers"][0]
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if "httpGet" in container.get(probe, ()):
            assert container[probe]["httpGet"]["port"] in ports(name)


@pytest.mark.parametrize("name", sorted(set(PODS) - {"valkey"}))
def test_deployment_selector_matches_only_its_own_pods(name: str) -> None:
    assert selected(of("Deployment", name)["spec"]["selector"]["matchLabels"]) == [name]


def test_stateful_set_names_its_service() -> None:
    assert of("StatefulSet", "valkey")["spec"]["serviceName"] in names("Service")
    assert selected(of("StatefulSet", "valkey")["spec"]["selector"]["matchLabels"]) == ["valkey"]


def test_valkey_address_is_its_service_in_every_file() -> None:
    (port,) = of("Service", "valkey")["spec"]["ports"]
    address = f"valkey.{NAMESPACE}.svc.cluster.local:{port['port']}"
    assert urlsplit((FOLDER / "url").read_text()).netloc == address
    assert f"-redis.addr=rediss://{address}" in PODS["redis-exporter"]["spec"]["containers"][0]["args"]
    triggers = of("ScaledObject", "worker")["spec"]["triggers"]
    assert {one["metadata"]["address"] for one in triggers} == {address}
    assert f"secrets {address.partition(':')[0]}" in (FOLDER / "README.md").read_text()


def test_ingress_routes_to_the_gateway_with_its_certificate() -> None:
    spec = of("Ingress", "gateway")["spec"]
    (rule,) = spec["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    assert backend["port"]["name"] in {one["name"] for one in of("Service", backend["name"])["spec"]["ports"]}
    (tls,) = spec["tls"]
    assert of("Secret", tls["secretName"])["type"] == "kubernetes.io/tls"
    assert SECRETS[tls["secretName"]] == {"tls.crt", "tls.key"}
    assert tls["hosts"] == [rule["host"]]
    assert f"-- {rule['host']}" in (FOLDER / "README.md").read_text()


@pytest.mark.parametrize("policy", [one for one in POOL if one["kind"] == "NetworkPolicy"], ids=named)
def test_network_policy_names_pods_and_ports_that_exist(policy: Manifest) -> None:
    def chosen(selector: dict[str, Any]) -> list[str]:
        expressions = selector.get("matchExpressions", ())
        return [value for one in expressions for value in one["values"]] or selected(selector["matchLabels"])

    targets = chosen(policy["spec"]["podSelector"])
    assert targets
    assert set(targets) <= set(PODS)
    for rule in policy["spec"].get("ingress", ()):
        assert all({port["port"] for port in rule["ports"]} <= ports(name) for name in targets)
        for peer in rule.get("from", ()):
            assert set(chosen(peer["podSelector"])) <= set(PODS) if "podSelector" in peer else True


def test_pod_is_selected_by_a_network_policy() -> None:
    text = str([one["spec"]["podSelector"] for one in POOL if one["kind"] == "NetworkPolicy"])
    assert [name for name in PODS if name not in text] == []


@pytest.mark.parametrize("monitor", [one for one in MONITORING if one["kind"].endswith("Monitor")], ids=named)
def test_pod_monitor_selects_its_pods_and_their_port(monitor: Manifest) -> None:
    labels = monitor["spec"]["selector"]["matchLabels"]
    services = {one["metadata"]["name"]: one for one in POOL if one["kind"] == "Service"}
    (name,) = selected(labels) if monitor["kind"] == "PodMonitor" else selected(labels, services)
    endpoints = monitor["spec"].get("podMetricsEndpoints") or monitor["spec"]["endpoints"]
    assert {one["port"] for one in endpoints} <= ports(name)


def test_jobs_named_in_alerts_are_scraped() -> None:
    rules = of("PrometheusRule", "maze")["spec"]["groups"]
    jobs = set(
        re.findall(r'job="([\w-]+)"', str([rule["expr"] for group in rules for rule in group["rules"]]))
    )
    assert jobs
    assert jobs <= {one["metadata"]["name"] for one in MONITORING if one["kind"].endswith("Monitor")}


def test_prometheus_references_existing_objects() -> None:
    spec = of("Prometheus", "maze")["spec"]
    assert spec["serviceAccountName"] in names("ServiceAccount")
    assert {one["configMap"]["name"] for one in spec["volumes"]} <= names("ConfigMap")
    assert of("RoleBinding", "prometheus")["roleRef"]["name"] in names("Role")
    labels = kustomization("monitoring")["labels"][0]["pairs"]
    for selector in ("podMonitorSelector", "serviceMonitorSelector", "ruleSelector"):
        assert spec[selector]["matchLabels"] == labels


def test_triggers_authenticate_by_secrets_that_exist() -> None:
    (authentication,) = [one for one in SCALING if one["kind"] == "TriggerAuthentication"]
    for one in authentication["spec"]["secretTargetRef"]:
        assert one["key"] in SECRETS[one["name"]]
    parameters = {one["parameter"] for one in authentication["spec"]["secretTargetRef"]}
    assert parameters == {"username", "password", "tls", "ca", "cert", "key"}
    for trigger in of("ScaledObject", "worker")["spec"]["triggers"]:
        assert trigger["authenticationRef"]["name"] == authentication["metadata"]["name"]


def test_scaled_object_has_a_trigger_for_every_partition() -> None:
    spec = of("ScaledObject", "worker")["spec"]
    assert spec["scaleTargetRef"]["name"] in names("Deployment")
    assert "replicas" not in of("Deployment", "worker")["spec"]
    streams = [one["metadata"] for one in spec["triggers"]]
    assert [one["stream"] for one in streams] == [frames_key(number) for number in range(DEFAULT_PARTITIONS)]
    assert {one["consumerGroup"] for one in streams} == {GROUP}
    assert all(one["lagCount"] and "pendingEntriesCount" not in one for one in streams)
    assert spec["minReplicaCount"] == 1
    assert spec["maxReplicaCount"] <= DEFAULT_PARTITIONS


def test_cluster_triggers_are_generated_for_any_number_of_partitions() -> None:
    done = subprocess.run(
        [sys.executable, "make.py", "--cluster", "a:6379,b:6379", "--partitions", "64"],
        cwd=FOLDER, capture_output=True, text=True, check=True, timeout=20,
    )  # fmt: skip
    (scaled,) = [one for one in read_yaml_all(done.stdout) if one["kind"] == "ScaledObject"]
    triggers = scaled["spec"]["triggers"]
    assert [one["metadata"]["stream"] for one in triggers] == [frames_key(number) for number in range(64)]
    assert {one["type"] for one in triggers} == {"redis-cluster-streams"}
    assert {one["metadata"]["addresses"] for one in triggers} == {"a:6379,b:6379"}


def test_age_trigger_queries_the_operator_prometheus() -> None:
    (patch,) = kustomization("scaling-by-age")["patches"]
    (change,) = read_yaml(patch["patch"])
    address = urlsplit(change["value"]["metadata"]["serverAddress"]).netloc
    assert address == f"prometheus-operated.{NAMESPACE}.svc.cluster.local:9090"
    assert patch["target"] == {"kind": "ScaledObject", "name": "worker"}


# --- the files


def test_readme_commands_create_every_file_of_the_secrets(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "compose/tls", tmp_path / "compose/tls")
    (tmp_path / "compose/k8s").mkdir()
    shutil.copy(FOLDER / "url", tmp_path / "compose/k8s/url")
    readme = (FOLDER / "README.md").read_text().partition("## Six nodes")[0]
    commands = re.findall(r"^\$ ((?:compose/tls|maze|python3) .*|compose/tls/.*)$", readme, re.M)
    assert len(commands) == 3
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    for line in commands:
        words = ["/bin/sh", "-euc", line]
        done = subprocess.run(
            words, cwd=tmp_path, env={"PATH": path}, capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, (line, done.stderr)
    files = [file.relative_to(ROOT) for file in generated_files() if file.name != "redis.conf"]
    assert files
    assert [file for file in files if not (tmp_path / file).read_text()] == []


def test_derived_files_match_the_output_of_their_script() -> None:
    code = "import make; print([str(p) for p, text in make.written().items() if p.read_text() != text])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=FOLDER, capture_output=True, text=True, check=True, timeout=20
    )
    assert done.stdout.strip() == "[]", "run compose/k8s/make.py"


def test_file_belongs_to_a_kustomization() -> None:
    for folder in (".", "monitoring", "scaling"):
        files = {path.name for path in (FOLDER / folder).glob("*.yaml")} - {"kustomization.yaml"}
        assert files == set(kustomization(folder)["resources"])
    images = {one["spec"]["containers"][0]["image"] for one in PODS.values()}
    own = {image for image in images if image.startswith("gesture-maze/")}
    assert own == {image["name"] for image in kustomization()["images"]}


# --- pod security


@pytest.mark.parametrize("name", PODS)
def test_pod_is_confined(name: str) -> None:
    pod = PODS[name]["spec"]
    container = pod["containers"][0]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
    }  # fmt: skip
    assert container["resources"].keys() == {"requests", "limits"}
    assert not [one for one in container.get("env", ()) if re.search(r"://[^/]*@", str(one))]


@pytest.mark.parametrize("name", ["worker", "watch", "gateway"])
def test_own_service_has_probes(name: str) -> None:
    container = PODS[name]["spec"]["containers"][0]
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_worker_termination_grace_period_is_longer_than_a_drain() -> None:
    pod = PODS["worker"]["spec"]
    waits_s = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > waits_s + 5 + 1
    assert of("PodDisruptionBudget", "worker")["spec"]["maxUnavailable"] == 1
