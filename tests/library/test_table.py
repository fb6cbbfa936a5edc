"""Recipes and the table are read strictly: what is wrong is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from torta_opt.io import InvalidInput
from torta_opt.library import ENTRIES, Library, Recipe
from torta_opt.library.build import new_row

HEAD = Library.read().path.read_text().splitlines()[0]
ROW = "a,allocation,generate small/hot,,$,,not run,,,,not run,,,,"


@pytest.mark.parametrize("recipe", ENTRIES.values(), ids=list(ENTRIES))
def test_a_recipe_is_what_its_text_says(recipe: Recipe) -> None:
    assert Recipe.of(recipe.text) == recipe


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "must begin with generate or import"),
        ("rm -rf /", "must begin with generate or import"),
        ("generate", "is incomplete"),
        ("import azure", "is incomplete"),
        ("generate small/hot --seed", "is incomplete"),
        ("generate small/hot --seed x", "--seed 'x' is not an option here"),
        ("generate small/hot --output f", "--output 'f' is not an option here"),
        ("generate 'small/hot", "No closing quotation"),
    ],
)
def test_what_is_no_recipe_is_refused(text: str, rule: str) -> None:
    with pytest.raises(InvalidInput, match=rule):
        Recipe.of(text)


def test_an_imported_instance_needs_its_data() -> None:
    with pytest.raises(InvalidInput, match="data: is needed: a folder with azure_llm_2023/"):
        ENTRIES["import-azure-2023-code"].make()


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ("name,cost\na,1\n", "must have the columns name,family,"),
        (f"{HEAD}\n{ROW},\n", "line 2: must have one value for each column"),
        (f"{HEAD}\n{ROW}\n{ROW}\n", "has two rows named a"),
        (f"{HEAD}\n{ROW.replace('$,,', '$,cheap,')}\n", "line 2: cost: 'cheap' must be a finite"),
        (f"{HEAD}\n{ROW.replace('$,,', '$,nan,')}\n", "line 2: cost: 'nan' must be a finite"),
        (f"{HEAD}\n{ROW.replace('not run', 'soon', 1)}\n", "cost_status: must be one of not run"),
    ],
)
def test_a_wrong_table_is_one_line(content: str, rule: str, tmp_path: Path) -> None:
    path = tmp_path / "library.csv"
    path.write_text(content)
    with pytest.raises(InvalidInput, match=rule) as caught:
        Library.read(path)
    assert str(path) in str(caught.value)


def test_a_missing_table_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"none\.csv: cannot be read: No such file"):
        Library.read(tmp_path / "none.csv")


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    rows = {name: new_row(name, recipe) for name, recipe in ENTRIES.items()}
    library = Library(tmp_path / "library.csv", rows)
    library.write()
    assert Library.read(library.path) == library
