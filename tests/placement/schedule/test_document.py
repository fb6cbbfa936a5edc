"""The schedule file: there and back, and what is refused."""

from __future__ import annotations

import copy
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.small_placement import build, hosting

from torta_opt.api import load_schedule, save_schedule
from torta_opt.io import InvalidInput
from torta_opt.placement.schedule.data import PlacementSchedule, Route
from torta_opt.placement.schedule.document import (
    json_schema,
    schedule_from_document,
    schedule_to_document,
)

INSTANCE = build(requests=(3,))
SCHEDULE = PlacementSchedule(
    "own", hosting((0, 3), (0, 0), (2, 2)), (Route(0, (0, 2)),) * 2 + (Route(0, (2,)),), 7
)


def test_there_and_back(tmp_path):
    save_schedule(SCHEDULE, INSTANCE, tmp_path / "s.json.gz")
    again = load_schedule(tmp_path / "s.json.gz", INSTANCE)
    assert schedule_to_document(again, INSTANCE) == schedule_to_document(SCHEDULE, INSTANCE)
    assert again.routes == SCHEDULE.routes
    assert again.seed == 7
    assert again.placement.count.tolist() == [3, 0, 2]


@given(st.lists(st.lists(st.integers(0, 2), max_size=3), max_size=5))
def test_any_routes_there_and_back(chains):
    routes = tuple(Route(0, tuple(chain)) for chain in chains)
    schedule = PlacementSchedule("own", hosting((0, 1), (1, 1), (2, 2)), routes)
    document = schedule_to_document(schedule, INSTANCE)
    again = schedule_from_document(document, INSTANCE)
    assert Counter(again.routes) == Counter(routes)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda d: d.update(instance="other"), "instance"),
        (lambda d: d["hosts"][0].update(server="nobody"), "nobody"),
        (lambda d: d["hosts"].append(d["hosts"][0]), "twice"),
        (lambda d: d["hosts"][0].update(first=-1), "first"),
        (lambda d: d["hosts"][0].update(count=0), "count"),
        (lambda d: d["hosts"][0].update(count=True), "count"),
        (lambda d: d["routes"][0].update(client="nobody"), "nobody"),
        (lambda d: d["routes"][0].update(servers=["nobody"]), "nobody"),
        (lambda d: d["routes"][0].update(requests=0), "requests"),
        (lambda d: d["routes"][0].update(requests=10**7), "10000000"),
        (lambda d: d.pop("routes"), "routes"),
        (lambda d: d.update(version=9), "version"),
    ],
)
def test_what_is_wrong_is_named(change, text):
    document = copy.deepcopy(schedule_to_document(SCHEDULE, INSTANCE))
    change(document)
    with pytest.raises(InvalidInput, match=text):
        schedule_from_document(document, INSTANCE)


def test_a_truncated_file_is_named(tmp_path):
    path = tmp_path / "s.json"
    save_schedule(SCHEDULE, INSTANCE, path)
    path.write_text(path.read_text()[:40])
    with pytest.raises(InvalidInput, match=r"s\.json"):
        load_schedule(path, INSTANCE)


def test_the_schema_names_the_format():
    assert json_schema()["properties"]["format"]["const"] == "torta-opt/placement-schedule"
