"""The setting of Fig. 5, as far as the paper states it, and what is chosen beside it."""

from __future__ import annotations

import numpy as np
import pytest

from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.instance.generate.fig5 import SIZES


@pytest.mark.parametrize("tasks", [*SIZES, 777, 1_000_000])
def test_what_the_paper_states(tasks: int) -> None:
    instance = generate(f"fig5/{tasks}")
    system = instance.system
    assert instance.slots == 1
    assert instance.requests == tasks
    assert np.bincount(system.server_region).tolist() == [10] * 5
    assert len(system.classes) == 2
    held = system.slot_ms / system.server_ms / (tasks / 200)
    assert held.min() >= 3.0
    assert held.max() <= 20.2


@pytest.mark.parametrize("tasks", [*SIZES, 1_000_000])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_load_is_the_same_for_every_size_and_fits(tasks: int, seed: int) -> None:
    """A task on the mean server takes less than the share that a region may be used."""
    instance = generate(f"fig5/{tasks}", seed)
    system = instance.system
    mean_ms = 1 / (1 / system.server_ms[system.server_type]).mean(axis=0)
    share = (instance.arrivals[0].sum(axis=0) * mean_ms).sum() / (50 * system.slot_ms)
    assert 0.4 < share < 0.6


def test_servers_are_ready_and_cost_nothing_while_idle() -> None:
    instance = generate("fig5/200")
    assert (instance.initial.model == 0).all()
    assert not instance.system.idle_kw.any()
    assert not instance.system.rent_usd_per_hour.any()


def test_seeds_are_named_and_differ() -> None:
    one, other = generate("fig5/500", 1), generate("fig5/500", 2)
    assert one.name == "fig5/500@1"
    assert (one.arrivals != other.arrivals).any()
