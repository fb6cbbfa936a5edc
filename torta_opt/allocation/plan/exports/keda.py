"""KEDA ScaledObjects (keda.sh/v1alpha1) with cron triggers: the plan's replicas by time of day.

Each run of steps with more replicas than the least is one trigger; triggers do not overlap, and
outside all of them ``minReplicaCount`` holds. A plan of up to a day repeats daily, one of up to a
week weekly. Times are UTC.
"""

from __future__ import annotations

import datetime
from typing import Any

from torta_opt.allocation.plan.data import Plan
from torta_opt.allocation.plan.exports.replicas import (
    Deployment,
    deployments,
    distinct,
    runs,
    yaml_bytes,
)
from torta_opt.io import InvalidInput

DAY_MS = 86_400_000


def export(plan: Plan, minutes: int) -> dict[str, bytes]:
    """One manifest per region, type and model."""
    if plan.start_ms is None:
        raise InvalidInput(
            "needs to know when slot 0 begins: --site SITE or --start TIME", field="--export keda"
        )
    found = deployments(plan, minutes)
    length_ms = minutes * 60_000 * max((len(each.steps) for each in found), default=0)
    if length_ms > 7 * DAY_MS:
        raise InvalidInput("repeats at most a week; the plan is longer", field="--export keda")
    if plan.start_ms % 60_000:
        raise InvalidInput(
            f"the plan begins at {plan.time(0)}, and cron knows whole minutes only: give --start "
            "TIME, or a whole minute as horizon.start of the site",
            field="--export keda",
        )
    files = {}
    for each, name in zip(found, distinct(each.name for each in found), strict=True):
        document = _scaled_object(plan.start_ms, minutes, each, name, length_ms > DAY_MS)
        files[f"{name}.yaml"] = yaml_bytes(
            document,
            f"{each.model} on {each.type} in {each.region}, from {plan.time(0)}; apply it to the",
            "cluster of that region. The Deployment of this name has one pod per replica "
            f"({each.gpus} GPU{'s' if each.gpus > 1 else ''}).",
        )
    return files


def _scaled_object(
    start_ms: int, minutes: int, each: Deployment, name: str, weekly: bool
) -> dict[str, Any]:
    least, most = int(each.steps.min()), int(each.steps.max())
    triggers = [
        _cron(start_ms + first * minutes * 60_000, start_ms + last * minutes * 60_000, n, weekly)
        for first, last, n in runs(each.steps)
        if n > least
    ]
    if not triggers:  # KEDA wants one: the same number all day
        triggers = [_cron(start_ms, start_ms + 12 * 3_600_000, least, weekly)]
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"name": name},
            "minReplicaCount": least,
            "maxReplicaCount": max(most, 1),
            "triggers": triggers,
        },
    }


def _cron(first_ms: int, last_ms: int, replicas: int, weekly: bool) -> dict[str, Any]:
    return {
        "type": "cron",
        "metadata": {
            "timezone": "Etc/UTC",
            "start": _expression(first_ms, weekly),
            "end": _expression(last_ms, weekly),
            "desiredReplicas": str(replicas),
        },
    }


def _expression(ms: int, weekly: bool) -> str:
    """Minute, hour, day, month, weekday (0 is Sunday)."""
    at = datetime.datetime.fromtimestamp(ms / 1000, datetime.UTC)
    weekday = str(at.isoweekday() % 7) if weekly else "*"
    return f"{at.minute} {at.hour} * * {weekday}"
