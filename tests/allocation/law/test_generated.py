"""The law of generated instances: its futures, and what it expects."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from torta_opt.allocation.instance import Instance, load_instance, save_instance
from torta_opt.allocation.instance.carbon import with_carbon, with_carbon_price
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.law import law_of
from torta_opt.io import InvalidInput

SMALL = {"slots": 40, "gpu_counts": {"A100": 6, "T4": 4}}


@pytest.fixture(scope="module")
def instance() -> Instance:
    return generate("paper/abilene", seed=3, **SMALL)


def test_the_past_stays_bit_for_bit(instance: Instance) -> None:
    law = law_of(instance)
    for start in (1, 17, 39):
        future = law.sample(instance, 5, start=start)
        assert np.array_equal(future.arrivals[:start], instance.arrivals[:start])
    assert (law.sample(instance, 5, start=17).arrivals[17:36] != instance.arrivals[17:36]).any()


def test_only_demand_changes(instance: Instance) -> None:
    future = law_of(instance).sample(instance, 5)
    assert future.system is instance.system
    assert future.initial is instance.initial
    assert np.array_equal(future.price_usd_per_kwh, instance.price_usd_per_kwh)
    assert np.array_equal(future.up, instance.up)  # no outages in this one
    assert future.slots == instance.slots
    assert not future.arrivals[36:].any()  # drain slots


def test_same_seed_same_future_and_other_seeds_others(instance: Instance) -> None:
    law = law_of(instance)
    first = law.sample(instance, 1, start=9)
    assert np.array_equal(first.arrivals, law.sample(instance, 1, start=9).arrivals)
    assert not np.array_equal(first.arrivals, law.sample(instance, 2, start=9).arrivals)


def test_futures_are_of_the_law_too(instance: Instance, tmp_path) -> None:
    """A future, written and read again, can be continued; so trees can be grown."""
    law = law_of(instance)
    child = law.sample(instance, 1, start=9)
    save_instance(child, tmp_path / "child.json")
    again = load_instance(tmp_path / "child.json")
    grandchild = law_of(again).sample(again, 4, start=20)
    assert np.array_equal(grandchild.arrivals[:20], child.arrivals[:20])
    assert np.array_equal(law.sample(child, 4, start=20).arrivals, grandchild.arrivals)
    brother = law.sample(child, 7, start=9)  # nothing of the child is left from slot 9 on
    assert np.array_equal(brother.arrivals, law.sample(instance, 7, start=9).arrivals)
    sibling = law.sample(law.sample(instance, 2, start=9), 4, start=20)
    assert not np.array_equal(sibling.arrivals[20:], grandchild.arrivals[20:])


def test_a_cut_keeps_the_law(instance: Instance) -> None:
    cut = instance.cut(8, 30)
    law = law_of(cut)
    future = law.sample(cut, 1, start=5)
    assert np.array_equal(future.arrivals[:5], cut.arrivals[:5])
    whole = law_of(instance).sample(instance, 1, start=13)
    assert np.array_equal(future.arrivals, whole.arrivals[8:30])
    assert np.array_equal(law_of(future).sample(future, 2).arrivals, law.sample(cut, 2).arrivals)


def test_edited_demand_is_refused(instance: Instance) -> None:
    arrivals = instance.arrivals.copy()
    arrivals[2, 0, 0] += 1
    edited = dataclasses.replace(instance, arrivals=arrivals)
    with pytest.raises(InvalidInput, match="arrivals: are not those that the description"):
        law_of(edited)
    with pytest.raises(InvalidInput, match="arrivals: are not those"):
        law_of(instance).sample(edited, 1)


def test_mean_of_futures_is_the_conditional_mean(instance: Instance) -> None:
    """Given the path up to slot 12: closed form against 300 redraws, cell by cell.

    z over 1,152 cells is nearly standard normal, so its mean square is 1 ± 0.04, and the largest is
    below 5; cells of a slot share bursts, which widens both: 1 ± 0.4 is a band of several widths.
    """
    law = law_of(instance)
    path, draws = law.path(instance), 300
    counts = np.array([law.redraw(path, seed, 12).arrivals[12:28] for seed in range(draws)])
    mean = law.mean_from(law.known(path, 12), 16)
    z = (counts.mean(axis=0) - mean) / (counts.std(axis=0) / np.sqrt(draws))
    assert abs(z).max() < 5
    assert 0.6 < np.mean(z**2) < 1.4


def test_counts_alone_tell_about_the_hidden_states(instance: Instance) -> None:
    """The belief after 20 slots against the true levels and drift of 30 futures: z of 13 levels and
    of two contrasts of the drift each. Means of z² over 30 futures, whose levels are nearly
    independent, are 1 ± 5·√(2/390) and 1 ± 5·√(2/60); the belief is approximate, so ± 0.4 and 1."""
    law = law_of(instance)
    of_levels, of_drift = [], []
    contrast = np.array([[1.0, 0, -1], [0, 1, -1]])
    for seed in range(30):
        drivers = law.redraw(law.path(instance), seed).drivers
        belief = law.belief(drivers.counts[:20])
        off = drivers.levels[19] - belief.levels.mean
        of_levels.append(off @ np.linalg.solve(belief.levels.covariance, off) / off.size)
        off = contrast @ (drivers.drift[19] - belief.drift.mean)
        spread = contrast @ belief.drift.covariance @ contrast.T
        of_drift.append(off @ np.linalg.solve(spread, off) / off.size)
    assert np.mean(of_levels) == pytest.approx(1, abs=0.4)
    assert np.mean(of_drift) == pytest.approx(1, abs=1)


@pytest.fixture(scope="module")
def ratios(instance: Instance) -> np.ndarray:
    """(800, 2, R) totals of regions in slots 5 and 9 of 800 futures, divided by their means."""
    law = law_of(instance)
    path = law.path(instance)
    totals = [law.redraw(path, seed).arrivals[[5, 9]].sum(axis=2) for seed in range(800)]
    return np.array(totals) / (law.scale * law.wave[[5, 9]] * law.weights)


def test_moments_of_futures_from_the_start(instance: Instance, ratios: np.ndarray) -> None:
    """Closed forms of the stationary law, relative to the mean m = Λ·weight·wave: mean 1, variance
    1/m + exp σ² − 1. Over 800 draws a mean is off by five standard errors at most, a variance of
    log-normal totals by some 6 %, so by 30 % at most."""
    law = law_of(instance)
    mean = law.scale * law.wave[[5, 9]] * law.weights
    variance = 1 / mean + np.exp(law.parameters.burst_sigma**2) - 1
    assert (abs(ratios.mean(axis=0) - 1) < 5 * np.sqrt(variance / 800)).all()
    assert np.allclose(ratios.var(axis=0), variance, rtol=0.3)


def test_correlation_of_futures_is_that_of_the_bursts(
    instance: Instance, ratios: np.ndarray
) -> None:
    """Relative totals of one region four slots apart covary by exp(σ²ρ⁴) − 1, those of two regions
    in one slot by exp(σ²γ) − 1. Half of the variance is common, so that an average over regions has
    little more than the error of one series of 800, 1/√800 of it twice: 7 %; three of these."""
    p, off = law_of(instance).parameters, ratios - 1
    lagged = (off[:, 0] * off[:, 1]).mean()
    square = off[:, 0].sum(axis=1) ** 2 - (off[:, 0] ** 2).sum(axis=1)
    across = square.mean() / (12 * 11)
    assert lagged == pytest.approx(np.exp(p.burst_sigma**2 * p.burst_memory**4) - 1, rel=0.21)
    assert across == pytest.approx(np.exp(p.burst_sigma**2 * p.burst_common) - 1, rel=0.21)


def test_outages_and_surges_that_have_begun_stay() -> None:
    """One of each, at an early start and a late one; those to come move, servers follow."""
    instance = generate("paper/polska+surge+outage", seed=1, slots=120, surge_slots=20)
    law = law_of(instance)
    drivers = law.path(instance).drivers
    (region, begin), (_, surge) = drivers.outages[0], drivers.surges[0]
    late = [law.redraw(law.path(instance), seed, int(begin) + 1).drivers for seed in range(5)]
    assert all(np.array_equal(each.outages, drivers.outages) for each in late)
    early = [law.redraw(law.path(instance), seed, int(begin)).drivers.outages for seed in range(20)]
    assert min(each[0, 1] for each in early) >= begin
    assert len({tuple(each[0]) for each in early}) > 5
    assert len({each[0, 0] for each in early}) > 2
    kept = law.redraw(law.path(instance), 3, int(surge) + 1).drivers.surges
    assert kept[0].tolist() == drivers.surges[0].tolist()
    future = law.sample(instance, 3, start=int(begin) + 1)
    assert np.array_equal(future.up, instance.up)
    assert not future.up[begin, instance.system.server_region == region].any()


def test_a_topology_of_ones_own(tmp_path) -> None:
    """Its file says which weights and hours the regions have; without it, no law is given."""
    file = tmp_path / "line.gml"
    nodes = "".join(f'node [ id {k} label "n{k}" lon {10 * k} lat 40 ]' for k in range(3))
    file.write_text(f"graph [ {nodes} edge [ source 0 target 1 ] edge [ source 1 target 2 ] ]")
    instance = generate("topology", seed=2, file=str(file), slots=40)
    law = law_of(instance, topology=file)
    assert np.array_equal(law.sample(instance, 1, start=9).arrivals[:9], instance.arrivals[:9])
    assert law_of(instance).name == "fitted"
    with pytest.raises(InvalidInput, match="regions: are not those of the topology"):
        law_of(generate("paper/abilene", slots=40), topology=file)


def test_a_description_that_cannot_be_read_is_refused(instance: Instance) -> None:
    told = instance.description.replace("slots=40", "slots=forty")
    with pytest.raises(InvalidInput, match="description: 'slots=forty' is not parameter=value"):
        law_of(dataclasses.replace(instance, description=told))
    told = instance.description.replace("slots=40", "slots=41")
    with pytest.raises(InvalidInput, match="arrivals: are not those"):
        law_of(dataclasses.replace(instance, description=told))


@pytest.mark.parametrize("usd", [0.0, 80.0])
def test_a_carbon_price_changes_no_demand(instance: Instance, usd: float) -> None:
    """Not the law, not its futures, and these may be priced too."""
    clean = with_carbon(instance, np.full(instance.system.server_region.max() + 1, 300.0))
    priced = with_carbon_price(clean, usd)
    law, plain = law_of(priced), law_of(instance)
    assert (law.name, plain.name) == ("generated", "generated")
    future, same = law.sample(priced, 1, start=9), plain.sample(instance, 1, start=9)
    assert np.array_equal(future.arrivals, same.arrivals)
    assert np.array_equal(future.price_usd_per_kwh, priced.price_usd_per_kwh)
    again = law_of(with_carbon_price(future, usd))
    assert np.array_equal(again.sample(future, 2).arrivals, plain.sample(same, 2).arrivals)
    assert (priced.description == instance.description) == (usd == 0)


def test_weights_may_change(instance: Instance) -> None:
    dearer = instance.with_weights(instance.system.weights.scaled(4))
    future = law_of(dearer).sample(dearer, 1)
    assert future.system.weights is dearer.system.weights
    assert np.array_equal(future.arrivals, law_of(instance).sample(instance, 1).arrivals)


def test_surges_are_told_when_they_begin_and_not_before() -> None:
    instance = generate("paper/polska+surge", seed=1, slots=60, surge_slots=10, surges=1)
    law = law_of(instance)
    path = law.path(instance)
    begin = int(path.drivers.surges[0, 1])
    assert begin > 0
    before = law.belief(instance.arrivals[:begin])
    assert len(law.announced(before, path).surges) == 0
    assert len(law.announced(before, path, now=True).surges) == 1
    assert len(law.known(path, begin).surges) == 0
    after = law.belief(instance.arrivals[: begin + 1])
    assert len(law.announced(after, path).surges) == 1
    earlier = law.belief(instance.arrivals[: begin - 1])
    assert len(law.announced(earlier, path, now=True).surges) == 0
