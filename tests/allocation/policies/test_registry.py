"""Policies by name, and what every one of them must keep to."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plain import make_instance
from support.sizes import examples
from support.tiny import Limits, random_tiny_instance, tiny_instances

from torta_opt.allocation.family import FAMILY, OFFLINE
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.instance.generate import generate, preset_names
from torta_opt.allocation.policies import registry
from torta_opt.allocation.policies.base import Policy
from torta_opt.allocation.policies.failures import PolicyFailed
from torta_opt.allocation.policies.registry import BUILT_IN, create, policy_names, summaries
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import Schedule, evaluate, verify
from torta_opt.io import InvalidInput

PLUGIN = Path(__file__).parents[2] / "support" / "plugin"
NAMES = list(BUILT_IN)
DEFAULT = tuple(name for name, entry in BUILT_IN.items() if not entry.on_request)
TABLES = ("routing", "command", "command_model", "processing")
SMALL = [name for name in preset_names() if name.startswith("small/")]


class TestCreate:
    @pytest.mark.parametrize("name", NAMES)
    def test_gives_a_policy_of_that_name(self, name: str):
        policy = create(name)
        assert isinstance(policy, Policy)
        assert policy.name == name

    def test_parameters_follow_the_name(self):
        policy = create("round_robin:safety=3:rule=all:patience_slots=null")
        assert (policy.settings.safety, policy.settings.rule) == (3, "all")
        assert policy.name == "round_robin:safety=3:rule=all:patience_slots=null"

    def test_unknown_name_lists_the_known_ones(self):
        with pytest.raises(InvalidInput, match="'nobody' is not a policy; known: round_robin, "):
            create("nobody")

    @pytest.mark.parametrize(
        ("spec", "message"),
        [
            ("round_robin:safety", "'safety' in .* is not parameter=value"),
            ("round_robin:=3", "is not parameter=value"),
            ("round_robin:colour=red", "colour: is not a parameter; shared ones: smoothing, "),
            ("round_robin:rule=some", "rule: must be one of demand, all, none"),
            ("round_robin:safety=many", r"safety: must be a number in \[0, 1e\+06\], found 'many'"),
            ("round_robin:smoothing=2", r"smoothing: must be a number in \[0, 1\], found 2"),
            ("round_robin:safety=NaN", "safety: must be a number"),
        ],
    )
    def test_bad_parameters_are_refused(self, spec: str, message: str):
        with pytest.raises(InvalidInput, match=message):
            create(spec)


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example package, installed as far as importlib.metadata can tell."""
    monkeypatch.syspath_prepend(PLUGIN)
    yield
    sys.modules.pop("torta_opt_example", None)


@pytest.mark.usefixtures("plugin")
class TestOtherPackages:
    def test_their_policies_are_listed_after_ours(self):
        assert policy_names()[: len(DEFAULT)] == DEFAULT
        assert "stay_home" in policy_names()[len(DEFAULT) :]
        assert summaries()["stay_home"] == "from package torta-opt-example"

    def test_their_policies_run(self):
        instance = make_instance([[[3]], [[3]], [[0]]], initial={"model": [0]}, hot_permille=0)
        schedule = run(create("stay_home:limit=2"), instance).schedule
        assert verify(instance, schedule).ok
        assert schedule.processing[:, 0, 0].tolist() == [2, 2, 2]
        assert schedule.method == "stay_home:limit=2"

    def test_unknown_parameter_is_refused(self):
        with pytest.raises(InvalidInput, match=r"'speed' is not a parameter of stay_home.*limit"):
            create("stay_home:speed=2")

    def test_ours_cannot_be_taken_over(self):
        assert type(create("round_robin")).__name__ == "RoundRobin"

    def test_nor_can_names_of_methods_that_are_no_policies(self):
        with pytest.raises(InvalidInput, match="'optimal' is not a policy"):
            create("optimal")
        assert set(FAMILY.methods) >= set(registry.OFFLINE)
        assert set(registry.OFFLINE) == set(OFFLINE)

    def test_what_cannot_be_loaded_is_one_plain_line(self):
        with pytest.raises(
            PolicyFailed, match="broken: loading it from package torta-opt-example: "
        ):
            create("broken")

    def test_what_is_no_policy_is_refused(self):
        with pytest.raises(PolicyFailed, match="Unfinished has no name, reset, decide and forec"):
            create("unfinished")


def test_without_other_packages_only_ours_are_listed():
    assert policy_names() == DEFAULT
    assert tuple(summaries()) == tuple(NAMES)


def test_what_takes_minutes_runs_only_where_it_is_named():
    assert {"rhc", "afhc"} <= set(NAMES) - set(DEFAULT)


def decisions(schedule: Schedule, until: int) -> list[list]:
    return [getattr(schedule, name)[:until].tolist() for name in TABLES]


