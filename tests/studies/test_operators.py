"""The study of what operators run: grids, the point that is chosen, and the page that it writes."""

from __future__ import annotations

import operators as study

from torta_opt.allocation.policies.registry import check


def test_every_point_of_every_grid_is_a_policy() -> None:
    points = [spec for policy in study.GRIDS for spec in study.specs(policy)]
    assert len(points) == len(set(points))
    for spec in points:
        check(spec)


def test_tuning_and_judging_share_no_instance() -> None:
    assert not set(study.SEEDS["tune"]) & set(study.SEEDS["judge"])
    end = 0
    for stage in ("tune", "judge"):
        first_s, step_s, slots, count = study.WINDOWS[stage]
        assert first_s >= end
        assert slots * 15 <= step_s
        end = first_s + step_s * count
    assert end <= 3436  # s of the shorter trace
    assert min(len(study.SEEDS["judge"]), study.WINDOWS["judge"][3]) >= 5


def test_days_of_the_site_differ_in_demand_alone() -> None:
    one, two = study.site_day(1), study.site_day(2)
    assert study.site_day(1).arrivals.tolist() == one.arrivals.tolist()
    assert (one.arrivals != two.arrivals).any()
    assert one.system.servers == two.system.servers
    assert 0.3 < one.requests / 1_715_950 < 3  # the template's day


def test_the_point_with_the_least_mean_ratio_is_chosen() -> None:
    """Ratios on the same instance count, not costs: the dear instance does not decide alone."""
    base = study.specs(study.AGAINST)[0]
    one, two = study.specs("hpa")[:2]
    rows = []
    for policy in study.GRIDS:
        for spec in study.specs(policy):
            costs = {base: (100.0, 1.0), one: (101.0, 2.0), two: (140.0, 1.1)}
            costs = costs.get(spec, (200.0, 3.0))
            rows += [
                {"policy": spec, "sha256": f"i{n}", "cost": cost} for n, cost in enumerate(costs)
            ]
    chosen = study.best(rows)
    assert chosen["hpa"] == two
    assert chosen[study.AGAINST] == base
    assert set(chosen) == set(study.GRIDS)


def test_the_page_has_a_row_for_each_policy() -> None:
    text = study.DOCS.read_text()
    begin, _, rest = text.partition("<!-- tables -->")
    tables, _, _ = rest.partition("<!-- end of tables -->")
    assert begin
    families = tables.count("\n### ")
    assert families >= 3
    combined = [f"{fleet}:routing={r}" for fleet in study.COMBINED for r in study.ROUTINGS]
    for policy in [*study.GRIDS, *combined]:
        assert tables.count(f"| `{policy}` |") == families
