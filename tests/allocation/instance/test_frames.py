"""Instances as data frames and back: the same instance, and plain complaints."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.tiny import random_tiny_instance

import torta_opt
from torta_opt.allocation.instance import Instance, instance_sha256
from torta_opt.allocation.instance.imports.tables import OPTIONAL, TITLES
from torta_opt.io import InvalidInput


def frames_of(instance: Instance) -> dict[str, Any]:
    return {name: instance.to_frame(name) for name in TITLES}


def test_there_and_back_is_the_same_instance() -> None:
    rng = np.random.default_rng(3)
    for _ in range(30):
        instance = random_tiny_instance(rng)
        assert instance_sha256(Instance.from_frames(frames_of(instance))) == (
            instance_sha256(instance)
        )


@pytest.fixture
def frames() -> dict[str, Any]:
    return frames_of(torta_opt.generate("small/loading"))


def test_tables_that_may_be_missing_are_empty(frames: dict[str, Any]) -> None:
    for name in OPTIONAL:
        del frames[name]
    assert Instance.from_frames(frames).requests == 7


def test_a_change_of_demand_changes_the_demand(frames: dict[str, Any]) -> None:
    frames["arrivals"]["requests"] *= 3
    assert Instance.from_frames(frames).arrivals.sum() == 21


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.pop("latency"), r"frames: lacks latency"),
        (lambda f: f.update(demand=f["arrivals"]), r"'demand' is not a table"),
        (lambda f: f.update(arrivals=[1, 2]), r"frames\['arrivals'\]: is a list, not a DataFrame"),
        (
            lambda f: f.update(arrivals=f["arrivals"].drop(columns="slot")),
            r"frames\['arrivals'\]: line 1: lacks the column slot",
        ),
        (
            lambda f: f["arrivals"].__setitem__("requests", -1),
            r"arrivals\[2\]\[0\]\[0\]: must not be negative, found -1",
        ),
        (
            lambda f: f["arrivals"].__setitem__("requests", float("nan")),
            r"frames\['arrivals'\]: line 1, requests: is missing",
        ),
        (
            lambda f: f["servers"].__setitem__("region", "nowhere"),
            r"frames\['servers'\]: line 1, region: names an unknown region",
        ),
    ],
)
def test_faults_name_frame_row_and_column(
    frames: dict[str, Any], change: Any, message: str
) -> None:
    change(frames)
    with pytest.raises(InvalidInput, match=message):
        Instance.from_frames(frames)


def test_an_unknown_table_is_one_plain_line() -> None:
    with pytest.raises(InvalidInput, match="'demand' is not a table; known: settings"):
        torta_opt.generate("small/loading").to_frame("demand")


def test_nothing_prints_a_page_of_arrays() -> None:
    instance = torta_opt.generate("small/loading")
    schedule = torta_opt.solve(instance).schedule
    report = torta_opt.gap(instance, "greedy_forecast")
    for each in (instance, instance.system, instance.initial, instance.system.weights, schedule):
        assert len(repr(each)) < 300
    assert len(repr(report)) < 300
    for shown in (instance._repr_html_(), schedule._repr_html_(), report._repr_html_()):
        assert shown.startswith("<table>")
        assert len(shown) < 2000
