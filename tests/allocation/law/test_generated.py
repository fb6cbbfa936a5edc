"""The law of generated instances: its futures, and what it expects."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from torta_opt.allocation.instance import Instance, load_instance, save_instance
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
    """Given the path up to slot 12: closed form against 400 redraws, cell by cell.

    z over 1,152 cells is nearly standard normal, so its mean square is 1 ± 0.04, and the largest is
    below 5; cells of a slot share bursts, which widens both: 1 ± 0.4 is a band of several widths.
    """
    law = law_of(instance)
    path, draws = law.path(instance), 400
    counts = np.array([law.redraw(path, seed, 12).arrivals[12:28] for seed in range(draws)])
    mean = law.mean_from(law.known(path, 12), 16)
    z = (counts.mean(axis=0) - mean) / (counts.std(axis=0) / np.sqrt(draws))
    assert abs(z).max() < 5
    assert 0.6 < np.mean(z**2) < 1.4