def scrambled_after(instance: Instance, t: int, rng: np.random.Generator) -> Instance:
    """Other arrivals and outages after slot t, other prices after the 24 hours known then."""
    arrivals, up = instance.arrivals.copy(), instance.up.copy()
    price = instance.price_usd_per_kwh.copy()
    arrivals[t + 1 :] = rng.integers(0, 9, arrivals[t + 1 :].shape)
    up[t + 1 :] = rng.random(up[t + 1 :].shape) < 0.6
    known = t + max(1, 24 * 3_600_000 // instance.system.slot_ms)
    price[known:] = rng.uniform(-1, 1, price[known:].shape)
    return dataclasses.replace(instance, arrivals=arrivals, up=up, price_usd_per_kwh=price)


# Slots of six hours: what is known of prices ends within the horizon.
LONG_SLOTS = Limits(slots=12, slot_ms=(21_600_000,), server_ms=9_000_000, loading_ms=30_000_000)


# Those that solve a program in every slot take longest; test_window.py tries a few instances.
# Torta needs weights of the topology; test_torta.py makes some.
SOLVING = [
    pytest.param(name, marks=pytest.mark.slow)
    for name in NAMES
    if name not in DEFAULT and name != "torta"
]


@pytest.mark.parametrize("name", [*DEFAULT, *SOLVING])
class TestEveryPolicy:
    @settings(max_examples=examples(100))
    @given(instance=tiny_instances(), seed=st.integers(0, 2**32 - 1))
    def test_breaks_no_rule(self, name: str, instance: Instance, seed: int):
        schedule = run(create(name), instance, seed).schedule
        found = verify(instance, schedule)
        assert found.ok, found.violations

    @pytest.mark.slow
    def test_breaks_no_rule_on_many_seeds(self, name: str):
        for seed in range(2000):
            instance = random_tiny_instance(np.random.default_rng(seed))
            try:
                found = verify(instance, run(create(name), instance, seed).schedule)
            except Exception as error:
                raise AssertionError(f"seed {seed}") from error
            assert found.ok, (seed, found.violations)

    @pytest.mark.parametrize("preset", SMALL)
    def test_breaks_no_rule_on_small_presets(self, name: str, preset: str):
        instance = generate(preset)
        assert verify(instance, run(create(name), instance).schedule).ok

    @settings(max_examples=examples(40))
    @given(
        instance=tiny_instances(LONG_SLOTS),
        share=st.floats(0, 1, exclude_max=True),
        seed=st.integers(0, 2**32 - 1),
    )
    def test_does_not_know_the_future(self, name: str, instance: Instance, share: float, seed: int):
        t = int(share * instance.slots)
        other = scrambled_after(instance, t, np.random.default_rng(seed))
        one, two = run(create(name), instance, seed), run(create(name), other, seed)
        assert decisions(one.schedule, t + 1) == decisions(two.schedule, t + 1)
        if one.schedule.forecast is not None and t + 1 < instance.slots:
            assert np.array_equal(one.schedule.forecast[: t + 2], two.schedule.forecast[: t + 2])

    def test_same_seed_same_schedule_even_when_run_again(self, name: str):
        instance = random_tiny_instance(np.random.default_rng(3), slots=5, regions=3, servers=4)
        policy = create(name)
        one = run(policy, instance, seed=5).schedule
        run(policy, random_tiny_instance(np.random.default_rng(8)), seed=1)
        two = run(policy, instance, seed=5).schedule
        assert decisions(one, instance.slots) == decisions(two, instance.slots)

    def test_one_slot_without_requests(self, name: str):
        instance = make_instance([[[0], [0]]])
        schedule = run(create(name), instance).schedule
        assert verify(instance, schedule).ok
        assert not schedule.processing.any()

    def test_requests_that_fit_no_server_of_a_type(self, name: str):
        """u > Δ on the type that stands in the west: only the east can serve."""
        instance = make_instance(
            np.full((6, 2, 1), 4),
            types=2,
            server_type=[0, 1],
            server_ms=[[1000], [50_000]],
            initial={"model": [0, 0]},
            weights={"expiry_usd": 1.0},
        )
        schedule = run(create(name), instance).schedule
        assert verify(instance, schedule).ok
        assert evaluate(instance, schedule).metrics["served"] == 48

    def test_serves_everything_when_there_is_plenty_of_time(self, name: str):
        instance = make_instance(
            np.full((12, 3, 1), 10),
            server_region=[0, 0, 1, 2, 2],
            start_ms=1000,
            deadline_slots=2,
            latency_s=np.full((3, 3), 0.02) - 0.02 * np.eye(3),
            weights={"time_usd_per_s": 1e-3, "expiry_usd": 1.0},
        )
        schedule = run(create(name), instance).schedule
        metrics = evaluate(instance, schedule).metrics
        assert metrics["expired"] == 0
        assert metrics["served"] == 360

    @pytest.mark.slow
    def test_loses_next_to_nothing_at_a_moderate_load(self, name: str):
        instance = generate("paper/abilene", slots=160)
        schedule = run(create(name), instance).schedule
        assert verify(instance, schedule).ok
        assert evaluate(instance, schedule).metrics["expired_share"] < 0.01
