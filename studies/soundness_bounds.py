"""Soundness of every registered bound, and of bounds under a user's constraint.

Steps of ``soundness_steps``, whose table names them.
"""

from __future__ import annotations

import numpy as np
from soundness_answers import (
    MOST_STATES,
    WAITING,
    Disagreement,
    agreed,
    at_most,
    close,
    equal,
    solved,
)
from support.optima import slack
from support.placement_reference import Reference
from support.tiny import TINIEST, TooLarge, brute_force_optimum, random_tiny_instance

from torta_opt.allocation.bounds import registry
from torta_opt.allocation.bounds.of_pyomo_model import bound_of_model
from torta_opt.allocation.formulations.carbon import carbon_cap, carbon_kg
from torta_opt.allocation.formulations.exact import build_exact_program
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.formulations.pyomo_model import build_allocation_model
from torta_opt.allocation.formulations.user_constraint import with_user_constraints
from torta_opt.allocation.instance.carbon import with_carbon, with_carbon_price
from torta_opt.allocation.schedule import evaluate
from torta_opt.allocation.search.carbon_cap import capped_bound
from torta_opt.family import AUTO, Request
from torta_opt.io import Infeasible, InvalidInput
from torta_opt.placement.bounds.document import derived_s
from torta_opt.placement.family import BOUNDS as PLACEMENT_BOUNDS
from torta_opt.placement.instance.data import PlacementInstance
from torta_opt.placement.instance.document import instance_to_document
from torta_opt.placement.instance.presets import tiny
from torta_opt.results import BoundResult

SHAPE = {"servers": 4, "blocks": 4, "clients": 3, "requests": 3}  # of placement, exclusive
WEAKER = (("merged", "lp"), ("merged", "whole"), ("lp", "milp"), ("whole", "merged_milp"))
ROUNDING = 1e-9  # share of a cap: sums of energy in another order


def bounds(rng: np.random.Generator, n: int) -> dict[str, int]:
    """Every registered bound of one future, and ``auto``: none above the cheapest schedule."""
    instance, best = solved(rng, **WAITING if n % 2 else {})
    names = [name for name, method in registry.METHODS.items() if not method.statistical]
    found = {name: registry.compute(instance, name) for name in [*names, AUTO]}
    for name, each in found.items():
        _valid(name, each, best, found["floor"].value)
        if each.certificate is not None:
            proved = registry.rederived(each.certificate, instance)
            if proved != each.value:
                raise Disagreement(f"{name}: {each.value!r}, its certificate {proved!r}")
    for weak, strong in WEAKER:
        at_most(found[weak].value, found[strong].value, f"{weak} above {strong}")
    return {"bounds": len(found), "certified": sum(each.certified for each in found.values())}


def _valid(name: str, found: BoundResult, best: float, floor: float) -> None:
    if not floor <= found.value <= best + slack(best):
        told = f"a bound of {found.value!r}, brute force {best!r}, floor {floor!r}"
        raise Disagreement(f"{name}: {told}")


def placement_bounds(rng: np.random.Generator, n: int) -> dict[str, int]:
    """Every registered bound of block placement: none above the best placement and routes."""
    shape = {name: int(rng.integers(1, most)) for name, most in SHAPE.items()}
    instance = tiny(int(rng.integers(2**31)), **shape)
    optimum = Reference(instance_to_document(instance)).optimum()
    if optimum is None:
        return _nothing_to_bound(instance)
    best = float(optimum)
    found = {name: m.compute(instance, Request()) for name, m in PLACEMENT_BOUNDS.items()}
    for name, each in found.items():
        _valid(name, each, best, found["floor"].value)
        if each.certificate is not None and derived_s(instance, each.certificate) != each.value:
            raise Disagreement(f"{name}: {each.value!r} is not what its proof derives")
    exact = found["milp"]  # the tree may end below: no split helps some boxes
    if exact.limited or not close(exact.value, best):
        raise Disagreement(f"milp, to its end: {exact.value!r}, brute force {best!r}")
    return {"bounds": len(found), "certified": sum(each.certified for each in found.values())}


def _nothing_to_bound(instance: PlacementInstance) -> dict[str, int]:
    """Branch and bound proves that nothing is feasible, or says so at once."""
    try:
        found = PLACEMENT_BOUNDS["milp"].compute(instance, Request())
    except Infeasible:
        return {"infeasible": 1}
    raise Disagreement(f"milp: {found.value!r}, brute force finds no schedule")


def constraint(rng: np.random.Generator, n: int) -> dict[str, int]:
    """A cap on CO₂, as rows of a user, as rows of a Pyomo model and as a price on carbon.

    The cheapest schedule under a carbon price keeps the cap of its own emissions, and none that
    keeps it is cheaper: so the optimum under that cap is known.
    """
    instance = random_tiny_instance(rng, TINIEST)
    regions = len(instance.system.regions)
    instance = with_carbon(instance, np.where(np.arange(regions) % 2, 40.0, 700.0))
    try:
        priced = with_carbon_price(instance, float(10 ** rng.uniform(2, 5.5)))
    except InvalidInput:  # energy costs nothing here, so a price on carbon neither
        raise TooLarge from None
    schedule = brute_force_optimum(priced, max_states=MOST_STATES).schedule
    best, kg = evaluate(instance, schedule).cost, carbon_kg(instance, schedule)
    cap = carbon_cap(kg + ROUNDING * (1 + abs(kg)))
    pooled = with_user_constraints(build_allocation_program(instance, integer=True), [cap])
    problem = pooled.problem()
    at_most(agreed(problem, "pools under a cap"), best, "pools under a cap", problem)
    model = build_allocation_model(instance, integer=True)
    cap.add(model, instance)
    of_model = bound_of_model(model, whole=True).value
    by_price = capped_bound(instance, kg, steps=4).value
    for name, value in (("of a Pyomo model", of_model), ("by a carbon price", by_price)):
        if value > best + slack(best):
            raise Disagreement(f"bound {name}: {value!r}, brute force {best!r}")
    seen = {"programs": 1, "bounds": 2}
    exact = build_exact_program(instance)
    if exact is None:  # squares of routing changes with too many values
        return seen
    problem = with_user_constraints(exact, [cap]).problem()
    equal(agreed(problem, "exact under a cap"), best, "exact under a cap", problem)
    return {**seen, "programs": 2}
