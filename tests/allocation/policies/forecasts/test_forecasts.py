"""All forecasters with a spread: what they may know, what they say, and how well."""

from __future__ import annotations

import dataclasses
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.law import law_of
from torta_opt.allocation.policies.forecasts import (
    INFORMATION,
    PATH_FORECASTERS,
    Forecast,
    Given,
    path_forecaster,
)
from torta_opt.allocation.policies.forecasts.from_law import FromLaw
from torta_opt.allocation.policies.forecasts.from_past import LastSlot, MeanReverting
from torta_opt.io import InvalidInput

EXTRA = pytest.mark.skipif(find_spec("statsforecast") is None, reason="an extra, not installed")


def named(*information: str) -> list:
    """Forecasters that know one of these; what needs an extra is skipped without it."""
    return [
        pytest.param(name, marks=EXTRA) if name == "statsforecast" else name
        for name, entry in PATH_FORECASTERS.items()
        if entry.information in information
    ]


NAMES, FAIR = named(*INFORMATION), named("past", "law")


@pytest.fixture(scope="module")
def instance() -> Instance:
    return generate("paper/abilene+surge", seed=3, slots=48, surge_slots=10)


def said(name: str, given: Given, slots: int = 20, **request) -> Forecast:
    source = path_forecaster(name, given)
    for arrivals in given.instance.arrivals[:slots]:
        source.see(arrivals)
    return source.forecast(**{"horizon": 6, "count": 30, "seed": 1, **request})


@pytest.mark.parametrize("name", NAMES)
def test_shapes_and_repeats(name: str, instance: Instance) -> None:
    given = Given(instance)
    found, again = said(name, given), said(name, given)
    assert found.mean.shape == (6, 12, 6)
    assert found.paths.shape == (30, 6, 12, 6)
    assert np.array_equal(found.paths, again.paths)
    assert np.array_equal(found.mean, again.mean)
    assert (found.paths >= 0).all()
    assert PATH_FORECASTERS[name].information in INFORMATION


@pytest.mark.parametrize("name", NAMES)
def test_what_it_says_it_knows(name: str, instance: Instance) -> None:
    assert path_forecaster(name, Given(instance)).information == PATH_FORECASTERS[name].information


@pytest.mark.parametrize("name", FAIR)
def test_the_future_changes_no_fair_forecast(name: str, instance: Instance) -> None:
    """Another future from slot 20 on: forecasts after slot 19 are the same, bit for bit."""
    other = law_of(instance).sample(instance, 9, start=20)
    assert not np.array_equal(other.arrivals[20:], instance.arrivals[20:])
    one, two = said(name, Given(instance)), said(name, Given(other))
    assert np.array_equal(one.mean, two.mean)
    assert np.array_equal(one.paths, two.paths)


@pytest.mark.parametrize("name", ["perfect", "corrupted"])
def test_others_do_see_the_future(name: str, instance: Instance) -> None:
    other = law_of(instance).sample(instance, 9, start=20)
    assert not np.array_equal(said(name, Given(instance)).mean, said(name, Given(other)).mean)


def test_perfect_is_the_truth(instance: Instance) -> None:
    found = said("perfect", Given(instance), slots=40, horizon=12)
    assert np.array_equal(found.mean[:8], instance.arrivals[40:])
    assert not found.mean[8:].any()
    assert (found.paths == found.mean).all()


@pytest.mark.parametrize("accuracy", [0.3, 0.9, 1.0])
def test_corrupted_has_the_accuracy_of_equation_12(instance: Instance, accuracy: float) -> None:
    found = said("corrupted", Given(instance, accuracy=accuracy)).by("region")
    truth = instance.arrivals[20:26].sum(axis=2)
    for each in (found.mean, found.paths[0], found.paths[7]):
        assert np.exp(-np.mean(np.abs(each - truth) / truth)) == pytest.approx(accuracy)


def test_seasonal_takes_the_slot_one_season_before(instance: Instance) -> None:
    found = said("seasonal", Given(instance, season=8), horizon=12).mean
    assert np.array_equal(found[:8], instance.arrivals[12:20])
    assert np.array_equal(found[8:], instance.arrivals[12:16])
    short = said("seasonal", Given(instance, season=30), horizon=12).mean
    assert np.array_equal(short[0], instance.arrivals[19])  # none yet: the last slot
    assert np.array_equal(short[11], instance.arrivals[1])


