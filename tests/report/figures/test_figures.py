"""Pictures show what the evaluator and the report say; every kind can be drawn and written."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgba

import torta_opt
from torta_opt.io import InvalidInput
from torta_opt.report.figures import FIGURES, draw, style
from torta_opt.report.figures.demand import fan
from torta_opt.report.figures.flows import positions_of
from torta_opt.report.figures.frontier import undominated
from torta_opt.report.figures.gap import dollars_down, percent_up
from torta_opt.report.figures.growth import exponent

ROOT = Path(__file__).parents[3]
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))


@pytest.fixture(scope="module")
def instance() -> Any:
    return torta_opt.generate("small/loading")


@pytest.fixture(scope="module")
def report(instance: Any) -> Any:
    return torta_opt.gap(instance, ["greedy_forecast", "round_robin", "clairvoyant"])


@pytest.fixture(scope="module")
def data(instance: Any, report: Any) -> dict[str, Any]:
    schedules = {each.policy: each.schedule for each in report.results}
    parts = {"servers": 0.3, "requests": 0.1, "learning": 0.0, "bound": 0.02}
    document = report.to_document()
    document["results"][0]["attribution"] = parts
    return {
        "instance": instance,
        "schedule": schedules["greedy_forecast"],
        "schedules": schedules,
        "report": document,
        "result": torta_opt.solve(instance, "optimal"),
        "growth": a_growth({"sizes": [10, 20, 40], "seconds": [1.0, 4.0, 16.0]}),
    }


def drawn(kind: str, data: dict[str, Any], **more: Any) -> Any:
    accepted = FIGURES[kind].accepts
    return draw(kind, **{name: data[name] for name in data if name in accepted}, **more)


@pytest.mark.parametrize("kind", [k for k, each in FIGURES.items() if each.family == "allocation"])
def test_every_kind_is_drawn_with_a_title_and_written_the_same_twice(
    kind: str, data: dict[str, Any]
) -> None:
    with style.themed():
        one, two = (style.encode(drawn(kind, data), ".svg") for _ in range(2))
    assert one == two
    assert one.lstrip().startswith(b"<?xml")
    with style.themed("dark"):
        ax = drawn(kind, data)
    assert ax.get_title(loc="left")
    assert ax.get_facecolor() == to_rgba(style.PAPER["dark"])
    assert {ax.xaxis.label.get_color(), ax.title.get_color()} == {style.INK["dark"]}


def test_it_draws_on_axes_that_are_given(data: dict[str, Any]) -> None:
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    assert drawn("servers", data, ax=ax) is ax


def test_bars_of_costs_end_at_the_cost(report: Any) -> None:
    ax = draw("costs", report=report)
    ends: dict[float, float] = {}
    for bar in ax.patches:
        row = round(bar.get_y(), 6)
        ends[row] = max(ends.get(row, 0.0), bar.get_x() + bar.get_width())
    costs = sorted(each.cost for each in report.results)
    assert sorted(ends.values()) == pytest.approx(costs)
    lines = sorted(line.get_xdata()[0] for line in ax.lines)
    assert lines == pytest.approx(sorted([report.floor.value, report.bound.value]))


def test_earnings_stand_left_of_zero() -> None:
    row = {"policy": "earns", "feasible": True, "cost": -1.0, "gap": None, "metrics": {}}
    row |= {"costs": {"energy": -3.0, "rent": 2.0}}
    ax = draw("costs", report=a_report([row], bound=-1.5, floor=-2.0))
    spans = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in ax.patches)
    assert spans == [(0.0, -3.0), (0.0, 2.0)]


def test_parts_of_a_gap_end_at_floor_bound_and_cost(report: Any) -> None:
    ax = draw("gap", report=report)
    ends = {round(bar.get_x() + bar.get_width(), 9) for bar in ax.patches}
    values = [report.floor.value, report.bound.value, *(each.cost for each in report.results)]
    for value in values:
        assert any(
            end == pytest.approx(max(value, report.bound.value), rel=1e-6)
            or end == pytest.approx(value, rel=1e-6)
            for end in ends
        )


def test_the_picture_of_the_readme_has_its_figures() -> None:
    """torta-opt gap … --json > gap.json (as make gap), torta-opt plot gap gap.json -o …"""
    picture = (ROOT / "docs" / "images" / "gap_abilene.svg").read_text()
    row = re.compile(r"^ (\w+) +[0-9.,]+ +[0-9.]+ % +([0-9.]+) %", re.MULTILINE)
    rows = row.findall((ROOT / "README.md").read_text())
    assert len(rows) == 8
    for policy, gap in rows:
        assert f">{policy}<" in picture
        # The table rounds to hundredths; the picture rounds the exact gap up to tenths.
        tenths = {math.ceil(round(10 * (float(gap) + half), 6)) / 10 for half in (-0.005, 0.005)}
        assert any(f"gap ≤ {each:.1f} %" in picture for each in tenths)


def test_a_fan_holds_what_its_forecaster_says() -> None:
    """The bands lie within each other, and end where the instance does."""
    instance = torta_opt.generate("paper/abilene", slots=24)
    for name in ("law", "last", "mean_reverting"):
        bands, middle = fan(instance, 10, name)
        (low, high), (lower, upper) = bands
        assert (low <= lower).all()
        assert (lower <= middle).all()
        assert (middle <= upper).all()
        assert (upper <= high).all()
        assert len(middle) == instance.slots - 10
    ax = draw("demand", instance=instance, slot=10, forecaster="law")
    labels = [each.get_text() for each in ax.get_legend().get_texts()]
    assert "90 % of the forecasts (law)" in labels
    bands, _ = fan(instance, 10, "perfect")
    assert bands[0][0].tolist() == instance.arrivals[10:].sum(axis=(1, 2)).tolist()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"slot": 0}, "0 must lie between 1 and 23"),
        ({"slot": 24}, "24 must lie between 1 and 23"),
        ({"forecaster": "law"}, "needs a slot"),
        ({"slot": 3, "forecaster": "oracle"}, "must be one of law"),
    ],
)
def test_fans_that_cannot_be_drawn(more: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        draw("demand", instance=torta_opt.generate("paper/abilene", slots=24), **more)


def test_gaps_are_rounded_up() -> None:
    assert percent_up(0.5) == "50.0"
    assert percent_up(0.20001) == "20.1"


@pytest.mark.parametrize(
    ("bound", "shown"),
    [
        *((1857.99, "1,857"), (18.929, "18.92"), (0.13549, "0.1354"), (-2.0001, "-2.001")),
        *((0, "0"), (1.9999999999, "1.999"), (1.001, "1.001"), (1e30, f"{1e30:,.0f}")),
    ],
)
def test_bounds_are_rounded_down(bound: float, shown: str) -> None:
    assert dollars_down(bound) == shown


def test_schedules_that_break_a_rule_are_not_drawn() -> None:
    rows = [a_row("fine", 100.0), {**a_row("broken", None), "feasible": False, "costs": {}}]
    ax = draw("gap", report=a_report(rows))
    assert [label.get_text() for label in ax.get_yticklabels()] == ["fine"]
    with pytest.raises(InvalidInput, match="no schedule that keeps every rule"):
        draw("gap", report=a_report(rows[1:]))


def test_servers_are_those_of_the_schedule(data: dict[str, Any]) -> None:
    instance, schedule = data["instance"], data["schedule"]
    frame = schedule.to_frame(instance, "servers")
    on = frame.groupby("slot")[["ready", "loading"]].sum().sum(axis=1)
    ax = drawn("servers", data)
    tops = [collection.get_paths()[0].vertices[:, 1].max() for collection in ax.collections]
    assert max(tops) == pytest.approx(on.max())


def test_the_last_step_of_a_response_is_every_request(data: dict[str, Any]) -> None:
    ax = drawn("response", data)
    steps = [line for line in ax.lines if line.get_drawstyle() == "steps-post"]
    assert steps
    assert all(line.get_ydata()[-1] == pytest.approx(100) for line in steps)


def test_routing_shares_add_up_to_all(data: dict[str, Any]) -> None:
    shares = np.asarray(drawn("routing", data).images[0].get_array())
    sums = shares.sum(axis=1)
    assert ((np.abs(sums - 100) < 1e-9) | (sums == 0)).all()


def test_waterfall_ends_at_the_cost(data: dict[str, Any]) -> None:
    document = data["report"]
    row = document["results"][0]
    row["cost"] = document["bound"]["value"] + sum(row["attribution"].values())
    ax = draw("attribution", report=document)
    steps = ax.patches[1:-1]
    assert steps[-1].get_y() + steps[-1].get_height() == pytest.approx(row["cost"])
    assert ax.patches[-1].get_height() == pytest.approx(row["cost"])


def test_cumulative_costs_end_at_the_differences(data: dict[str, Any], report: Any) -> None:
    ax = drawn("above_cheapest", data)
    ends = sorted(float(line.get_ydata()[-1]) for line in ax.lines)
    least = min(each.cost for each in report.results)
    assert ends == pytest.approx(sorted(each.cost - least for each in report.results), abs=1e-9)


def test_positions_have_the_distances_of_a_plane() -> None:
    places = np.array([[0, 0], [3, 0], [0, 4], [5, 5]], float)
    distance = np.linalg.norm(places[:, None] - places[None], axis=2)
    found = positions_of(distance)
    assert np.allclose(np.linalg.norm(found[:, None] - found[None], axis=2), distance)


@pytest.mark.parametrize("regions", [1, 2])
def test_one_and_two_regions_have_a_map(regions: int) -> None:
    assert positions_of(np.zeros((regions, regions))).shape == (regions, 2)


def test_of_equal_points_both_stand() -> None:
    assert undominated([(1, 2), (1, 2), (2, 1), (2, 2)]) == {0, 1, 2}


def test_dollar_signs_in_names_are_no_formulas() -> None:
    rows = [a_row("a $x^{ policy $", 100.0)]
    style.encode(draw("gap", report=a_report(rows)), ".svg")


def test_growth_shows_every_second_and_the_power_that_fits() -> None:
    curves = ({"sizes": [10, 20, 40], "seconds": [1.0, 4.0, 16.0]}, {"sizes": [20], "seconds": [3]})
    ax = draw("growth", growth=a_growth(*curves))
    *lines, proportional = ax.lines
    assert [list(line.get_ydata()) for line in lines] == [each["seconds"] for each in curves]
    assert [line.get_label() for line in lines] == ["way 0: slots^2.0", "way 1"]
    assert proportional.get_xydata().tolist() == [[10, 1], [40, 4]]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


@pytest.mark.parametrize("power", [0.5, 1.0, 2.3])
def test_the_exponent_is_that_of_a_power_law(power: float) -> None:
    sizes = [60, 120, 480]
    assert exponent(sizes, [0.3 * size**power for size in sizes]) == pytest.approx(power)


@pytest.mark.parametrize("file", RESULTS, ids=lambda file: file.stem)
def test_pictures_of_growth_in_docs_show_what_was_measured(file: Path) -> None:
    """make bench draws them; the page has the picture beside the table of the same run."""
    growth = json.loads(file.read_text())
    picture = (ROOT / "docs" / "images" / f"{file.stem}.svg").read_text()
    page = (ROOT / "docs" / "performance.md").read_text()
    assert f"(images/{file.stem}.svg)" in page
    labels = [line.get_label() for line in draw("growth", growth=growth).lines]
    for text in (growth["title"], *labels):
        assert f">{text}<" in picture
    assert growth["machine"]["packages"]["highspy"]


def test_placement_blocks_end_where_servers_end() -> None:
    instance = torta_opt.generate("placement/tiny")
    schedule = torta_opt.solve(instance).schedule
    ax = draw("blocks", instance=instance, schedule=schedule)
    hosts = schedule.placement.count > 0
    ends = sorted(bar.get_x() + bar.get_width() for bar in ax.patches if bar.get_width())
    assert ends == sorted(schedule.placement.end[hosts].tolist())


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        ("pie", {}, "is not a picture"),
        ("servers", {}, "needs instance and schedule"),
        ("gap", {"report": {}}, "is not a report"),
        ("gap", {"report": {"results": [], "bound": {}}, "slot": 1}, "takes no slot"),
        ("run", {"result": {"method": "skylb"}}, "proved no bound"),
        ("growth", {"growth": {"growth": "x"}}, "title: is missing"),
    ],
)
def test_what_cannot_be_drawn_is_one_plain_line(
    kind: str, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        draw(kind, **given)


def test_a_slot_that_is_not_there(data: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="99 must lie between 0 and 4"):
        drawn("routing", data, slot=99)


@pytest.mark.parametrize(
    ("curve", "message"),
    [
        ({"sizes": [10, 20], "seconds": [1.0]}, "as many seconds as sizes"),
        ({"sizes": [10], "seconds": [0.0]}, r"seconds\[0\]: must be greater than 0"),
        ({"sizes": [], "seconds": []}, "sizes: "),
    ],
)
def test_growth_that_cannot_be_drawn(curve: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        draw("growth", growth=a_growth(curve))


def a_growth(*curves: dict[str, Any]) -> dict[str, Any]:
    named = [{"name": f"way {number}", **curve} for number, curve in enumerate(curves)]
    head = {"growth": "bench", "title": "a program", "size": "slots", "machine": {}}
    return {**head, "curves": named}


def a_row(name: str, cost: float | None) -> dict[str, Any]:
    return {"policy": name, "feasible": True, "cost": cost, "gap": 0.5, "metrics": {}} | {
        "costs": {"rent": cost}
    }


def a_report(rows: list[dict[str, Any]], bound: float = 50.0, floor: float = 20.0) -> Any:
    return {"instance": "x", "floor": floor, "bound": {"value": bound}, "results": rows}


def test_the_page_of_docs_lists_every_picture() -> None:
    text = (ROOT / "docs" / "report.md").read_text()
    for name, each in FIGURES.items():
        assert f"| `{name}` | {each.summary} | {', '.join(each.needs)} |" in text
