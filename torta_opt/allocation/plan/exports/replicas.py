"""Replicas by step of time: what autoscalers are told.

One replica is one pod: where the site is known, one copy of the model on its GPUs (a server of four
GPUs may run four); otherwise one server. A step has the most replicas of its slots, loading ones
included, because a pod exists from its start on.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import yaml

from torta_opt.allocation.plan.data import Plan, Unit
from torta_opt.allocation.site.gpus import split_label, split_type
from torta_opt.io import InvalidInput


@dataclass(frozen=True, eq=False)
class Deployment:
    """Replicas of one model on one server type in one region.

    steps     (n,) replicas in each step
    gpus      GPUs of one replica; gpu: their type
    buy       on_demand, reserved, spot or owned
    qps       requests per second of one replica, of the class it serves fastest
    """

    region: str
    type: str
    model: str
    steps: np.ndarray
    gpu: str
    gpus: int
    buy: str
    qps: float

    @property
    def name(self) -> str:
        """A name that Kubernetes accepts."""
        return kubernetes_name(f"{self.model}-{self.type}-{self.region}")


def deployments(plan: Plan, minutes: int) -> list[Deployment]:
    """All deployments that the plan ever has servers for."""
    system = plan.instance.system
    on = plan.on[: plan.slots_with_demand]
    step = slots_per_step(plan, minutes)
    padded = np.concatenate([on, np.repeat(on[-1:], -len(on) % step, axis=0)])
    most = padded.reshape(-1, step, *on.shape[1:]).max(axis=1)
    found = []
    for j, k, m in np.argwhere(on.max(axis=0) > 0).tolist():
        label, model = system.types[k], system.models[m]
        base, buy = split_label(label, system.regions[j])
        gpus, gpu = split_type(base)
        unit = Unit(1, gpus)
        if plan.site is not None:
            unit = plan.site.units[label, model]
        work = system.server_ms[k][(system.class_model == m) & system.compatible[k]]
        found.append(
            Deployment(
                system.regions[j],
                label,
                model,
                most[:, j, k, m] * unit.replicas,
                gpu,
                unit.gpus,
                buy,
                round(1000 / int(work.min()) / unit.replicas, 4),
            )
        )
    return found


def slots_per_step(plan: Plan, minutes: int) -> int:
    slot_ms = plan.instance.system.slot_ms
    if minutes * 60_000 % slot_ms:
        raise InvalidInput(
            f"{minutes} min must be a whole number of slots of {slot_ms / 1000:g} s",
            field="--step-minutes",
        )
    return minutes * 60_000 // slot_ms


def runs(steps: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """(first step, step after the last, replicas) of each run of equal steps."""
    edges = [0, *(np.flatnonzero(np.diff(steps)) + 1).tolist(), len(steps)]
    for first, last in itertools.pairwise(edges):
        yield first, last, int(steps[first])


def kubernetes_name(text: str) -> str:
    """Lower case letters, digits and hyphens, at most 63, as RFC 1123 labels."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].strip("-")
    return name or "unnamed"


def distinct(wanted: Iterable[str]) -> list[str]:
    """These names in order; a number tells apart those that are alike."""
    names: list[str] = []
    for each in wanted:
        name, n = each, 1
        while name in names:
            n += 1
            name = f"{each[:59]}-{n}"
        names.append(name)
    return names


def yaml_bytes(document: object, *comments: str) -> bytes:
    """A YAML document under comment lines."""
    head = "".join(f"# {line}\n" for line in comments)
    return (head + yaml.safe_dump(document, sort_keys=False, allow_unicode=True)).encode()
