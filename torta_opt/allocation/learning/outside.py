"""What no action changes: the forecasts of each slot and the optimal transport for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.learning.task import Task
from torta_opt.allocation.policies.base import Observation
from torta_opt.allocation.policies.dispatch import Tables
from torta_opt.allocation.policies.forecasters import forecaster
from torta_opt.allocation.policies.torta_ot import Parameters, TransportTarget
from torta_opt.allocation.schedule.step import initial_state


@dataclass(frozen=True, eq=False)
class Outside:
    """Forecasts and transport of one instance; of N with N as first axis if made by ``stacked``.

    expected       (T, R, C) forecasts of the slots to come
    target         (T, R, R) P_t, row-stochastic
    usd            (T, R, R) costs of the transport problem
    cost_unit_usd  the floor of an average slot's service
    """

    expected: np.ndarray
    target: np.ndarray
    usd: np.ndarray
    cost_unit_usd: np.ndarray

    @classmethod
    def stacked(
        cls, instances: Sequence[Instance], task: Task, parameters: Parameters, smoothing: float
    ) -> Outside:
        found: list[Outside] = []
        known: dict[int, int] = {}  # the same instance may stand here several times
        for n, instance in enumerate(instances):
            twin = known.setdefault(id(instance), n)
            if twin < n and task.forecaster != "corrupted":
                found.append(found[twin])
            else:
                found.append(cls.of(instance, task, parameters, smoothing, n))
        return cls(
            np.stack([each.expected for each in found]),
            np.stack([each.target for each in found]),
            np.stack([each.usd for each in found]),
            np.maximum(np.array([each.cost_unit_usd for each in found]), 1e-9),
        )

    @classmethod
    def of(
        cls, instance: Instance, task: Task, parameters: Parameters, smoothing: float, seed: int
    ) -> Outside:
        system = instance.system
        macro = TransportTarget(Tables(system), parameters)
        future = forecaster(
            task.forecaster, smoothing, future=instance.arrivals, rng=np.random.default_rng(seed)
        )
        forecasts = [future.update(arrivals) for arrivals in instance.arrivals]
        target, usd = _targets(instance, macro, forecasts)
        seconds = np.nanmin(system.service_s, axis=0)
        arrived = instance.arrivals.sum(axis=(0, 1))
        unit = system.weights.time_usd_per_s * (arrived * seconds).sum() / instance.slots
        return cls(np.stack(forecasts), target, usd, unit)


def _targets(
    instance: Instance, macro: TransportTarget, forecasts: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """(T, R, R) row-stochastic targets and the transport costs they come from."""
    state = initial_state(instance)  # any state will do: the transport depends on the outside only
    targets, usd = [], []
    for t, expected in enumerate(forecasts):
        seen = Observation(
            slot=t,
            arrivals=instance.arrivals[t],
            up=instance.up[t],
            past_arrivals=instance.arrivals[:t],
            past_up=instance.up[:t],
            price_ahead=instance.price_usd_per_kwh[t : t + 1],
            state=state,
        )
        macro.see(seen, expected)
        targets.append(macro.shares(instance.arrivals[t].sum(axis=1)))
        usd.append(macro.usd)
    return np.stack(targets), np.stack(usd)
