"""The table is filled in steps: interrupted or killed, it goes on where it was; nothing is lost."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from torta_opt import api
from torta_opt.io import InvalidInput, LimitReached, VerificationFailed
from torta_opt.library import ENTRIES, Library, Recipe, score
from torta_opt.library import build as module
from torta_opt.library.build import build, reconciled
from torta_opt.library.score import BETTER, EQUAL, FIRST, WORSE
from torta_opt.library.table import CERTIFIED, DONE, LIMIT, NOT_RUN, Row

NAMES = ("fig5-200", "placement-tiny")
SOME = {name: ENTRIES[name] for name in NAMES}


@pytest.fixture
def empty(tmp_path: Path) -> Library:
    library = reconciled(Library(tmp_path / "library.csv", {}), SOME)
    library.write()
    return library


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Library:
    library = Library(tmp_path_factory.mktemp("filled") / "library.csv", {})
    return build(reconciled(library, SOME), SOME)


def test_every_step_is_done_and_written(filled: Library) -> None:
    read = Library.read(filled.path)
    assert read.rows == filled.rows
    for row in read.rows.values():
        assert (row.cost_status, row.bound_status, row.certificate) == (DONE, DONE, CERTIFIED)
        assert row.cost is not None
        assert row.bound is not None
        assert row.bound <= row.cost * (1 + 1e-9)
        assert filled.schedule_path(row.name).exists()


def test_an_interrupted_build_goes_on_with_the_step_that_is_missing(
    empty: Library, filled: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(api, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build(empty, NAMES)
    half = Library.read(empty.path)
    assert half.rows["fig5-200"].bound_status == DONE
    assert half.rows["fig5-200"].cost_status == NOT_RUN
    assert half.rows["fig5-200"].cost is None
    assert half.rows["placement-tiny"] == empty.rows["placement-tiny"]

    bounds: list[str] = []
    original = api.bound
    monkeypatch.setattr(
        api, "bound", lambda i, *a, **k: bounds.append(i.name) or original(i, *a, **k)
    )
    done = build(half, NAMES)
    assert len(bounds) == 1  # that of the other was proved before
    assert done.rows["fig5-200"].cost == pytest.approx(filled.rows["fig5-200"].cost)
    monkeypatch.setattr(api, "run", interrupted)
    assert build(done, NAMES) == done  # nothing is open


def test_a_limit_without_a_result_is_told_and_leaves_the_value_empty(
    empty: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*_: Any) -> Any:
        raise LimitReached("no schedule in time")

    monkeypatch.setattr(api, "run", late)
    row = build(empty, ["fig5-200"]).rows["fig5-200"]
    assert (row.cost, row.cost_status, row.found_by) == (None, LIMIT, "")


def test_a_changed_recipe_begins_anew_and_others_stay(filled: Library) -> None:
    other = {**SOME, "fig5-200": Recipe.of("generate small/switch")}
    rows = reconciled(filled, other).rows
    assert rows["fig5-200"].cost is None
    assert rows["placement-tiny"] == filled.rows["placement-tiny"]


def test_imports_wait_for_their_data(tmp_path: Path) -> None:
    names = ["import-mooncake"]
    library = reconciled(Library(tmp_path / "l.csv", {}), {n: ENTRIES[n] for n in names})
    assert build(library, names) == library


@pytest.fixture(scope="module")
def found(filled: Library) -> tuple[Row, Any, Any]:
    row = filled.rows["fig5-200"]
    instance = Recipe.of(row.recipe).make()
    return row, instance, api.load_schedule(filled.schedule_path(row.name), instance)


class TestScore:
    @pytest.mark.parametrize(
        ("factor", "verdict"), [(1.0, EQUAL), (1.1, BETTER), (0.9996, WORSE), (None, FIRST)]
    )
    def test_verdicts(
        self, found: tuple[Row, Any, Any], factor: float | None, verdict: str
    ) -> None:
        row, instance, schedule = found
        assert row.cost is not None
        known = None if factor is None else factor * row.cost
        got = score(dataclasses.replace(row, cost=known), instance, schedule)
        assert got.verdict == verdict
        assert got.cost == row.cost
        assert got.gap is not None
        assert 0 <= got.gap < 0.01

    def test_a_schedule_below_the_bound_is_no_record_but_an_error(
        self, found: tuple[Row, Any, Any]
    ) -> None:
        row, instance, schedule = found
        assert row.cost is not None
        wrong = dataclasses.replace(row, bound=1.001 * row.cost)
        with pytest.raises(VerificationFailed, match="less than the lp bound"):
            score(wrong, instance, schedule)

    def test_a_schedule_that_breaks_a_rule_has_no_score(self, found: tuple[Row, Any, Any]) -> None:
        row, instance, schedule = found
        broken = dataclasses.replace(schedule, processing=schedule.processing + 1)
        with pytest.raises(VerificationFailed):
            score(row, instance, broken)

    def test_another_instance_is_refused(self, found: tuple[Row, Any, Any]) -> None:
        row, _, schedule = found
        with pytest.raises(InvalidInput, match="its hash differs"):
            score(row, Recipe.of("generate small/switch").make(), schedule)


def test_steps_name_methods_whose_bounds_have_certificates() -> None:
    assert {each.bound for each in (*module.METHODS.values(), module.LONG)} == {
        "lp",
        "tree",
        "merged",
    }


def test_a_bundled_schedule_that_is_missing_is_found_again_but_no_record_is_lost(
    filled: Library, tmp_path: Path
) -> None:
    library = Library(tmp_path / "library.csv", dict(filled.rows))
    again = build(library, ["placement-tiny"])
    assert again.schedule_path("placement-tiny").exists()
    record = dataclasses.replace(filled.rows["placement-tiny"], cost=0.5, bound=0.4)
    again.schedule_path("placement-tiny").unlink()
    kept = build(again.with_row(record), ["placement-tiny"])
    assert kept.rows["placement-tiny"] == record
    assert not kept.schedule_path("placement-tiny").exists()


def test_a_search_for_a_missing_schedule_takes_nothing_away(
    filled: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An equal schedule is kept, its record stays; a limit leaves `done`; others' are left be."""
    row = filled.rows["fig5-200"]
    assert row.cost is not None
    equal = dataclasses.replace(row, cost=row.cost * (1 + 1e-12), found_s=1e9)
    library = Library(tmp_path / "library.csv", dict(filled.rows)).with_row(equal)
    kept = build(library, ["fig5-200"])
    assert kept.rows["fig5-200"] == equal
    assert kept.schedule_path("fig5-200").exists()
    kept.schedule_path("fig5-200").unlink()
    calls: list[int] = []

    def late(*_: Any) -> Any:
        calls.append(1)
        raise LimitReached("no schedule in time")

    monkeypatch.setattr(api, "run", late)
    assert build(kept, ["fig5-200"]).rows["fig5-200"] == equal
    theirs = kept.with_row(dataclasses.replace(equal, found_by="somebody"))
    assert build(theirs, ["fig5-200"]) == theirs
    assert len(calls) == 1
