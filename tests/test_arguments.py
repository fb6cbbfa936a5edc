"""Wrong arguments of public functions: one plain line that names the argument and the rule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.plain import make_instance, make_schedule

import torta_opt
from torta_opt import api, families, gaps
from torta_opt.allocation.instance import Instance
from torta_opt.io import InvalidInput
from torta_opt.placement.instance.presets import tiny

ALLOCATION = make_instance([[[3]], [[0]]], weights={"expiry_usd": 9.0}, initial={"model": [0]})
PLACEMENT = tiny(0)
KINDS = pytest.mark.parametrize(
    "instance", [ALLOCATION, PLACEMENT], ids=["allocation", "placement"]
)
FLOOR = api.bound(ALLOCATION, "floor")
SCHEDULE = make_schedule(ALLOCATION)


def method_for(instance: Instance) -> str:
    return "cg_bprr" if (families.family_of(instance).name == "placement") else "greedy_forecast"


def refuses(call: Callable[..., Any], *arguments: Any, says: str, **named: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        call(*arguments, **named)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "call",
    [
        lambda wrong: torta_opt.solve(wrong),
        lambda wrong: torta_opt.bound(wrong),
        lambda wrong: torta_opt.gap(wrong),
        lambda wrong: api.verify_file(wrong, "s.json"),
        lambda wrong: api.describe(wrong),
        lambda wrong: api.export(wrong, "p.mps"),
        lambda wrong: gaps.compare(wrong, "mine", SCHEDULE, FLOOR, FLOOR),
        lambda wrong: api.load_bound("b.json", wrong),
        lambda wrong: api.reweighted(wrong, "x4"),
        lambda wrong: api.load_schedule("s.json", wrong),
        lambda wrong: api.save_schedule(SCHEDULE, wrong, "s.json"),
        lambda wrong: api.bound_to_document(FLOOR, wrong),
        lambda wrong: api.build_model(wrong),
        lambda wrong: api.build_program(wrong),
        lambda wrong: api.verify(wrong, SCHEDULE),
        lambda wrong: api.evaluate(wrong, SCHEDULE),
        lambda wrong: api.save_instance(wrong, "i.json"),
    ],
)
def test_what_is_no_instance(call: Callable[[Any], Any], tmp_path: Path) -> None:
    file = "instance: must be an instance; open_instance reads a file, found "
    refuses(call, "abilene.json.gz", says=file + "'abilene.json.gz'")
    refuses(call, tmp_path / "i.json", says=file)
    refuses(call, 5, says="instance: must be an instance, found 5")
    refuses(call, [ALLOCATION], says="instance: must be an instance, found list")


@KINDS
@pytest.mark.parametrize("call", [torta_opt.solve, torta_opt.bound, torta_opt.gap])
def test_limits_constraints_and_watchers(call: Callable[..., Any], instance: Instance) -> None:
    refuses(call, instance, limits=5, says="limits: must be torta_opt.solvers.Limits")
    for wrong in (5, [5], "few", {"few": 1}):
        kind = families.family_of(instance).constraint_type
        rule = "constraints: must be " + ("a list of UserConstraint" if kind else "left out")
        refuses(call, instance, constraints=wrong, says=rule)
    refuses(call, instance, solver_watch=5, says="solver_watch: must be a function, found 5")


@KINDS
@pytest.mark.parametrize("seed", ["x", 1.5, -1, None, True])
def test_seeds(instance: Instance, seed: Any) -> None:
    rule = f"seed: must be a whole number, at least 0, found {seed!r}"
    refuses(torta_opt.solve, instance, method_for(instance), seed=seed, says=rule)
    refuses(torta_opt.gap, instance, seed=seed, says=rule)


@KINDS
def test_methods(instance: Instance) -> None:
    rule = "method: must be a name, found 5"
    refuses(torta_opt.solve, instance, 5, says=rule)
    refuses(torta_opt.bound, instance, 5, says=rule)
    refuses(torta_opt.gap, instance, bound_method=5, says=rule)


@KINDS
def test_schedules(instance: Instance, tmp_path: Path) -> None:
    result = torta_opt.solve(instance, method_for(instance))
    own = {"mine": result.schedule}
    solve, gap = torta_opt.solve, torta_opt.gap
    a_schedule = "must be a schedule of the instance"
    refuses(solve, instance, "optimal", start=result, says=f"start: {a_schedule}; pass its .sched")
    refuses(solve, instance, "optimal", start="s.json", says=f"start: {a_schedule}; load_schedule")
    refuses(gap, instance, schedules=[result.schedule], says="schedules: must be a dict of")
    refuses(
        gap, instance, schedules={"mine": result}, says=f"schedules['mine']: {a_schedule}; pass"
    )
    refuses(
        gap, instance, schedules={1: result.schedule}, says="schedules: must be a name, found 1"
    )
    refuses(
        api.save_schedule, result, instance, tmp_path / "s.json", says=f"schedule: {a_schedule}"
    )
    other = PLACEMENT if instance is ALLOCATION else ALLOCATION
    refuses(gap, other, schedules=own, says=f"schedules['mine']: {a_schedule}, found ")
    assert gap(instance, schedules=own, bound_method="floor").results[0].policy == "mine"


@KINDS
def test_one_policy_alone_is_a_list_of_one(instance: Instance) -> None:
    name = method_for(instance)
    alone, listed = (
        torta_opt.gap(instance, policies=given, bound_method="floor") for given in (name, [name])
    )
    assert [each.policy for each in alone.results] == [name]
    assert alone.results[0].cost == listed.results[0].cost
    refuses(torta_opt.gap, instance, "magic", says="'magic' ")
    for wrong in (5, [5], {name: 1}):
        refuses(torta_opt.gap, instance, wrong, says="policies: must be a list of names, found ")


def test_other_weights() -> None:
    report = torta_opt.gap(ALLOCATION, "round_robin", bound_method="floor", sensitivity="x4")
    assert list(report.sensitivity) == ["x4"]
    refuses(torta_opt.gap, ALLOCATION, sensitivity=[4], says="sensitivity: must be a list of names")
    refuses(api.reweighted, ALLOCATION, 4, says="weights: must be a name, found 4")


def test_bounds() -> None:
    rule = "proved: must be a bound, as bound and load_bound return it, found 3.0"
    refuses(torta_opt.gap, ALLOCATION, "round_robin", proved=3.0, says=rule)
    refuses(api.bound_to_document, 3.0, ALLOCATION, says=rule)
    refuses(gaps.compare, ALLOCATION, "mine", SCHEDULE, 3.0, FLOOR, says=rule)
    refuses(gaps.compare, ALLOCATION, "mine", SCHEDULE, FLOOR, 3.0, says="least: must be a bound")


@KINDS
def test_paths(instance: Instance) -> None:
    rule = "path: must be the path of a file, found 5"
    refuses(api.open_instance, 5, says=rule)
    refuses(api.verify_file, instance, 5, says=rule)
    refuses(api.load_schedule, 5, instance, says=rule)
    if instance is ALLOCATION:
        refuses(api.export, instance, 5, says=rule)
        refuses(api.load_bound, 5, instance, says=rule)
