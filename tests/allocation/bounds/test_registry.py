from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.plain import make_instance, make_schedule
from support.real_data import real_data
from support.tiny import random_tiny_instance

from torta_opt.allocation.bounds import merged, milp, registry
from torta_opt.allocation.bounds.floor import floor
from torta_opt.allocation.bounds.registry import (
    LOOSE,
    METHODS,
    TINY_CELLS,
    WHOLE_CELLS,
    cells_of,
    choose,
    compute,
    loose_servers,
)
from torta_opt.allocation.instance import load_instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.schedule import evaluate
from torta_opt.family import AUTO, BoundMethod, Request
from torta_opt.io import InvalidInput, LimitReached
from torta_opt.results import BoundResult
from torta_opt.solvers import Limits, SolverFailed

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
        match="method: 'nothing' is not a bound; known: floor, merged, whole, merged_milp, lp, "
        "windows, milp, nonanticipative, auto",
    ):
        compute(INSTANCE, "nothing")


@pytest.mark.parametrize("method", ["merged", "whole", "merged_milp", "lp", "windows", "milp"])
def test_bounds_of_the_program_hold_and_can_tell(method: str) -> None:
    schedule = make_schedule(INSTANCE, processing=[(0, 0, 0, 1), (1, 0, 0, 2)])
    result = compute(INSTANCE, method)
    assert floor(INSTANCE).value <= result.value <= evaluate(INSTANCE, schedule).cost
    assert result.source == method
    assert result.certified == (result.certificate is not None)
    assert result.certified or method in ("milp", "merged_milp")
    assert result.holds is not None
    assert result.holds(schedule, evaluate(INSTANCE, schedule).cost).ok
    assert not result.holds(schedule, 0.5 * evaluate(INSTANCE, schedule).cost).ok


def test_auto_is_the_relaxation_where_that_is_small() -> None:
    assert compute(INSTANCE, AUTO).source == "lp"
    assert choose(generate("paper/polska", slots=20)) == "lp"
    assert choose(generate("paper/polska", slots=100)) == "merged"


def test_auto_counts_servers_where_they_are_few_and_keeps_the_certified_bound_beside() -> None:
    """The linear relaxation runs half a server where a whole one must be loaded."""
    instance = generate("small/loading")
    relaxed, found = compute(instance, "lp"), compute(instance, AUTO)
    assert (found.source, found.certified, found.certificate) == ("milp", False, None)
    assert found.value > 1.1 * relaxed.value
    assert found.beside is not None
    assert (found.beside.source, found.beside.certified) == ("lp", True)
    assert found.beside.value == found.certified_value == pytest.approx(relaxed.value, rel=1e-6)
    assert relaxed.certified_value == relaxed.value
    assert "milp within" in found.why


def test_auto_is_never_weaker_than_the_relaxation_and_certified_where_it_proves_as_much() -> None:
    rng = np.random.default_rng(8)
    sources = set()
    for _ in range(8):
        instance = random_tiny_instance(rng)
        relaxed, found = compute(instance, "lp"), compute(instance, AUTO)
        assert found.value >= relaxed.value - 1e-6 * abs(relaxed.value)
        assert found.certified == (found.source == "lp")
        assert found.why
        sources.add(found.source)
    assert sources == {"lp", "milp"}