def test_last(instance: Instance) -> None:
    assert (said("last", Given(instance)).mean == instance.arrivals[19]).all()


def test_mean_reverting_goes_back_to_the_mean() -> None:
    """Level 100 for long with short-lived bursts, then a burst: the forecast falls from it."""
    rng = np.random.default_rng(0)
    level = np.zeros(200)
    for t in range(1, 200):
        level[t] = 0.7 * level[t - 1] + 0.2 * rng.standard_normal()
    level[-3:] = 1.0
    arrivals = rng.poisson(np.exp(level)[:, None, None] * np.full((200, 3, 2), 100.0))
    source = MeanReverting()
    for each in arrivals:
        source.see(each)
    ahead = source.forecast(16, 10, 0).by("all").mean[:, 0]
    now, usual = arrivals[-1].sum(), arrivals.sum(axis=(1, 2)).mean()
    assert ahead[15] < ahead[3] < ahead[0] < now
    assert abs(ahead[15] - usual) < 0.2 * (now - usual)  # 0.7¹⁶ = 0.3 %, learned with noise


def test_errors_are_learned_for_each_distance() -> None:
    """Two levels in turn: the last slot again is right two slots ahead, and wrong one ahead."""
    rng, source = np.random.default_rng(0), LastSlot()
    for t in range(80):
        source.see(rng.poisson(np.full((3, 2), (100.0, 300.0)[t % 2])))
    low, high = source.forecast(2, 400, 0).by("all").quantiles([0.05, 0.95])[:, :, 0]
    assert high[0] - low[0] > 5 * (high[1] - low[1])


def test_announced_surges_are_forecast(instance: Instance) -> None:
    """A surge grows for four slots: who is told of it in its first slot expects the next ones."""
    law = law_of(instance)
    path = law.path(instance)
    centre, begin = (int(number) for number in path.drivers.surges[0])
    told, deaf = FromLaw(law, path), FromLaw(law)
    for arrivals in instance.arrivals[: begin + 1]:
        told.see(arrivals)
        deaf.see(arrivals)
    heard = told.forecast(4, 2, 0).mean[3, centre].sum()
    assert heard > 1.5 * deaf.forecast(4, 2, 0).mean[3, centre].sum()


def test_quantiles_are_of_sums_too(instance: Instance) -> None:
    found = said("law", Given(instance), count=200)
    regions = found.by("region")
    low, middle, high = regions.quantiles([0.05, 0.5, 0.95])
    assert low.shape == (6, 12)
    assert (low <= middle).all()
    assert (middle <= high).all()
    assert np.isin(middle[0, 0], found.paths[:, 0, 0].sum(axis=1))  # a value of a path
    cells = found.quantiles([0.95])[0]
    assert (cells.sum(axis=2) > high).any()  # quantiles of sums are not sums of quantiles


def test_an_extra_that_is_missing_is_named(instance: Instance, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "statsforecast.models", None)
    with pytest.raises(InvalidInput, match=r"forecaster: needs the package statsforecast: pip"):
        path_forecaster("statsforecast", Given(instance))


def test_wrong_requests(instance: Instance) -> None:
    with pytest.raises(InvalidInput, match="forecaster: must be one of law, law_states, mean"):
        path_forecaster("x", Given(instance))
    with pytest.raises(InvalidInput, match="season: must be a whole number"):
        path_forecaster("seasonal", Given(instance, season=-1))
    with pytest.raises(InvalidInput, match="accuracy: must lie in"):
        path_forecaster("corrupted", Given(instance, accuracy=0))
    with pytest.raises(InvalidInput, match="forecast: needs a slot to have been seen"):
        path_forecaster("last", Given(instance)).forecast(2, 2, 0)
    with pytest.raises(InvalidInput, match="horizon: must lie in"):
        said("last", Given(instance), horizon=0)
    with pytest.raises(InvalidInput, match="levels: must be numbers in"):
        said("last", Given(instance)).quantiles([2.0])
    with pytest.raises(InvalidInput, match="group: must be one of"):
        said("last", Given(instance)).by("model")
    with pytest.raises(InvalidInput, match="arrivals are too few to fit a law to"):
        path_forecaster("law", Given(dataclasses.replace(generate("small/loading"))))
