"""The fleet program: one server type and model, where the best plan can be worked out by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.plain import make_instance

from torta_opt.allocation.formulations.fleet_program import (
    FleetCosts,
    FleetProgram,
    FleetState,
)
from torta_opt.allocation.formulations.server_value import Cuts
from torta_opt.solvers.highs import LinearSolver

SLOTS = np.array([2.0, 4.0, 10.0])


def program(value=None, samples=1) -> FleetProgram:
    instance = make_instance(np.ones((3, 1, 1), int), server_ms=9_000)
    return FleetProgram(instance.system, 3, samples, 45_000.0, value)


def costs(program: FleetProgram, start=3.0, worth=0.0, short=10.0) -> FleetCosts:
    kinds, serves = len(program.kinds), len(program.kinds.serve_kind)
    types = len(program.system.types)
    return FleetCosts(
        slots=SLOTS,
        on=np.ones((3, types)),
        start=np.full(kinds, start),
        enter=np.full(kinds, start),
        serve=np.full(serves, 0.1),
        short=np.full(len(program.system.classes), short),
        worth=np.full(kinds, worth),
    )


def state(program: FleetProgram, ready: float, servers: float = 9.0) -> FleetState:
    kinds, types = len(program.kinds), len(program.system.types)
    return FleetState(np.full(kinds, ready), np.zeros(kinds), np.full(types, servers))


def demand(program: FleetProgram, *requests: float) -> np.ndarray:
    """The same in every epoch; one number for each sample."""
    table = np.zeros((3, program.samples, len(program.system.classes)))
    table[:, :, 0] = requests
    return table


def test_starts_as_many_servers_as_demand_needs():
    fleet = program()
    plan = fleet.solve(state(fleet, 1.0), costs(fleet), demand(fleet, 10.0))
    assert plan.start[0].sum() == pytest.approx(1.0)  # 10 requests of 9 s take two servers of 45 s
    # a slot short of 5 requests in two slots, 2 + 4·2 + 10·2 of rent, a start, 0.1 $ a request
    served = 0.1 * (2 * 5 + 4 * 10 + 10 * 10)
    assert plan.usd == pytest.approx(2 * 5 * 10 + 30 + 3 + served)


def test_starts_nothing_that_does_not_pay():
    fleet = program()
    plan = fleet.solve(state(fleet, 1.0), costs(fleet, start=1e4), demand(fleet, 10.0))
    assert plan.start.sum() == pytest.approx(0.0, abs=1e-9)


def test_no_server_switches_to_and_fro_to_save_its_rent():
    """Where a switch is free, a server that nothing needs stops; it cannot leave the bill by
    entering the model that it holds."""
    fleet = program()
    usd = dataclasses.replace(costs(fleet), enter=np.zeros(len(fleet.kinds)))
    plan = fleet.solve(state(fleet, 4.0), usd, demand(fleet, 5.0))
    assert plan.stop[0].sum() == pytest.approx(3.0)
    assert plan.enter.sum() == pytest.approx(0.0, abs=1e-9)


def test_numbers_are_common_to_all_samples():
    """Room for a request that one sample of three brings costs a fifth of a server: 3.4 $."""
    fleet = program(samples=3)
    rare = demand(fleet, 5.0, 5.0, 6.0)
    cheap = fleet.solve(state(fleet, 1.0), costs(fleet, short=0.5), rare)
    assert cheap.start.sum() == pytest.approx(0.0, abs=1e-9)  # 14 slots · 1/3 · 0.4 $ = 1.9 $
    dear = fleet.solve(state(fleet, 1.0), costs(fleet, short=30.0), rare)
    assert dear.start[0].sum() == pytest.approx(0.2)


def test_slopes_are_what_a_further_server_changes():
    fleet = program()
    wanted, usd = demand(fleet, 10.0), costs(fleet)
    plan = fleet.solve(state(fleet, 1.0), usd, wanted)
    more = fleet.solve(state(fleet, 1.01), usd, wanted)
    assert (more.usd - plan.usd) / 0.01 == pytest.approx(plan.slope.sum(), rel=1e-6)


def test_no_more_servers_than_are_up():
    fleet = program()
    plan = fleet.solve(state(fleet, 1.0, servers=3.0), costs(fleet), demand(fleet, 500.0))
    assert plan.ready.max() <= 3 + 1e-9


def test_a_value_takes_the_place_of_what_servers_are_worth():
    """V = −2·n is a worth of 2 $ a server; the answer and the dollars are the same."""
    plain = program()
    kinds = len(plain.kinds)
    value = Cuts(np.full((1, kinds), -2.0), np.zeros((1, 1)), np.zeros(1))
    valued = program(value)
    wanted = demand(plain, 4.0)
    a = plain.solve(state(plain, 3.0), costs(plain, worth=2.0), wanted)
    b = valued.solve(state(valued, 3.0), costs(valued), wanted, features=np.zeros(1))
    assert a.usd == pytest.approx(b.usd)
    assert a.ready == pytest.approx(b.ready)


def test_first_moves_can_be_given():
    fleet = program()
    free = fleet.solve(state(fleet, 1.0), costs(fleet), demand(fleet, 10.0))
    idle = fleet.solve(state(fleet, 1.0), costs(fleet), demand(fleet, 5.0))
    held = fleet.solve(state(fleet, 1.0), costs(fleet), demand(fleet, 10.0), first=idle)
    assert held.start[0].sum() == pytest.approx(0.0, abs=1e-9)
    assert held.usd > free.usd
    again = fleet.solve(state(fleet, 1.0), costs(fleet), demand(fleet, 10.0))
    assert again.usd == pytest.approx(free.usd)  # and are forgotten in the next solve


def test_no_move_is_negative_where_the_solver_is_off_by_its_tolerance(monkeypatch):
    exact = LinearSolver.solve

    def off(*arguments):
        found = exact(*arguments)
        return dataclasses.replace(found, x=found.x - 2e-9)

    monkeypatch.setattr(LinearSolver, "solve", off)
    fleet = program()
    plan = fleet.solve(state(fleet, 1.0), costs(fleet), demand(fleet, 10.0))
    for moves in (plan.start, plan.stop, plan.leave, plan.enter):
        assert (moves >= 0).all()
    assert plan.start[0].sum() == pytest.approx(1.0)