def test_auto_stops_at_nodes_not_at_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number of nodes that depends on the instance alone, or the task's if that is less."""
    given: list[int | None] = []

    def spy(relaxed: Any, limits: Limits, **_: Any) -> Any:
        given.append(limits.work)
        return relaxed

    monkeypatch.setattr("torta_opt.allocation.bounds.milp.branch_from", spy)
    instance = generate("small/loading")
    for limits in (None, Limits(seconds=3.0), Limits(work=2)):
        compute(instance, AUTO, Request(limits=limits))
    assert given == [WHOLE_CELLS // cells_of(instance)] * 2 + [2]


@pytest.mark.parametrize(("cells", "loose"), [(WHOLE_CELLS + 1, 1.0), (TINY_CELLS + 1, 0.05)])
def test_auto_leaves_branch_and_bound_where_it_takes_long_or_gains_little(
    cells: int, loose: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "cells_of", lambda _: cells)
    monkeypatch.setattr(registry, "loose_servers", lambda _: loose)
    monkeypatch.setattr(
        "torta_opt.allocation.bounds.milp.branch_from", lambda *_, **__: pytest.fail("ran")
    )
    found = compute(generate("small/loading"), AUTO)
    assert (found.source, found.certified) == ("whole" if loose > LOOSE else "lp", True)
    assert found.stronger == ("merged_milp" if loose > LOOSE else "")


def test_branch_and_bound_that_is_asked_for_has_the_certified_bound_beside_it_too() -> None:
    instance = generate("small/loading")
    found = compute(instance, "milp")
    assert (found.certified, found.why) == (False, "")
    assert found.beside is not None
    assert found.beside.certified
    assert found.beside.value < found.value


def test_a_planners_fleet_gets_a_bound_that_counts_servers() -> None:
    """45 servers in 3 regions that need few of them: lp proves 771.89 $ of 1,101.51 $."""
    instance = load_instance(real_data("planner_trial") / "fleet.json.gz").cut(0, 24)
    relaxed, found = compute(instance, "lp"), compute(instance, AUTO)
    assert loose_servers(relaxed.solved) > LOOSE
    assert found.value > 1.3 * relaxed.value
    assert found.source == "merged_milp"
    assert found.beside is not None
    assert found.beside.source == "whole"
    assert found.beside.value > 1.3 * relaxed.value


def test_limits_reach_the_solver() -> None:
    instance = generate("paper/polska", slots=6)
    stopped = compute(instance, "lp", Request(limits=Limits(seconds=0)))
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

    monkeypatch.setattr("torta_opt.allocation.bounds.lp.lp_bound", nothing)
    found = compute(INSTANCE, "lp")
    assert (found.value, found.source) == (floor(INSTANCE).value, "floor")
    assert found.status == status
    assert found.stopped.startswith("lp: ")


@pytest.mark.parametrize("method", ["merged", "lp", "windows", "milp"])
def test_done_and_limit(method: str) -> None:
    assert compute(INSTANCE, method).status == "done"
    late = compute(generate("small/expiry"), method, Request(limits=Limits(seconds=0.0)))
    assert late.status == "limit"
    assert late.value <= compute(generate("small/expiry"), "milp").value


def test_auto_judges_servers_by_the_optimum_alone() -> None:
    """Where a limit ended the relaxation, its point says nothing about fractions of servers."""
    instance = generate("paper/polska", slots=6, load=0.05)
    assert TINY_CELLS < cells_of(instance) <= WHOLE_CELLS
    found = compute(instance, AUTO, Request(limits=Limits(work=1)))
    assert found.limited
    assert found.source in ("lp", "floor")
    assert "lp: " in found.why
    assert "fractions" not in found.why
    assert "cells" not in found.why


@pytest.mark.parametrize("error", [LimitReached("no time"), KeyboardInterrupt()])
def test_auto_says_why_it_is_the_floor(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("torta_opt.allocation.bounds.lp.lp_bound", fails)
    found = compute(INSTANCE, AUTO)
    assert (found.source, found.why) == ("floor", f"floor: {found.stopped}")


def test_ctrl_c_before_branch_and_bound_leaves_what_the_relaxation_proved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def pressed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("torta_opt.allocation.bounds.milp.branch_from", pressed)
    found, relaxed = compute(INSTANCE, AUTO), compute(INSTANCE, "lp")
    assert (found.value, found.source, found.status) == (relaxed.value, "lp", "interrupted")
    assert "Ctrl-C" in found.why


def test_no_bound_is_below_the_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that proves less: the floor needs no method."""
    weak = BoundMethod("next to nothing", lambda *_: BoundResult(1e-9, "weak"))
    monkeypatch.setitem(METHODS, "weak", weak)
    found = compute(INSTANCE, "weak")
    assert (found.value, found.source, found.certified) == (floor(INSTANCE).value, "weak", False)


def test_a_better_bound_of_zero_is_worth_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Costs can be negative, where servers that are on earn; then 0 can be the better bound."""
    found = BoundResult(-5.0, "merged", why="merged: large")
    better = BoundResult(0.0, registry.WHOLE)
    monkeypatch.setattr(registry, "loose_servers", lambda _: 1.0)
    monkeypatch.setattr(registry, "_computed", lambda *_: better)
    result = registry._with_whole_rows(INSTANCE, found, Request())
    assert result.value == 0
    assert "add 100.0 % of the bound" in result.why
    stopped = BoundResult(0.0, registry.WHOLE, interrupted=True)
    monkeypatch.setattr(registry, "_computed", lambda *_: stopped)
    result = registry._merged_counted(INSTANCE, found, Request())
    assert "add 100.0 % of the bound" in result.why


def failing(*_: Any, **__: Any) -> Any:
    raise SolverFailed("HiGHS failed: lost")


def test_a_solver_that_fails_in_branch_and_bound_leaves_what_the_relaxation_proved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    instance = generate("small/loading")
    relaxed = compute(instance, "lp")
    whole = compute(instance, "whole")
    monkeypatch.setattr(milp, "branch_from", failing)
    monkeypatch.setattr(merged, "branch_from", failing)
    found = compute(instance, AUTO)
    assert (found.value, found.source, found.certified) == (relaxed.value, "lp", True)
    assert found.why == "lp: the solver failed: HiGHS failed: lost"
    found = compute(instance, "merged_milp")
    assert (found.value, found.source, found.certified) == (whole.value, "whole", True)
    assert found.status == "limit"
    assert "the solver failed: HiGHS failed: lost" in found.stopped
    found = registry._merged_counted(instance, relaxed, Request())
    assert found.value >= relaxed.value
    assert found.certified
    assert "the solver failed: HiGHS failed: lost" in found.why
    monkeypatch.setitem(METHODS, "whole", BoundMethod("", failing))
    found = registry._merged_counted(instance, relaxed, Request())
    assert found.value == relaxed.value
    assert found.why == "lp: the solver failed: HiGHS failed: lost"
