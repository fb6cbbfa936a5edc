"""docs/imports.md says everything an import can be told, and with the defaults of the code."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from torta_opt.allocation.instance.imports import TRACE_KINDS
from torta_opt.allocation.instance.imports.parameters import DEFAULT_LOAD, SHARED, ImportParameters
from torta_opt.allocation.instance.imports.tables import OPTIONAL, SETTINGS, TITLES
from torta_opt.cli import app as cli

DOC = (Path(__file__).parents[1] / "docs" / "imports.md").read_text()
PARAMETERS = DOC[DOC.index("## Parameters") : DOC.index("## Files beside")]
ROWS = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", PARAMETERS, re.MULTILINE))
OWN = [entry for entry in dataclasses.fields(ImportParameters) if entry.name != "shared"]


def plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


@pytest.mark.parametrize("name", [entry.name for entry in OWN])
def test_every_parameter_stands_there_with_its_default(name: str) -> None:
    assert json.loads(ROWS[name]) == plain(getattr(ImportParameters(), name))


@pytest.mark.parametrize("name", SHARED)
def test_every_shared_parameter_stands_there_and_among_the_generators(name: str) -> None:
    assert f"`{name}`" in DOC
    assert f"`{name}`" in (Path(__file__).parents[1] / "docs" / "instances.md").read_text()


@pytest.mark.parametrize("command", ["import", "tables"])
def test_every_option_of_the_command_line_stands_there(command: str) -> None:
    for parameter in cli.command_line().commands[command].params:
        for option in parameter.opts:
            shown = option if option.startswith("-") else parameter.metavar
            assert re.search(rf"(?<![\w-]){re.escape(shown)}(?![\w-])", DOC), shown


@pytest.mark.parametrize("kind", [*TRACE_KINDS, "tables"])
def test_every_kind_stands_there(kind: str) -> None:
    assert f"`{kind}`" in DOC


@pytest.mark.parametrize("table", list(TITLES))
def test_every_table_stands_there_with_its_columns(table: str) -> None:
    row = next(line for line in DOC.splitlines() if line.startswith(f"| `{table}` | `"))
    titles = ", ".join(f"`{title}`" for title in TITLES[table])
    assert row.startswith(f"| `{table}` | {titles} |")
    assert ("optional table" in row) == (table in OPTIONAL)


def test_every_setting_of_the_tables_stands_there() -> None:
    for name in SETTINGS:
        assert f"`{name}`" in DOC


def test_the_default_load_stands_there() -> None:
    assert f"Null: {DEFAULT_LOAD:g} |" in DOC
