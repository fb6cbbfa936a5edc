"""Exporters by name."""

from __future__ import annotations

from importlib import import_module

from torta_opt.allocation.plan.data import Plan
from torta_opt.io import InvalidInput

EXPORTERS = {  # name → what its files are; the module here has ``export(plan, minutes)``
    "csv": "replicas by time, region, type and model",
    "keda": "KEDA ScaledObjects with cron triggers, one per region, type and model",
    "hpa": "Kubernetes HorizontalPodAutoscalers with the plan's range of replicas",
    "skyserve": "SkyServe services, one per model, with the plan's range of replicas",
    "mooncake": "a request trace per region in Mooncake's format (needs --site)",
}


def export(kind: str, plan: Plan, minutes: int) -> dict[str, bytes]:
    """Files by name (below the plan's folder). Raises InvalidInput."""
    if kind not in EXPORTERS:
        known = ", ".join(EXPORTERS)
        raise InvalidInput(f"{kind!r:.60} is not known; known: {known}", field="--export")
    files: dict[str, bytes] = import_module(f"{__package__}.{kind}").export(plan, minutes)
    return {f"{kind}/{name}": content for name, content in files.items()}
