"""The Kubernetes manifests that follow from the code: what to scale on, and the alerts of deploy/prometheus."""

from pathlib import Path
from typing import Any

import yaml

from cli.docs import objectives
from shared.topics import ASSIGNMENT, PLANNED, PRELABEL, SERVICES, TOPICS

REPOSITORY = Path(__file__).parents[2]
ROOT = Path("deploy/kubernetes/base")
RULES = Path("deploy/prometheus/rules")
HEAD = "# Written by `python -m cli.docs` from {source}; do not edit.\n"
AUTHENTICATION = "labelstream-kafka"
LEAST, MOST = 2, 12
LAG_RECORDS = 5_000
"""How far one replica may be behind before there is another: some seconds of work; see docs/operations.md."""
CPU_PERCENT = 70


def pages() -> dict[Path, str]:
    """Path -> text."""
    return {ROOT / "scaledobjects.yaml": scaled_objects(), ROOT / "prometheusrule.yaml": prometheus_rule()}


def triggers(service: str, prefix: str = "") -> list[dict[str, Any]]:
    """One for every group of a service: the lag of its topic, and processor time where people wait for answers."""
    found: list[dict[str, Any]] = [
        {
            "type": "kafka",
            "authenticationRef": {"name": AUTHENTICATION},
            "metadata": {
                "bootstrapServersFromEnv": "LABELSTREAM_KAFKA_BOOTSTRAP",
                "consumerGroup": f"{prefix}{service}.{topic.name}",
                "topic": f"{prefix}{topic.name}",
                "lagThreshold": str(LAG_RECORDS),
                "offsetResetPolicy": "earliest",
                "sasl": "scram_sha512",
                "tls": "enable",
            },
        }
        for topic in TOPICS
        if service in topic.readers and not topic.compacted and (service, "reads", topic.name) not in PLANNED
    ]
    if service in (PRELABEL, ASSIGNMENT):
        found.append({"type": "cpu", "metricType": "Utilization", "metadata": {"value": str(CPU_PERCENT)}})
    return found


def scaled_objects(prefix: str = "") -> str:
    """KEDA's objects; `prefix` is LABELSTREAM_KAFKA_PREFIX of the deployment."""
    keys = {"username": "kafka-username", "password": "kafka-password"}
    references = [{"parameter": name, "name": "labelstream-keda", "key": key} for name, key in keys.items()]
    references.append({"parameter": "ca", "name": "labelstream-ca", "key": "kafka.crt"})
    documents: list[dict[str, Any]] = [
        {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "TriggerAuthentication",
            "metadata": {"name": AUTHENTICATION},
            "spec": {"secretTargetRef": references},
        }
    ]
    documents += [
        {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": {"name": service},
            "spec": {
                "scaleTargetRef": {"name": service},
                "minReplicaCount": LEAST,
                "maxReplicaCount": MOST,  # more replicas than partitions would wait
                "cooldownPeriod": 300,
                "fallback": {"failureThreshold": 5, "replicas": LEAST},
                # A replica more or less is a rebalance: up quickly, down slowly.
                "advanced": {
                    "horizontalPodAutoscalerConfig": {
                        "behavior": {
                            "scaleUp": {"stabilizationWindowSeconds": 30},
                            "scaleDown": {
                                "stabilizationWindowSeconds": 600,
                                "policies": [{"type": "Pods", "value": 1, "periodSeconds": 120}],
                            },
                        }
                    }
                },
                "triggers": triggers(service, prefix),
            },
        }
        for service in SERVICES
    ]
    return HEAD.format(source="shared/topics.py") + yaml.safe_dump_all(documents, sort_keys=False, width=120)


def prometheus_rule() -> str:
    """The groups of every file of deploy/prometheus/rules, as one object of the Prometheus operator."""
    texts = {path.name: path.read_text() for path in (REPOSITORY / RULES).glob("*.yml")}
    texts |= {path.name: text for path, text in objectives.pages().items()}  # as they will be, not as they were
    groups = [group for _, text in sorted(texts.items()) for group in yaml.safe_load(text)["groups"]]
    document = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "labelstream"},
        "spec": {"groups": groups},
    }
    return HEAD.format(source=RULES) + yaml.safe_dump(document, sort_keys=False, width=120)
