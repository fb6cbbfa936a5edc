"""A plan with whole servers where the relaxation runs a tenth of one."""

from __future__ import annotations

from pathlib import Path

import pytest

from torta_opt.allocation.bounds.merged import merged_bound
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.allocation.search import clairvoyant
from torta_opt.allocation.search.clairvoyant import solve_clairvoyant
from torta_opt.allocation.search.merged_plan import plan_merged
from torta_opt.allocation.search.whole_plan import counts_matter, plan_whole
from torta_opt.allocation.site.build import build_site
from torta_opt.allocation.site.template import write_template
from torta_opt.solvers import Limits, SolverFailed


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Instance:
    """Two hours of the template's site: three regions, 45 servers of which it needs four."""
    folder: Path = tmp_path_factory.mktemp("site") / "fleet"
    write_template(folder)
    return build_site(folder / "site.toml")[0].cut(0, 24)


def test_rounding_fails_there_and_whole_servers_do_not(site: Instance) -> None:
    solved = merged_bound(site)
    assert counts_matter(solved)
    schedule, proved = plan_whole(site, Limits())
    assert schedule is not None
    assert proved is not None
    assert verify(site, schedule).ok
    cost = evaluate(site, schedule).cost
    assert proved.value > 1.1 * solved.value
    assert proved.value <= cost < 1.05 * proved.value
    rounded = plan_merged(site, solved)
    assert rounded is None or evaluate(site, rounded).cost > 1.2 * cost


def test_clairvoyant_uses_it_and_its_bound(site: Instance) -> None:
    found = solve_clairvoyant(site)
    assert found.source == "merged_milp"
    assert found.bound <= found.cost < 1.05 * found.bound


def test_a_limit_leaves_nothing_and_large_fleets_do_without() -> None:
    instance = generate("paper/polska", slots=6)
    assert not counts_matter(merged_bound(instance))
    assert plan_whole(instance, Limits(seconds=0))[0] is None


@pytest.mark.parametrize("step", ["merged_bound", "plan_whole"])
def test_a_solver_that_fails_costs_neither_the_plan_nor_the_bound(
    site: Instance, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise SolverFailed("HiGHS failed: lost")

    monkeypatch.setattr(clairvoyant, step, failing)
    found = solve_clairvoyant(site.cut(0, 6))
    assert (found.status, found.stopped) == ("limit", "the solver failed: HiGHS failed: lost")
    assert found.source == ("floor" if step == "merged_bound" else "merged")
    assert verify(site.cut(0, 6), found.schedule).ok
