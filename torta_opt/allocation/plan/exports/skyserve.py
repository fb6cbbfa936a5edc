"""SkyServe services (SkyPilot): one per model, with the plan's range of replicas.

A service follows requests per second, not a timetable. Its resources are the regions and GPUs that
the plan uses for the model; the command serves it with vLLM and is to be adapted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from torta_opt.allocation.plan.data import Plan
from torta_opt.allocation.plan.exports.replicas import (
    Deployment,
    deployments,
    distinct,
    kubernetes_name,
    yaml_bytes,
)

PORT = 8000


def export(plan: Plan, minutes: int) -> dict[str, bytes]:
    """One file per model and size of replica."""
    found = deployments(plan, minutes)
    groups: dict[tuple[str, int], list[Deployment]] = {}
    for each in found:
        groups.setdefault((each.model, each.gpus), []).append(each)
    names = distinct(kubernetes_name(f"{model}-{gpus}gpu") for model, gpus in groups)
    return {
        f"{name}.yaml": yaml_bytes(
            _service(plan, model, gpus, group),
            f"{model}, {gpus} GPU{'s' if gpus > 1 else ''} a replica: sky serve up FILE",
            "SkyServe follows load, not a timetable: only the range and the places are the plan's.",
        )
        for name, ((model, gpus), group) in zip(names, groups.items(), strict=True)
    }


def _service(plan: Plan, model: str, gpus: int, group: list[Deployment]) -> dict[str, Any]:
    steps = np.sum([each.steps for each in group], axis=0)
    spot = [each for each in group if each.buy == "spot"]
    policy: dict[str, Any] = {
        "min_replicas": int(steps.min()),
        "max_replicas": max(int(steps.max()), 1),
        "target_qps_per_replica": min(each.qps for each in group),
    }
    if spot and len(spot) < len(group):
        policy["dynamic_ondemand_fallback"] = True
    places = []
    for each in group:
        region = each.region if plan.site is None else plan.site.clouds[each.region]
        place: dict[str, Any] = {"accelerators": f"{each.gpu}:{gpus}", "region": region}
        if each.buy == "spot":
            place["use_spot"] = True
        if place not in places:
            places.append(place)
    return {
        "service": {"readiness_probe": "/health", "replica_policy": policy},
        "resources": {"any_of": places, "ports": PORT},
        "run": f"vllm serve {model} --tensor-parallel-size {gpus} --port {PORT}\n",
    }
