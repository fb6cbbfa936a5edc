from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from support.tiny import tiny_instances

from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.instance.utilisation import least_load, load_of

SYSTEM = generate("small/drain").system  # 15 s of a 45 s slot per request, two types


def test_one_type() -> None:
    """Two servers of one type do six requests a slot."""
    assert least_load(SYSTEM, np.array([3.0]), np.array([2, 0])) == pytest.approx(0.5)


def test_two_types_share_in_proportion_to_their_speed() -> None:
    fast = dataclasses.replace(SYSTEM, server_ms=[[15_000], [5_000]])
    assert least_load(fast, np.array([6.0]), np.array([1, 1])) == pytest.approx(6 / (3 + 9))


def test_specialists() -> None:
    """Only one type can serve the second class: it decides."""
    system = generate("small/switch").system
    load = least_load(system, np.array([1.0, 2.0]), np.array([1, 1]))
    assert load == pytest.approx(2 / 3)  # two of the second class; the first goes to the other type


def test_nothing_asked_and_nothing_there() -> None:
    assert least_load(SYSTEM, np.zeros(1), np.array([2, 0])) == 0
    assert least_load(SYSTEM, np.ones(1), np.zeros(2)) == float("inf")


def test_load_of_counts_backlog_and_outages() -> None:
    instance = generate("small/drain")
    assert load_of(instance) == pytest.approx(8 / (4 * 2 * 3))
    up = instance.up.copy()
    up[:2, 1] = False
    assert load_of(dataclasses.replace(instance, up=up)) == pytest.approx(8 / (4 * 1.5 * 3))


@given(tiny_instances())
def test_no_type_is_busier_and_scales(instance: Instance) -> None:
    """The least load is at least what the fastest server would take for everything."""
    system = instance.system
    servers = np.bincount(system.server_type, minlength=len(system.types))
    requests = instance.arrivals.mean(axis=(0, 1))
    load = least_load(system, requests, servers)
    there = system.usable_by[servers > 0]
    fastest = np.where(there, system.server_ms[servers > 0], 10**9).min(axis=0)
    assert load * servers.sum() >= (requests * fastest).sum() / system.slot_ms - 1e-9
    assert least_load(system, 2 * requests, servers) == pytest.approx(2 * load)
