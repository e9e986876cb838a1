"""Write what is derived: python compose/k8s/make.py

The triggers of KEDA, one per partition; the alerts as an object of the Prometheus Operator; copies of files
that Kustomize does not read from outside its folder. A test holds that the files are up to date.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Final

import yaml

FOLDER: Final = Path(__file__).parent
COMPOSE: Final = FOLDER.parent
PARTITIONS: Final = 16
VALKEY: Final = "valkey.gesture-maze.svc.cluster.local:6379"
SCALED_OBJECT: Final = """\
# Workers by the lag of each partition: the group's cursor is the committed one, so it is the true lag. The
# largest trigger wins. More workers than partitions would have nothing to do. Written by make.py.
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata:
  name: valkey
spec:
  secretTargetRef:
    - {{parameter: username, name: keda, key: username}}
    - {{parameter: password, name: keda, key: password}}
    - {{parameter: tls, name: keda, key: tls}}
    - {{parameter: ca, name: keda, key: ca}}
    - {{parameter: cert, name: keda, key: cert}}
    - {{parameter: key, name: keda, key: key}}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: worker
spec:
  scaleTargetRef: {{name: worker}}
  # Not 0: the first player would wait for a container to start.
  minReplicaCount: 1
  maxReplicaCount: 8
  pollingInterval: 5
  cooldownPeriod: 120
  fallback: {{failureThreshold: 3, replicas: 2}}
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        scaleUp:
          stabilizationWindowSeconds: 0
          policies: [{{type: Pods, value: 2, periodSeconds: 10}}]
        scaleDown:
          stabilizationWindowSeconds: 120
          policies: [{{type: Pods, value: 1, periodSeconds: 30}}]
  triggers:
{triggers}"""
TRIGGER: Final = """\
    - type: redis-streams
      authenticationRef: {{name: valkey}}
      metadata:
        address: {address}
        stream: "frames:{{{partition}}}"
        consumerGroup: maze
        lagCount: "100"
        activationLagCount: "1"
"""


def scaled_object() -> str:
    """Return scaling/worker.yaml."""
    triggers = [TRIGGER.format(address=VALKEY, partition=number) for number in range(PARTITIONS)]
    return SCALED_OBJECT.format(triggers="".join(triggers))


def rules() -> str:
    """Return monitoring/rules.yaml: the recording rules and alerts of compose/prometheus."""
    files = [COMPOSE / "prometheus" / name for name in ("recording.yml", "alerts.yml")]
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    found: dict[str, Any] = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "maze"},
        "spec": {"groups": groups},
    }
    head = "# compose/prometheus/recording.yml and alerts.yml. Written by make.py.\n"
    return head + yaml.safe_dump(found, sort_keys=False, width=110)


def written() -> dict[Path, str]:
    """Return the path and the text of every derived file."""
    return {
        FOLDER / "redis.conf": (COMPOSE / "redis.conf").read_text(),
        FOLDER / "scaling/worker.yaml": scaled_object(),
        FOLDER / "monitoring/rules.yaml": rules(),
    }


def cluster_triggers(address: str, partitions: int) -> str:
    """Return scaling/worker.yaml for a cluster.

    Args:
        address: host:port of some nodes, with commas.
        partitions: of the pool.
    """
    trigger = TRIGGER.replace("type: redis-streams", "type: redis-cluster-streams")
    trigger = trigger.replace("address: {address}", "addresses: {address}")
    triggers = [trigger.format(address=address, partition=number) for number in range(partitions)]
    return SCALED_OBJECT.format(triggers="".join(triggers))


def main() -> None:
    """Write the files, or with --cluster print the triggers of a cluster."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cluster", metavar="HOST:PORT,...", help="print scaling/worker.yaml for a cluster")
    options.add_argument("--partitions", type=int, default=PARTITIONS, help="partitions of the pool")
    chosen = options.parse_args()
    if chosen.cluster:
        sys.stdout.write(cluster_triggers(chosen.cluster, chosen.partitions))
        return
    for path, text in written().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
