"""The bound of the merged program holds, and where regions do not differ nothing is lost."""

from __future__ import annotations

import numpy as np
import pytest
from support.optima import slack, tiniest
from support.sizes import examples
from support.tiny import random_tiny_instance

from torta_opt.allocation.bounds import merged
from torta_opt.allocation.bounds.floor import floor
from torta_opt.allocation.bounds.lp import lp_bound
from torta_opt.allocation.bounds.merged import merged_bound
from torta_opt.allocation.bounds.registry import rederived
from torta_opt.allocation.instance.generate import generate
from torta_opt.family import Request
from torta_opt.io import LimitReached
from torta_opt.solvers import Limits, available_methods


def test_no_schedule_beats_the_bound() -> None:
    for instance, best in tiniest(count=examples(60)):
        assert merged_bound(instance).value <= best + slack(best)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_no_schedule_beats_the_bound_on_thousands(seed: int) -> None:
    for instance, best in tiniest(500, seed=2100 + seed):
        assert merged_bound(instance).value <= best + slack(best)


def test_it_is_no_higher_than_the_relaxation_it_relaxes() -> None:
    rng = np.random.default_rng(22)
    for _ in range(examples(50)):
        instance = random_tiny_instance(rng)
        exact = lp_bound(instance).value
        assert merged_bound(instance).value <= exact + 1e-6 * (1 + abs(exact))


def test_with_one_region_it_is_that_relaxation() -> None:
    rng = np.random.default_rng(23)
    for _ in range(examples(30)):
        instance = random_tiny_instance(rng, regions=1)
        exact = lp_bound(instance).value
        assert merged_bound(instance).value == pytest.approx(exact, rel=1e-6, abs=1e-6)


def test_it_is_far_above_the_floor_where_servers_cost() -> None:
    instance = generate("paper/polska", slots=6)
    assert merged_bound(instance).value > 1.3 * floor(instance).value


def test_it_holds_however_early_it_stops() -> None:
    instance = generate("paper/polska", slots=6)
    whole = merged_bound(instance).value
    for work in (0, 3, 10):
        try:
            assert merged_bound(instance, Limits(work=work)).value <= whole + 1e-6 * abs(whole)
        except LimitReached:
            assert work == 0


# --- long horizons ------------------------------------------------------------------------------


def test_long_horizons_take_hipo(monkeypatch: pytest.MonkeyPatch) -> None:
    for methods, expected in ((("auto", "ipm", "hipo"), "hipo"), (("auto", "ipm"), "auto")):
        monkeypatch.setattr(merged, "available_methods", lambda methods=methods: methods)
        assert merged.merged_method(merged.LONG) == "auto"
        assert merged.merged_method(merged.LONG + 1) == expected


@pytest.mark.skipif("hipo" not in available_methods(), reason="highspy-extras is not installed")
def test_hipo_proves_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its point may be a hint only, but the bound is proved, certified and never above the cost."""
    monkeypatch.setattr(merged, "LONG", 0)
    for instance, best in tiniest(count=examples(25)):
        assert merged_bound(instance).value <= best + slack(best)
    instance = generate("paper/polska", seed=5, slots=8)
    found, other = merged_bound(instance), merged_bound(instance, method="ipm")
    assert found.value == pytest.approx(other.value, rel=1e-6)
    assert found.x is not None
    assert not found.limited
    result = merged.compute(instance, Request())
    assert result.certificate is not None
    assert rederived(result.certificate, instance) == pytest.approx(other.value, rel=1e-6)
