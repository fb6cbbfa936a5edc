from __future__ import annotations

from typing import Any

import pytest
from support.plain import make_instance, make_schedule

from torta_opt.bounds.floor import floor
from torta_opt.bounds.registry import AUTO, METHODS, Task, choose, compute
from torta_opt.instance.generate import generate
from torta_opt.io import InvalidInput, LimitReached
from torta_opt.schedule import evaluate
from torta_opt.solvers import Limits

INSTANCE = make_instance(
    [[[3]], [[0]]],
    weights={"time_usd_per_s": 1.0, "expiry_usd": 99.0},
    initial={"model": [0]},
)


def test_floor_is_the_closed_form_and_names_itself() -> None:
    result = compute(INSTANCE, "floor")
    assert result.value == floor(INSTANCE).value == 3.0
    assert sum(result.costs.values()) == pytest.approx(result.value)
    assert (result.source, result.certified) == ("floor", False)
    assert result.seconds >= 0


def test_unknown_method_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        InvalidInput,
        match="method: 'nothing' is not a bound; known: floor, merged, lp, windows, milp, auto",
    ):
        compute(INSTANCE, "nothing")


@pytest.mark.parametrize("method", ["merged", "lp", "windows", "milp"])
def test_bounds_of_the_program_hold_and_can_tell(method: str) -> None:
    schedule = make_schedule(INSTANCE, processing=[(0, 0, 0, 1), (1, 0, 0, 2)])
    result = compute(INSTANCE, method)
    assert floor(INSTANCE).value <= result.value <= evaluate(INSTANCE, schedule).cost
    assert result.source == method
    assert result.certified == (result.certificate is not None)
    assert result.certified or method == "milp"
    assert result.holds is not None
    assert result.holds(schedule, evaluate(INSTANCE, schedule).cost).ok
    assert not result.holds(schedule, 0.5 * evaluate(INSTANCE, schedule).cost).ok


def test_auto_is_the_relaxation_where_that_is_small() -> None:
    assert compute(INSTANCE, AUTO).source == "lp"
    assert choose(generate("paper/polska", slots=20)) == "lp"
    assert choose(generate("paper/polska", slots=100)) == "merged"


def test_limits_reach_the_solver() -> None:
    instance = generate("paper/polska", slots=6)
    stopped = compute(instance, "lp", Task(Limits(seconds=0)))
    assert floor(instance).value <= stopped.value < compute(instance, "lp").value


def test_every_method_says_what_it_does() -> None:
    assert all(method.summary for method in METHODS.values())


@pytest.mark.parametrize(
    ("error", "status"), [(LimitReached, "limit"), (KeyboardInterrupt, "interrupted")]
)
def test_the_floor_stands_in_for_a_bound_that_was_not_found(
    error: type[BaseException], status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(*_: Any, **__: Any) -> Any:
        raise error("too late")

    monkeypatch.setattr("torta_opt.bounds.lp.lp_bound", nothing)
    found = compute(INSTANCE, "lp")
    assert (found.value, found.source) == (floor(INSTANCE).value, "floor")
    assert found.status == status
    assert found.stopped.startswith("lp: ")


@pytest.mark.parametrize("method", ["merged", "lp", "windows", "milp"])
def test_done_and_limit(method: str) -> None:
    assert compute(INSTANCE, method).status == "done"
    late = compute(generate("small/expiry"), method, Task(Limits(seconds=0.0)))
    assert late.status == "limit"
    assert late.value <= compute(generate("small/expiry"), "milp").value
