"""HorizontalPodAutoscalers (autoscaling/v2): the plan's range of replicas.

An HPA knows no timetable. It gets the plan's least and most replicas (at least 1: scaling to zero
needs a feature gate) and as its target the requests per second that a replica serves at the plan's
load point, as the Pods metric ``requests_per_second`` that an adapter must provide.
"""

from __future__ import annotations

from typing import Any

from torta_opt.allocation.plan.data import Plan
from torta_opt.allocation.plan.exports.replicas import (
    Deployment,
    deployments,
    distinct,
    yaml_bytes,
)


def export(plan: Plan, minutes: int) -> dict[str, bytes]:
    """One manifest per region, type and model."""
    found = deployments(plan, minutes)
    return {
        f"{name}.yaml": yaml_bytes(
            _autoscaler(each, name),
            f"{each.model} on {each.type} in {each.region}; apply it to the cluster there.",
            "An HPA follows load, not the plan's timetable: only the range is the plan's.",
        )
        for each, name in zip(found, distinct(each.name for each in found), strict=True)
    }


def _autoscaler(each: Deployment, name: str) -> dict[str, Any]:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": max(int(each.steps.min()), 1),
            "maxReplicas": max(int(each.steps.max()), 1),
            "metrics": [
                {
                    "type": "Pods",
                    "pods": {
                        "metric": {"name": "requests_per_second"},
                        "target": {
                            "type": "AverageValue",
                            "averageValue": f"{round(each.qps * 1000)}m",
                        },
                    },
                }
            ],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
        },
    }
