"""The page: escaped text, true numbers, no network; and what a browser makes of it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import torta_opt
from torta_opt.io.text import money
from torta_opt.report.explorer import explorer_data, packed
from torta_opt.report.page import Subject, page

EVIL = "<script>alert(1)</script>&\"'"


@pytest.fixture(scope="module")
def instance() -> Any:
    return torta_opt.generate("small/loading")


@pytest.fixture(scope="module")
def subject(instance: Any) -> Subject:
    report = torta_opt.gap(instance, ["greedy_forecast", "clairvoyant"])
    schedules = {each.policy: each.schedule for each in report.results}
    return Subject(report, instance, schedules, provenance={"made by": "a test"})


@pytest.fixture(scope="module")
def text(subject: Subject) -> str:
    return page([subject])


def test_it_holds_every_cost_and_the_verdict(text: str, subject: Subject) -> None:
    for cost in money([each.cost for each in subject.report.results]):
        assert f"<td>{cost}</td>" in text
    assert "could be saved" in text
    assert "certificate" in text


def test_it_asks_for_nothing_from_outside(text: str) -> None:
    own = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r'(src|href)="(https?:)?//', own)
    assert "default-src 'none'" in text


def test_the_same_subject_gives_the_same_page(subject: Subject, text: str) -> None:
    assert page([subject]) == text


def test_names_of_files_are_text_and_nothing_else(subject: Subject) -> None:
    document = subject.report.to_document()
    document["instance"] = EVIL
    document["results"][0]["policy"] = EVIL
    found = page([Subject(document, provenance={EVIL: EVIL})])
    assert "<script>alert" not in found
    assert "&lt;script&gt;alert(1)" in found


def test_without_an_instance_there_is_no_explorer(subject: Subject) -> None:
    found = page([Subject(subject.report.to_document())])
    assert "plotly" not in found
    assert len(found) < 500_000


def test_of_a_report_without_valid_schedules_nothing_is_said() -> None:
    bad = {"policy": "p", "cost": None, "gap": None, "gap_at_least": None, "avoidable_gap": None}
    bad |= {"feasible": False, "problems": ["queue: negative"], "costs": {}, "metrics": {}}
    bound = {"value": 1.0, "source": "lp", "certified": False, "certified_value": None}
    found = page([Subject({"instance": "i", "floor": 0.5, "bound": bound, "results": [bad]})])
    assert "No schedule keeps every rule" in found
    assert "queue: negative" in found


def test_the_explorer_has_the_numbers_of_the_referee(instance: Any, subject: Subject) -> None:
    found = explorer_data(instance, subject.schedules)
    assert found is not None
    shape = instance.arrivals.shape
    for name, schedule in subject.schedules.items():
        frame = schedule.to_frame(instance, "queues")
        for part in ("served", "waiting", "expired"):
            numbers = np.reshape(unpacked(found["schedules"][name][part]), shape)
            assert numbers.sum() == frame[part].sum()
    assert np.reshape(unpacked(found["arrivals"]), shape).tolist() == instance.arrivals.tolist()
    json.dumps(found, allow_nan=False)


def unpacked(numbers: list[int]) -> list[int]:
    """As the script of the page reads them."""
    return [value for number in numbers for value in ([number] if number >= 0 else [0] * -number)]


@pytest.mark.parametrize(
    ("flat", "numbers"),
    [
        ([], []),
        ([0], [0]),
        ([0, 0, 0], [-3]),
        ([5, 0, 0, 7], [5, -2, 7]),
        ([0, 5, 0, 7, 0, 0], [0, 5, 0, 7, -2]),
    ],
)
def test_numbers_are_packed(flat: list[int], numbers: list[int]) -> None:
    assert packed(np.array(flat, int)) == numbers
    assert unpacked(numbers) == flat


def test_any_numbers_are_packed() -> None:
    rng = np.random.default_rng(2)
    for share in (0.1, 0.5, 0.9):
        flat = rng.integers(0, 9, 200) * (rng.random(200) < share)
        assert unpacked(packed(flat)) == flat.tolist()


def test_schedules_that_make_the_page_too_large_are_named(
    instance: Any, subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torta_opt.report.explorer.MAX_NUMBERS", 1)
    found = explorer_data(instance, subject.schedules)
    assert found is not None
    assert len(found["schedules"]) == 1
    assert found["left_out"] == list(subject.schedules)[1:]


# --- in a browser -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("chromium is not installed")
    api = pytest.importorskip("playwright.sync_api")
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
    with api.sync_playwright() as running:
        started = running.chromium.launch(executable_path=found, args=options)
        yield started
        started.close()


SCREENS = {"laptop": (1280, 800, "light"), "phone": (390, 844, "dark")}


@pytest.fixture(scope="module", params=list(SCREENS))
def opened(
    request: Any, browser: Any, text: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    width, height, scheme = SCREENS[request.param]
    file = tmp_path_factory.mktemp("page") / "report.html"
    Path(file).write_text(text, encoding="utf-8")
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, offline=True
    )
    shown = context.new_page()
    shown.complaints = []
    shown.on("console", lambda message: shown.complaints.append(message.text))
    shown.on("pageerror", lambda error: shown.complaints.append(str(error)))
    shown.set_default_timeout(120_000)  # a busy machine
    shown.goto(file.as_uri())
    shown.wait_for_selector(".slot tbody td")
    yield shown
    context.close()


def test_a_browser_shows_it_without_complaint_and_without_scrolling_sideways(opened: Any) -> None:
    assert opened.complaints == []
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert opened.locator(".chart .main-svg").count() >= 2
    ink = opened.evaluate("getComputedStyle(document.querySelector('figure svg text')).fill")
    body = opened.evaluate("getComputedStyle(document.body).color")
    assert ink == body


def test_the_slider_is_moved_by_keys_and_shows_that_slot(opened: Any, instance: Any) -> None:
    slider = opened.locator("input[name=slot]")
    slider.focus()
    opened.keyboard.press("Home")
    opened.keyboard.press("ArrowRight")
    assert "slot 1" in opened.locator(".slot caption").inner_text()
    cells = opened.locator(".slot tbody tr td:nth-child(2)").all_inner_texts()
    assert [int(cell) for cell in cells] == instance.arrivals[1].sum(axis=1).tolist()


def test_filters_change_the_numbers(opened: Any, instance: Any) -> None:
    opened.select_option("select[name=region]", "0")
    first = instance.system.regions[0]
    title = opened.locator("[data-chart=requests] .gtitle").text_content()
    assert first in title
    opened.select_option("select[name=region]", "all")


def test_on_paper_the_controls_are_gone(opened: Any) -> None:
    opened.emulate_media(media="print")
    assert not opened.locator(".explorer form").is_visible()
    assert opened.locator(".verdict").is_visible()
    opened.emulate_media(media="screen")
