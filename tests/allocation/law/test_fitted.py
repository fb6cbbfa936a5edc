"""The fitted law: exact given the counts, recovers what it drew, refuses what it cannot know."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.law import law_of
from torta_opt.allocation.law.fit import fit, grouped
from torta_opt.allocation.law.fitted import FittedLaw
from torta_opt.allocation.law.noise import Noise
from torta_opt.io import InvalidInput


@pytest.fixture(scope="module")
def instance() -> Instance:
    return generate("paper/abilene", seed=3, slots=64, gpu_counts={"A100": 20, "T4": 4})


@pytest.fixture(scope="module")
def law(instance: Instance) -> FittedLaw:
    return FittedLaw(instance)


def test_what_a_policy_sees_is_all_that_it_knows(instance: Instance, law: FittedLaw) -> None:
    path = law.path(instance)
    assert path.drivers is None
    assert np.array_equal(law.known(path, 20).states, law.belief(instance.arrivals[:20]).states)


def test_one_step_means_are_those_of_the_fit(instance: Instance, law: FittedLaw) -> None:
    """Two ways to the same numbers: filtered at once, and slot by slot."""
    at_once = law.fit.all_means(instance.arrivals[:60].astype(float))
    for t in (0, 1, 30, 59):
        assert np.allclose(law.mean(instance.arrivals[:t], 1)[0], at_once[t])


def test_the_past_stays_and_the_system_too(instance: Instance, law: FittedLaw) -> None:
    future = law.sample(instance, 4, start=25)
    assert np.array_equal(future.arrivals[:25], instance.arrivals[:25])
    assert not np.array_equal(future.arrivals[25:60], instance.arrivals[25:60])
    assert not future.arrivals[60:].any()
    assert future.system is instance.system
    again = law.sample(future, 4, start=40)
    assert np.array_equal(again.arrivals[:40], future.arrivals[:40])


def test_mean_is_the_mean_of_paths_and_of_futures(instance: Instance, law: FittedLaw) -> None:
    """Closed form against draws. Totals of slots have a standard error from their own spread; the
    largest of 12 normal z is below 4.5 but once in 10⁵."""
    history, draws = instance.arrivals[:20], 600
    mean = law.mean(history, 12).sum(axis=(1, 2))
    paths = law.sample_paths(history, 12, draws, seed=1).sum(axis=(2, 3))
    path = law.path(instance)
    futures = [law.redraw(path, s, 20).arrivals[20:32].sum(axis=(1, 2)) for s in range(200)]
    for found in (paths, np.array(futures)):
        z = (found.mean(axis=0) - mean) / (found.std(axis=0) / np.sqrt(len(found)))
        assert abs(z).max() < 4.5


def test_noise_is_recovered_from_its_own_draws() -> None:
    """Counts with known Γ and nothing else. A standard deviation from n values of a slot is off by
    1/√(2n) of itself: 4 % over 400 slots; four of these, and skewness, are allowed."""
    rng, slots, regions, classes = np.random.default_rng(0), 400, 5, 3
    sizes = {"all": 0.2, "class": 0.15, "region": 0.1}
    parts = {"all": (slots, 1, 1), "class": (slots, 1, classes), "region": (slots, regions, 1)}
    mean = np.full((slots, regions, classes), 200.0)
    for name, spread in sizes.items():
        mean *= rng.gamma(spread**-2, spread**2, parts[name])
    noise = fit(rng.poisson(mean), 45_000).noise
    assert noise.all**0.5 == pytest.approx(0.2, rel=0.25)
    assert np.sqrt(noise.by_class).mean() == pytest.approx(0.15, rel=0.2)
    assert np.sqrt(noise.by_region).mean() == pytest.approx(0.1, rel=0.2)
    assert np.sqrt(noise.cell).max() < 0.03


def test_dynamics_are_recovered(law: FittedLaw, instance: Instance) -> None:
    """The response of the next slot's total to a total that was 1 % higher, Σ w·α over the groups:
    refitted to a draw of the law, over 60 slots with shocks of about 10 %, its standard error is
    about 1/√60 = 0.13 at most."""
    drawn = law.sample(instance, 11)
    again = FittedLaw(drawn).fit
    response = [float(each.weight @ each.gain) for each in (law.fit, again)]
    assert response[1] == pytest.approx(response[0], abs=0.4)
    assert response[0] > 0.3  # there is something to recover


def test_residuals_of_a_draw_of_the_law_are_clean(law: FittedLaw, instance: Instance) -> None:
    """Mean square 1 ± 5·√(2/60) and correlation within 5/√60, generous for refitted parameters."""
    facts = FittedLaw(law.sample(instance, 2)).describe()
    for row in facts["residuals"]:
        assert abs(row["mean_square"] - 1) < 5 * np.sqrt(2 / 60)
        assert abs(row["lag1"]) < 5 / np.sqrt(60)


def test_later_slots_are_not_learned_from(instance: Instance) -> None:
    arrivals = instance.arrivals.copy()
    arrivals[40:60] += 50
    other = dataclasses.replace(instance, arrivals=arrivals)
    one, two = FittedLaw(instance, learned=40), FittedLaw(other, learned=40)
    assert np.array_equal(one.fit.base, two.fit.base)
    history = instance.arrivals[:40]
    assert np.array_equal(one.mean(history, 8), two.mean(history, 8))


def test_pairs_of_cells_share_what_they_share() -> None:
    noise = Noise(0.1, np.array([0.2, 0.3]), np.array([0.4, 0.5]), np.array([0.6, 0.7]))
    shared = noise.shared()  # cells: (r0,c0) (r0,c1) (r1,c0) (r1,c1)
    assert shared[0, 3] == pytest.approx(0.1)
    assert shared[0, 2] == pytest.approx(1.1 * 1.2 - 1)
    assert shared[2, 3] == pytest.approx(1.1 * 1.5 - 1)
    assert shared[3, 3] == pytest.approx(1.1 * 1.3 * 1.5 * 1.7 - 1)


def test_groups() -> None:
    cells = np.arange(6.0).reshape(3, 2)
    assert np.array_equal(grouped(cells), [15, 6, 9, 1, 5, 9])


def test_one_region_and_one_class() -> None:
    """No groups beside the total; nothing divides by zero."""
    rng = np.random.default_rng(0)
    found = fit(rng.poisson(rng.gamma(25, 4, (100, 1, 1))), 45_000)
    assert found.noise.all == 0
    assert np.sqrt(found.noise.cell[0]) == pytest.approx(0.2, rel=0.4)
    assert found.weight.tolist() == [1, 0, 0]


def test_generated_instances_have_the_law_they_were_drawn_from(instance: Instance) -> None:
    assert law_of(instance).name == "generated"
    assert law_of(instance, "fitted").name == "fitted"


def test_what_cannot_be_fitted_is_refused_in_one_line() -> None:
    with pytest.raises(InvalidInput, match="arrivals are too few to fit a law to: 4 slots"):
        law_of(generate("small/loading"))
    with pytest.raises(InvalidInput, match="law: 'x' is not a law; known: generated, fitted"):
        law_of(generate("small/loading"), "x")
    with pytest.raises(InvalidInput, match="the law generated does not fit"):
        law_of(generate("small/loading"), "generated")


def test_a_law_that_does_not_fit_is_refused_in_one_line(instance: Instance, law: FittedLaw) -> None:
    with pytest.raises(InvalidInput, match="arrivals: must be 64 × 12 × 6 slots, regions and"):
        law.sample(instance.cut(0, 30), 1)
    arrivals = instance.arrivals.copy()
    arrivals[62, 1, 2] = 1
    late = dataclasses.replace(instance, arrivals=arrivals)
    with pytest.raises(InvalidInput, match=r"arrivals\[62\]\[1\]\[2\]: cannot come from the law"):
        law.sample(late, 1)
    with pytest.raises(InvalidInput, match=r"history: must be \(slots, 12 regions, 6 classes\)"):
        law.mean(instance.arrivals[:, :3], 4)
    with pytest.raises(InvalidInput, match=r"start: must lie in \[0, 63\], found 64"):
        law.sample(instance, 1, start=64)
    with pytest.raises(InvalidInput, match="horizon: must be an integer"):
        law.mean(instance.arrivals[:2], 1.5)  # type: ignore[arg-type]
