"""The authors' program: its size, its optimum, and the way back."""

from __future__ import annotations

import pytest
from support.placement_reference import Reference
from support.sizes import examples
from support.small_placement import build

from torta_opt.placement.formulations.published import published_program
from torta_opt.placement.instance.document import instance_to_document
from torta_opt.placement.instance.presets import clustered, tiny
from torta_opt.placement.schedule.evaluate import total_ms
from torta_opt.placement.schedule.performance import prices
from torta_opt.placement.schedule.verify import verify
from torta_opt.solvers import Status, solve_milp


@pytest.mark.parametrize("seed", range(examples(20)))
def test_its_optimum_is_that_of_brute_force(seed):
    instance = tiny(seed, clients=1 + seed % 2, blocks=3)
    program = published_program(instance, "response")
    found = solve_milp(program.problem)
    best = Reference(instance_to_document(instance)).optimum()
    if best is None:
        assert found.status == Status.INFEASIBLE
        return
    start = instance.delays.start_ms * instance.requests
    assert (found.objective + start) / 1000 == pytest.approx(float(best), rel=1e-6)
    schedule = program.schedule(found.x)
    assert verify(instance, schedule).ok
    assert total_ms(prices(instance), schedule) == pytest.approx(found.objective, rel=1e-6)


def test_its_own_objective_leaves_the_prompt_out():
    instance = build()
    program = published_program(instance)
    found = solve_milp(program.problem)
    schedule = program.schedule(found.x)
    assert total_ms(prices(instance, "decode"), schedule) == pytest.approx(found.objective)
    assert total_ms(prices(instance), schedule) > found.objective


def test_it_is_as_large_as_the_published_one():
    """5|R||E| + 2n columns, 14|R||E| + 2n inequalities and |R||V| equalities; links without
    loops from a server to itself, which (13f) forbids anyway."""
    instance = clustered()
    problem = published_program(instance).problem
    n, requests = len(instance.servers), instance.requests
    links = n * (n - 1) + 2 * n
    assert problem.columns == 5 * requests * links + 2 * n
    assert problem.rows == 14 * requests * links + 2 * n + requests * (n + 2)


def test_a_server_without_room_for_a_block_is_left_out():
    program = published_program(build(memory=(5, 60, 60)))
    assert set(program.count) == {1, 2}
    found = solve_milp(program.problem)
    assert verify(program.instance, program.schedule(found.x)).ok


def test_the_limit_of_a_type_is_kept():
    program = published_program(
        build(memory=(100, 100), decode=(1.0, 2.0), token=((1.0, 1.0),), most_blocks=(2, 4))
    )
    schedule = program.schedule(solve_milp(program.problem).x)
    assert schedule.placement.count[0] <= 2
    assert verify(program.instance, schedule).ok
