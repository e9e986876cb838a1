"""compose/k8s rendered as Kustomize does, as far as names and references are concerned, without kubectl."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.observed import ROOT
from tests.support.yamls import read_yaml, read_yaml_all

FOLDER = ROOT / "compose/k8s"
Manifest = dict[str, Any]


def kustomization(name: str = ".") -> dict[str, Any]:
    """Return the kustomization of a folder below compose/k8s."""
    found: dict[str, Any] = read_yaml((FOLDER / name / "kustomization.yaml").read_text())
    return found


def manifests(name: str = ".") -> list[Manifest]:
    """Return the objects of a kustomization: those of its files, and those that it generates."""
    settings = kustomization(name)
    found = [
        one
        for file in settings["resources"]
        if file.endswith(".yaml")
        for one in read_yaml_all((FOLDER / name / file).read_text())
    ]
    for kind in ("ConfigMap", "Secret"):
        for generator in settings.get(f"{kind[0].lower()}{kind[1:]}Generator", ()):
            found.append(_generated(kind, generator))
    return found


def generated_files(name: str = ".") -> list[Path]:
    """Return the paths of all files that a kustomization's generators read."""
    settings = kustomization(name)
    generators = [*settings.get("secretGenerator", ()), *settings.get("configMapGenerator", ())]
    return [FOLDER / name / _key_and_path(file)[1] for one in generators for file in one.get("files", ())]


def pods(objects: list[Manifest]) -> Iterator[tuple[Manifest, Manifest]]:
    """Yield every object that creates pods, with the template of its pods."""
    for one in objects:
        if one["kind"] in ("Deployment", "StatefulSet"):
            yield one, one["spec"]["template"]


def secret_keys(pod: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (name of a Secret, key) for every reference of a pod's volumes; the key is empty for all keys."""
    for volume in pod["volumes"]:
        projected = [one["secret"] for one in volume.get("projected", {}).get("sources", ())]
        direct = [{"name": volume["secret"]["secretName"], **volume["secret"]}] if "secret" in volume else []
        for secret in projected + direct:
            for item in secret.get("items", [{"key": ""}]):
                yield secret["name"], item["key"]


def mounted(pod: dict[str, Any], keys: dict[str, set[str]]) -> set[str]:
    """Return the paths of all files that Secrets mount into a pod's first container.

    Args:
        pod: its spec.
        keys: the keys of each Secret.
    """
    found = set[str]()
    for mount in pod["containers"][0]["volumeMounts"]:
        volume = next((one for one in pod["volumes"] if one["name"] == mount["name"]), {})
        for source in volume.get("projected", {}).get("sources", ()):
            secret = source["secret"]
            paths = [item["path"] for item in secret.get("items", ())] or keys[secret["name"]]
            found |= {f"{mount['mountPath']}/{path}" for path in paths}
        if "secret" in volume:
            found |= {f"{mount['mountPath']}/{key}" for key in keys[volume["secret"]["secretName"]]}
    return found


def _generated(kind: str, generator: dict[str, Any]) -> Manifest:
    keys = [_key_and_path(file)[0] for file in generator.get("files", ())]
    keys += [literal.partition("=")[0] for literal in generator.get("literals", ())]
    found: Manifest = {"apiVersion": "v1", "kind": kind, "metadata": {"name": generator["name"]}}
    return (
        found
        | {"data": dict.fromkeys(keys, "")}
        | ({"type": generator["type"]} if "type" in generator else {})
    )


def _key_and_path(file: str) -> tuple[str, str]:
    key, _, path = file.partition("=")
    return (key, path) if path else (Path(key).name, key)
