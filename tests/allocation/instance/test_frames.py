"""Instances as data frames and back: the same instance, and plain complaints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.sizes import examples
from support.tiny import random_tiny_instance

import torta_opt
from torta_opt.allocation.instance import Instance, instance_sha256
from torta_opt.allocation.instance.imports.tables import OPTIONAL, TITLES
from torta_opt.io import InvalidInput


def frames_of(instance: Instance) -> dict[str, Any]:
    return {name: instance.to_frame(name) for name in TITLES}


def test_there_and_back_is_the_same_instance() -> None:
    rng = np.random.default_rng(3)
    for _ in range(examples(30)):
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


def test_nothing_prints_a_page_of_arrays(tmp_path: Path) -> None:
    instance = torta_opt.generate("small/loading")
    result = torta_opt.solve(instance, "optimal")
    proved = torta_opt.bound(instance, "lp")
    report = torta_opt.gap(instance, "greedy_forecast")
    torta_opt.save_schedule(result.schedule, instance, tmp_path / "s.json")
    check = torta_opt.verify_file(instance, tmp_path / "s.json")
    referee = (torta_opt.verify(instance, result.schedule), result.evaluation, check)
    for each in (instance.system, instance.initial, instance.system.weights):
        assert len(repr(each)) < 300
    for each in (instance, result, result.schedule, proved, report, *referee):
        assert repr(each).startswith(f"<{type(each).__name__}")
        assert len(repr(each)) < 300
        shown = each._repr_html_()
        assert shown.startswith("<table>")
        assert len(shown) < 2000
    for text in ("Result of optimal", f"cost {result.cost:.5f}", "status done"):
        assert text in repr(result)
    assert repr(proved).startswith(f"<BoundResult of lp: value {proved.value:.5f}, certified yes")
    assert "expiry 1.5000" in repr(torta_opt.solve(instance, "greedy_forecast").evaluation)


def test_numbers_that_are_none_are_shown_too() -> None:
    """The message about a bound of a third party may hold its repr."""
    for value, text in ((float("nan"), "value nan"), (float("-inf"), "value -inf")):
        assert text in repr(torta_opt.BoundResult(value, "someone's"))
