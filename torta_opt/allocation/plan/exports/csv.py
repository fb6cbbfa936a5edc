"""Replicas by step as one CSV table."""

from __future__ import annotations

from torta_opt.allocation.plan.data import Plan, Table, clock
from torta_opt.allocation.plan.exports.replicas import deployments, slots_per_step
from torta_opt.allocation.plan.write import csv_bytes


def export(plan: Plan, minutes: int) -> dict[str, bytes]:
    """``replicas.csv``: a row for each step and deployment."""
    step = slots_per_step(plan, minutes)
    rows = [
        (
            n * step,
            clock(plan.start_ms, n * step, plan.instance.system.slot_ms),
            each.region,
            each.type,
            each.model,
            each.gpus,
            int(replicas),
        )
        for each in deployments(plan, minutes)
        for n, replicas in enumerate(each.steps)
    ]
    titles = ("slot", "time", "region", "type", "model", "gpus_per_replica", "replicas")
    return {"replicas.csv": csv_bytes(Table(titles, tuple(rows)))}
