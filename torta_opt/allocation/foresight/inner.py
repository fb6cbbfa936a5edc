"""The inner problem of one future: what a clairvoyant pays there, penalty included, from below.

The merged program of the future is solved with the charges of the penalty added to its costs. The
value is what the checker (``bounds/checker``) derives from the duals, with charges that
``charges_of`` computes anew from the law, in plain loops.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from torta_opt.allocation.bounds.certificate import Certificate
from torta_opt.allocation.bounds.certify import merged_certificate
from torta_opt.allocation.bounds.checker.check import certified_bound
from torta_opt.allocation.bounds.registry import LOSS
from torta_opt.allocation.foresight.futures import expected_along
from torta_opt.allocation.foresight.penalty import Errors, Penalty, features
from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
from torta_opt.allocation.formulations.merged import (
    MergedProgram,
    build_merged_program,
    check_merged,
    lift_merged,
)
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.law.base import DemandLaw
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.io.errors import LimitReached, VerificationFailed
from torta_opt.solvers import Limits, Result, Status, solve_lp

Charges = Mapping[tuple[Any, ...], float]  # dollars by column of a certificate


def merged_of(instance: Instance, tiers: int | None = None) -> MergedProgram:
    """The merged program of an instance, with knapsack rows."""
    merged = build_merged_program(instance, tiers=tiers)
    return dataclasses.replace(merged, program=with_knapsack_rows(merged.program))


def kinds_of(merged: MergedProgram) -> np.ndarray:
    """(P,) type of the servers of each pool of the merged program, as the instance numbers them."""
    kind = np.zeros(len(merged.program.pools), np.int64)
    kind[merged.group] = merged.pools.type
    return kind


def errors_along(law: DemandLaw, future: Instance, horizons: tuple[int, ...]) -> Errors:
    return Errors.of(future, expected_along(law, future, horizons), horizons)


def charged(merged: MergedProgram, penalty: Penalty, errors: Errors) -> np.ndarray:
    """(columns,) dollars that a penalty adds to the costs of the merged program."""
    usd: np.ndarray = features(merged.program, kinds_of(merged), errors) @ penalty.vector
    return usd


def solved(merged: MergedProgram, usd: np.ndarray | float, limits: Limits | None = None) -> Result:
    """The merged program with ``usd`` (columns,) added to its costs. Raises LimitReached."""
    problem = merged.program.problem().relaxed()
    result = solve_lp(
        dataclasses.replace(problem, cost=problem.cost + usd), limits=limits, crossover=False
    )
    if result.status is Status.INTERRUPTED:
        raise KeyboardInterrupt
    if result.row_dual is None or result.status is not Status.OPTIMAL:
        raise LimitReached(f"{merged.instance.name}: no bound found within the limits")
    return result


def certified(
    merged: MergedProgram, result: Result, charges: Charges | None = None
) -> tuple[float, Certificate]:
    """What the checker derives from the duals of the merged program, charges included.

    Raises LimitReached where that is much less than what the solver states.
    """
    assert result.row_dual is not None
    certificate = merged_certificate(merged, result.row_dual)
    assert certificate is not None  # the merged program has no rows but those of the families
    value = certified_bound(certificate, merged.instance, charges)
    if value < result.objective - LOSS * abs(result.objective):
        raise LimitReached(f"{merged.instance.name}: the duals prove too little")
    return value, certificate


def charges_of(
    law: DemandLaw, future: Instance, penalty: Penalty, group: tuple[int, ...]
) -> dict[tuple[Any, ...], float]:
    """The same charges as ``charged``, by column of a certificate whose groups are ``group``.

    Written apart from it, in plain loops: the errors are computed anew from the law.
    """
    system = future.system
    kind_of = {g: int(system.server_type[s]) for s, g in enumerate(group)}
    work = [
        min(
            int(system.server_ms[k, c])
            for k in range(len(system.types))
            if 0 < system.server_ms[k, c] <= system.slot_ms
        )
        / system.slot_ms
        for c in range(len(system.classes))
    ]
    arrivals, model_of = future.arrivals.sum(axis=1).tolist(), system.class_model.tolist()
    expected = expected_along(law, future, penalty.horizons).tolist()
    charges: dict[tuple[Any, ...], float] = defaultdict(float)
    for t in range(future.slots):
        for n, ahead in enumerate(penalty.horizons):
            if t + ahead >= future.slots:
                continue
            come, wanted = [0.0] * len(system.models), [0.0] * len(system.models)
            for c, share in enumerate(work):
                came, mean = share * arrivals[t + ahead][c], share * expected[t][n][c]
                come[model_of[c]] += came
                wanted[model_of[c]] += mean
                error = (came - mean) / max(mean, 1.0)
                charges["q", t, 0, c] += float(penalty.waiting[c, n]) * error
            for name, usd in penalty.servers.items():
                for g, k in kind_of.items():
                    for m in range(len(system.models)):
                        error = (come[m] - wanted[m]) / max(wanted[m], 1.0)
                        charges[name, t, g, m] += float(usd[k, m, n]) * error
    return charges


def penalty_of(merged: MergedProgram, usd: np.ndarray, schedule: Schedule) -> float:
    """z of a schedule: what the charges add to its cost."""
    return float((usd * merged.program.vector(lift_merged(merged, schedule))).sum())


def raise_if_outside(merged: MergedProgram, name: str, schedule: Schedule, cost: float) -> None:
    """Raise VerificationFailed if a schedule is not in the merged program, at no higher cost."""
    found = check_merged(merged, schedule, cost)
    if not found.ok:
        raise VerificationFailed(
            f"{name}: on {merged.instance.name} the merged program prices it at "
            f"{found.objective!r} instead of {cost!r}: the program is wrong"
        )
