"""compose/k8s: every manifest fits the schema of its kind, and the whole fits the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gesture_maze.wire.keys import DEFAULT_PARTITIONS, GROUP, frames_key
from tests.support.servers import absent

FOLDER = Path(__file__).parents[2] / "compose/k8s"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
MANIFESTS: list[dict[str, Any]] = [
    manifest
    for name in KUSTOMIZATION["resources"]
    for manifest in yaml.safe_load_all((FOLDER / name).read_text())
]
SCALED = next(one for one in MANIFESTS if one["kind"] == "ScaledObject")
KUBERNETES = "1.31"


def named(manifest: dict[str, Any]) -> str:
    return f"{manifest['kind']}-{manifest['metadata']['name']}"


def of(kind: str, name: str) -> dict[str, Any]:
    return next(one for one in MANIFESTS if named(one) == f"{kind}-{name}")


@pytest.mark.parametrize("manifest", [one for one in MANIFESTS if one is not SCALED], ids=named)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_fits_the_schema_of_kubernetes(manifest: dict[str, Any]) -> None:
    try:
        import kubernetes_validate
    except ImportError:
        absent("kubernetes-validate")
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


@pytest.mark.filterwarnings("ignore")
def test_the_scaled_object_fits_the_schema_of_keda() -> None:
    try:
        from cloudcoil.models.keda import v1alpha1
    except ImportError:
        absent("cloudcoil.models.keda")
    v1alpha1.ScaledObject.model_validate(SCALED, strict=False, extra="forbid")


@pytest.mark.filterwarnings("ignore")
def test_schemas_are_not_empty() -> None:
    try:
        import kubernetes_validate
        from cloudcoil.models.keda import v1alpha1
    except ImportError:
        absent("a schema")
    wrong = {**of("Deployment", "watch"), "spec": {"replicas": "one"}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES, strict=True)
    with pytest.raises(ValueError, match="minReplicas"):
        v1alpha1.ScaledObject.model_validate(
            {**SCALED, "spec": {**SCALED["spec"], "minReplicas": 1}}, extra="forbid"
        )


def test_there_is_a_trigger_for_every_partition() -> None:
    streams = [one["metadata"] for one in SCALED["spec"]["triggers"] if one["type"] == "redis-streams"]
    assert [one["stream"] for one in streams] == [frames_key(number) for number in range(DEFAULT_PARTITIONS)]
    assert {one["consumerGroup"] for one in streams} == {GROUP}
    assert all(one["lagCount"] and "pendingEntriesCount" not in one for one in streams)
    known = {
        one["name"] for one in of("Deployment", "worker")["spec"]["template"]["spec"]["containers"][0]["env"]
    }
    known |= of("ConfigMap", "maze-settings")["data"].keys()
    assert {value for one in streams for name, value in one.items() if name.endswith("FromEnv")} <= known
    assert SCALED["spec"]["minReplicaCount"] == 1
    assert SCALED["spec"]["maxReplicaCount"] <= DEFAULT_PARTITIONS


def test_all_files_are_in_the_kustomization() -> None:
    files = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert files == set(KUSTOMIZATION["resources"])
    images = {
        container["image"]
        for one in MANIFESTS
        if one["kind"] == "Deployment"
        for container in one["spec"]["template"]["spec"]["containers"]
    }
    assert images == {image["name"] for image in KUSTOMIZATION["images"]}


@pytest.mark.parametrize("name", ["worker", "watch", "gateway"])
def test_a_deployment_is_confined_and_asked_how_it_is(name: str) -> None:
    pod = of("Deployment", name)["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["resources"].keys() == {"requests", "limits"}
    assert not [one for one in container["env"] if re.search(r"://[^/]*@", str(one))]


def test_a_worker_has_time_to_drain() -> None:
    pod = of("Deployment", "worker")["spec"]["template"]["spec"]
    waits_s = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > waits_s + 5 + 1
    assert of("PodDisruptionBudget", "worker")["spec"]["maxUnavailable"] == 1
