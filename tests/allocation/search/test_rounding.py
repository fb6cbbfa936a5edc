"""Rounding: whole servers that follow the rules, and a legal schedule from any relaxation."""

from __future__ import annotations

import numpy as np
import pytest
from support.optima import slack, tiniest
from support.sizes import examples
from support.tiny import random_tiny_instance

from torta_opt.allocation.bounds.lp import lp_bound
from torta_opt.allocation.formulations.lift import check_lift
from torta_opt.allocation.formulations.program import SERVERS
from torta_opt.allocation.instance.generate import generate, preset_names
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.allocation.search import rounding as rounding_module
from torta_opt.allocation.search.rounding import (
    DISCOUNTS,
    ServerRounding,
    round_relaxation,
    round_servers,
)
from torta_opt.solvers import Limits

SMALL = [name for name in preset_names() if name.startswith("small/")]


@pytest.mark.parametrize("discount", DISCOUNTS)
def test_rounded_servers_are_whole_and_keep_every_row_of_the_server_network(
    discount: float,
) -> None:
    rng = np.random.default_rng(31)
    for _ in range(examples(20)):
        found = lp_bound(random_tiny_instance(rng))
        program = found.program
        rounded = round_servers(program, found.x, found.dual, discount)
        servers = np.concatenate(
            [np.arange(0)]
            + [
                np.arange(program.columns[name].numbers.start, program.columns[name].numbers.stop)
                for name in SERVERS
            ]
        )
        assert (rounded[servers] == np.rint(rounded[servers])).all()
        assert (rounded[servers] >= 0).all()
        assert (rounded[servers] <= program.upper[servers]).all()
        activity = program.matrix @ rounded
        for name in ("off_flow", "ready_flow", "switch_flow"):
            rows = program.rows[name].numbers
            assert np.allclose(activity[rows], program.row_lower[rows], rtol=0, atol=1e-9)


def test_a_further_discount_goes_on_from_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """And ends at servers that are worth as much as those of a program made anew, in one part."""
    rng, divided = np.random.default_rng(35), 0
    for _ in range(examples(10)):
        found = lp_bound(random_tiny_instance(rng))
        given = found.program, found.x, found.dual
        with monkeypatch.context() as patch:
            patch.setattr(rounding_module, "PART", 1)
            kept = ServerRounding(*given)
        divided += len(kept.solvers) > 1
        for discount in (*DISCOUNTS, 0.2, DISCOUNTS[0]):
            worth = []
            for rounding in (kept, ServerRounding(*given)):
                servers = rounding.rounded(discount)
                assert servers is not None
                worth.append(sum(one.solve("simplex").objective for _, one in rounding.solvers))
                counts = servers[rounding.columns]
                assert (counts == np.rint(counts)).all()
            assert worth[0] == pytest.approx(worth[1], rel=1e-7, abs=1e-9)
    assert divided > 3


@pytest.mark.parametrize("count", [30, pytest.param(300, marks=pytest.mark.slow)])
def test_every_rounding_is_a_legal_schedule_no_cheaper_than_the_best(count: int) -> None:
    for instance, best in tiniest(count):
        found = lp_bound(instance)
        for discount in DISCOUNTS:
            schedule = round_relaxation(found.program, found.x, found.dual, discount)
            assert verify(instance, schedule).ok
            assert check_lift(found.program, schedule).ok
            assert evaluate(instance, schedule).cost >= best - slack(best)


@pytest.mark.parametrize("preset", SMALL)
def test_small_presets_round_to_legal_schedules(preset: str) -> None:
    instance = generate(preset)
    found = lp_bound(instance)
    schedule = round_relaxation(found.program, found.x, found.dual, DISCOUNTS[0])
    assert verify(instance, schedule).ok
    assert evaluate(instance, schedule).cost >= found.value - slack(found.value)


def test_any_vector_of_counts_rounds_to_a_legal_schedule() -> None:
    """Also one that satisfies no row."""
    rng = np.random.default_rng(33)
    for _ in range(examples(25)):
        instance = random_tiny_instance(rng)
        program = lp_bound(instance).program
        x = rng.random(len(program.upper)) * program.upper
        dual = rng.normal(size=len(program.row_lower))
        schedule = round_relaxation(program, x, dual, 0.9)
        assert verify(instance, schedule).ok


def test_no_time_no_schedule() -> None:
    found = lp_bound(generate("small/loading"))
    assert round_relaxation(found.program, found.x, found.dual, 0.9, Limits(seconds=0.0)) is None
