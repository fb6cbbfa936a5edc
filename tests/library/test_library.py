"""The bundled table: recipes give its hashes, schedules cost what it says, no bound is refuted."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from support.real_data import real_data

import torta_opt.library
from torta_opt import api
from torta_opt.library import ENTRIES, Library, Recipe, Row, sha256_of_instance
from torta_opt.library.entries import BUNDLED
from torta_opt.library.page import page
from torta_opt.library.table import CERTIFIED, DONE, LIMIT, NOT_RUN, fields
from torta_opt.results import ROUNDING

ROOT = Path(__file__).parents[2]
LIBRARY = Library.read()
ROWS = LIBRARY.rows
MADE = [name for name, row in ROWS.items() if row.sha256]
FAST = ["small-hot", "fig5-200", "placement-tiny", "polska-surge-s12-t12"]
KEPT = [name for name in BUNDLED if LIBRARY.schedule_path(name).exists()]


def made(row: Row) -> object:
    recipe = Recipe.of(row.recipe)
    if recipe.trace is None:
        return recipe.make()
    path = real_data(recipe.trace)
    return recipe.make(Path(str(path).removesuffix(recipe.trace)))


def test_a_hundred_instances_and_more_are_named() -> None:
    assert len(ROWS) >= 100
    assert {name: row.recipe for name, row in ROWS.items()} == {
        name: recipe.text for name, recipe in ENTRIES.items()
    }


@pytest.mark.parametrize("name", FAST)
def test_the_recipe_gives_the_hash(name: str) -> None:
    assert sha256_of_instance(made(ROWS[name])) == ROWS[name].sha256


@pytest.mark.slow
@pytest.mark.parametrize("name", MADE)
def test_every_recipe_gives_its_hash(name: str) -> None:
    assert sha256_of_instance(made(ROWS[name])) == ROWS[name].sha256


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.name)
def test_no_bound_is_above_the_cost_and_nothing_is_guessed(row: Row) -> None:
    if row.cost is not None and row.bound is not None:
        scale = max(abs(row.cost), abs(row.bound))
        assert row.bound <= row.cost + ROUNDING * scale
    assert (row.cost is None) == (not row.found_by)
    assert (row.bound is None) == (not row.proved_by) == (row.certificate != CERTIFIED)
    assert (row.cost_status == NOT_RUN) == (row.found_s is None)
    assert (row.bound_status == NOT_RUN) == (row.proved_s is None)
    assert row.cost is not None or row.cost_status in (NOT_RUN, LIMIT)
    assert row.bound is not None or row.bound_status in (NOT_RUN, LIMIT)
    assert row.sha256 or (row.cost_status, row.bound_status) == (NOT_RUN, NOT_RUN)


def test_twelve_best_schedules_come_with_it() -> None:
    assert len(KEPT) == len(BUNDLED) == 12
    assert sum(LIBRARY.schedule_path(name).stat().st_size for name in KEPT) < 3_000_000
    assert {path.name for path in (ROOT / "torta_opt/library/data/library").iterdir()} == {
        LIBRARY.schedule_path(name).name for name in BUNDLED
    }


@pytest.mark.parametrize("name", KEPT)
def test_a_bundled_schedule_is_legal_and_costs_what_the_table_says(name: str) -> None:
    instance = made(ROWS[name])
    schedule = api.load_schedule(LIBRARY.schedule_path(name), instance)
    assert api.verify(instance, schedule).ok
    assert api.evaluate(instance, schedule).cost == pytest.approx(ROWS[name].cost, rel=1e-12)


def test_the_page_is_made_from_the_table() -> None:
    text = (ROOT / "docs/library.md").read_text()
    assert text == page(LIBRARY)
    assert all(f"| `{name}` | {about} |" in text for name, about in fields())


def test_columns_of_a_row_and_their_order_are_those_of_the_file() -> None:
    first = (ROOT / "torta_opt/library/data/library.csv").read_text().splitlines()[0]
    assert first.split(",") == [name for name, _ in fields()]


def test_what_is_done_has_a_schedule_and_a_bound() -> None:
    done = [row for row in ROWS.values() if row.cost_status == DONE and row.bound_status == DONE]
    assert done
    assert all(row.gap is not None for row in done)


def test_table_and_schedules_are_data_of_the_package() -> None:
    """What a wheel holds: files inside the package that a pattern of package-data matches."""
    package = Path(torta_opt.library.__file__).parent
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["torta_opt.library"]
    held = {path for pattern in patterns for path in package.glob(pattern)}
    assert {LIBRARY.path, *map(LIBRARY.schedule_path, BUNDLED)} <= held
