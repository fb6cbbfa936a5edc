from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.plain import make_instance
from support.tiny import brute_force_optimum

from torta_opt.allocation.instance import Initial, Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.instance.warnings import warnings_of
from torta_opt.allocation.schedule import evaluate


@pytest.fixture(scope="module")
def instance() -> Instance:
    return generate("paper/polska", slots=24)


def with_system(instance: Instance, **changes: object) -> Instance:
    return dataclasses.replace(instance, system=dataclasses.replace(instance.system, **changes))


def test_none_where_all_is_well(instance: Instance) -> None:
    assert warnings_of(instance) == []


def test_cheap_expiry_names_class_and_both_figures(instance: Instance) -> None:
    weights = instance.system.weights
    cheap = weights.expiry_usd.copy()
    cheap[3] /= 1.3  # the margin of the presets is 1.25
    lines = warnings_of(instance.with_weights(dataclasses.replace(weights, expiry_usd=cheap)))
    assert len(lines) == 1
    assert lines[0].startswith(f"weights.expiry_usd.{instance.system.classes[3]}: {cheap[3]:g} $")
    assert "does not exceed the highest cost of serving the class on a running server" in lines[0]
    assert lines[0].endswith("may be cheaper even if a ready server has time left")


def with_expiry(expiry_usd: float, is_on: bool) -> Instance:
    """One request that cannot wait, one server that costs 1 $ to start; service costs 1e-4 $."""
    return make_instance(
        [[[1]], [[0]]],
        start_usd=1.0,
        deadline_slots=0,
        initial={"model": [0 if is_on else -1]},
        weights={"time_usd_per_s": 1e-4, "expiry_usd": expiry_usd},
    )


@pytest.mark.parametrize(
    ("expiry_usd", "is_on", "expires"), [(0.5, True, 0), (0.5, False, 1), (2.0, False, 0)]
)
def test_above_the_dearest_way_expiry_pays_only_where_a_server_would_have_to_start(
    expiry_usd: float, is_on: bool, expires: int
) -> None:
    instance = with_expiry(expiry_usd, is_on)
    assert warnings_of(instance) == []
    best = evaluate(instance, brute_force_optimum(instance).schedule)
    assert best.metrics["expired"] == expires


def test_below_it_expiry_pays_although_a_ready_server_has_time() -> None:
    instance = with_expiry(5e-5, is_on=True)
    assert len(warnings_of(instance)) == 1
    best = evaluate(instance, brute_force_optimum(instance).schedule)
    assert best.metrics["expired"] == 1


def test_weighing_time_less_does_not_make_expiry_cheap(instance: Instance) -> None:
    assert warnings_of(instance.with_weights(instance.system.weights.scaled(4))) == []


def test_demand_out_of_reach(instance: Instance) -> None:
    """Warsaw may send to itself only, and its servers cannot hold the largest model."""
    system = instance.system
    warsaw = system.regions.index("Warsaw")
    latency = system.latency_s.copy()
    latency[warsaw] = np.nan
    latency[warsaw, warsaw] = 0.0
    kind = system.server_type.copy()
    kind[system.server_region == warsaw] = system.types.index("V100")
    cold = Initial.all_off(len(kind), len(system.regions), len(system.classes))
    changed = dataclasses.replace(instance, initial=cold)
    lines = warnings_of(with_system(changed, latency_s=latency, server_type=kind))
    asked = instance.arrivals[:, warsaw].sum(axis=0)
    assert lines == [
        f"region 'Warsaw' asks {asked[c]} times for class {system.classes[c]!r}, "
        "which no region it may send to can serve: all of these expire"
        for c in (4, 5)
    ]


def test_backlog_out_of_reach() -> None:
    small = generate("small/switch")  # the western server holds only the first model
    backlog = np.zeros((2, 2, 1), int)
    backlog[1, 1, 0] = 3
    stuck = dataclasses.replace(small, initial=dataclasses.replace(small.initial, backlog=backlog))
    lines = warnings_of(stuck)
    assert lines == [
        "3 requests of class 'ask-b' wait in region 'west', which cannot serve them: "
        "all of these expire"
    ]


def test_overload(instance: Instance) -> None:
    crowded = dataclasses.replace(instance, arrivals=instance.arrivals * 3)
    lines = warnings_of(crowded)
    assert len(lines) == 1
    assert lines[0].startswith("the demand takes at least 11")
    assert lines[0].endswith("% of the servers' time: requests must expire")


def test_all_servers_down(instance: Instance) -> None:
    dark = dataclasses.replace(instance, up=np.zeros_like(instance.up))
    assert warnings_of(dark) == [
        "servers that are up at all cannot serve every class that is asked for"
    ]
