"""The text of each program says what its matrix holds."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.assignments import random_assignment
from support.symbolic import assert_same
from support.tiny import random_tiny_instance

import torta_opt
from torta_opt import generate as generate_any
from torta_opt.allocation.formulations import program as programs
from torta_opt.allocation.formulations.assignment_model import build_assignment_model
from torta_opt.allocation.formulations.assignment_symbols import ASSIGNMENT
from torta_opt.allocation.formulations.exact import build_exact_program
from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.formulations.merged import build_merged_program
from torta_opt.allocation.formulations.pyomo_model import COSTS, build_allocation_model
from torta_opt.allocation.formulations.symbols import (
    ALLOCATION,
    EXACT,
    MERGED,
    symbolic_program,
)
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.io import InvalidInput
from torta_opt.solvers.pyomo_bridge import from_pyomo
from torta_opt.symbolic import INTEGER, Rows, Term


def instances() -> list[Instance]:
    """Together they have every family: outages, loading, two models, squares, backlog."""
    rng = np.random.default_rng(7)
    tiny = [random_tiny_instance(rng) for _ in range(12)]
    paper = generate("paper/abilene", slots=8, gpu_counts={"A100": 2, "T4": 2, "H100": 2})
    return [*tiny, squared(paper), generate("small/switch"), generate("small/expiry")]


def squared(instance: Instance) -> Instance:
    weights = dataclasses.replace(instance.system.weights, frobenius_usd=0.5)
    return dataclasses.replace(
        instance, system=dataclasses.replace(instance.system, weights=weights)
    )


def test_the_allocation_program() -> None:
    found = [with_knapsack_rows(build_allocation_program(each)) for each in instances()]
    assert_same(ALLOCATION, [each.problem() for each in found])
    families = {**programs.AXES}
    for each in (*ALLOCATION.columns, *ALLOCATION.rows):
        axes = families[each.name].replace("r", "j").replace("jj", "ij")
        axes = axes.replace("j", "i") if each.name == "route" else axes
        assert each.axes.replace(",", "") == axes, each.name
    assert [each.name for each in ALLOCATION.columns] == list(programs.COLUMNS)
    assert [each.name for each in ALLOCATION.rows] == [*programs.ROWS, "hull"]


def test_costs_are_those_of_the_pyomo_text() -> None:
    """By component: the columns that it prices. Energy is in two parts, rent with the second."""
    priced = {cost.name: {term.columns for term in cost.terms} for cost in ALLOCATION.costs}
    on = priced.pop("servers on: idle energy and rent")
    priced["energy"] = priced.pop("energy of requests") | on
    priced["rent"] = on
    assert priced.keys() == set(COSTS)
    found: dict[str, set[str]] = {name: set() for name in COSTS}
    from pyomo.core.expr.visitor import identify_variables

    for instance in instances()[-3:]:
        model = build_allocation_model(instance)
        for name in COSTS:
            found[name] |= {
                variable.parent_component().name
                for variable in identify_variables(model.costs[name].expr)
            }
    for name, columns in found.items():
        assert columns <= priced[name], name
    assert {name for name, columns in found.items() if columns == priced[name]} >= {
        *("network", "transfer", "service", "waiting", "rerouting", "frobenius", "expiry", "energy")
    }


def test_the_merged_program() -> None:
    found = [build_merged_program(each, tiers=1).program for each in instances()]
    found = [with_knapsack_rows(each).problem() for each in found]
    assert_same(MERGED, found)


def test_the_exact_program() -> None:
    found = [build_exact_program(each) for each in instances()[:12]]
    assert_same(EXACT, [each.problem() for each in found if each is not None])


def test_the_assignment_program() -> None:
    rng = np.random.default_rng(3)
    tasks = [random_assignment(rng, slots=slots, requests=4) for slots in (1, 2, 3) * 3]
    assert_same(ASSIGNMENT, [from_pyomo(build_assignment_model(each))[0] for each in tasks])


def test_integers_are_those_of_the_program() -> None:
    for text, program in (
        (ALLOCATION, build_allocation_program(generate("small/switch"))),
        (EXACT, build_exact_program(generate("small/expiry"))),
    ):
        assert program is not None
        for each in text.columns:
            whole = program.integer[program.columns[each.name].numbers]
            assert (whole == (each.domain != "real")).all(), each.name
    instance = generate("small/loading")
    program = build_allocation_program(instance)
    relaxed = symbolic_program(program, relaxed=True)
    assert all(each.domain != INTEGER for each in relaxed.columns)
    assert "hull" not in [each.name for each in symbolic_program(program).rows]
    assert sum(relaxed.counts[each.name] for each in relaxed.columns) == len(program.cost)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("capacity", lambda rows: dataclasses.replace(rows, relation="≥")),
        ("capacity", lambda rows: dataclasses.replace(rows, right=rows.right[1:])),
        ("queue", lambda rows: dataclasses.replace(rows, right=(*rows.right, Term("hot")))),
        ("queue", lambda rows: dataclasses.replace(rows, left=(Term("q", at="t-1,j,c"),))),
        ("gather", lambda rows: dataclasses.replace(rows, right=(Term("x", "2", "i", sign=-1),))),
        ("route", lambda rows: dataclasses.replace(rows, axes="t,j,c")),
    ],
)
def test_a_wrong_text_is_found(name: str, change: Callable[[Rows], Rows]) -> None:
    rows = tuple(change(each) if each.name == name else each for each in ALLOCATION.rows)
    program = build_allocation_program(generate("small/switch"))
    wrong = dataclasses.replace(ALLOCATION, rows=rows)
    with pytest.raises(AssertionError, match=name):
        assert_same(wrong, [program.problem()])


def test_pages_are_up_to_date() -> None:
    """python docs/write_programs.py"""
    path = Path(__file__).parents[3] / "docs" / "write_programs.py"
    spec = importlib.util.spec_from_file_location("write_programs", path)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    for page in script.PROGRAMS:
        assert script.updated(page) == (script.FOLDER / f"{page}.md").read_text("utf-8"), page
        assert (script.FOLDER / f"{page}.md").read_text("utf-8").count("$$") > 8


def test_the_document_is_complete(tmp_path: Path) -> None:
    """Every family has its equation and its number of columns; braces are balanced."""
    instance = generate("small/switch")
    size = torta_opt.export(instance, tmp_path / "program.tex")
    text = (tmp_path / "program.tex").read_text("utf-8")
    assert text.count(r"\begin{equation}") == size["equations"]
    assert text.count("{") == text.count("}")
    assert text.isascii()  # as pdflatex reads it without further packages
    program = torta_opt.build_program(instance)
    for name, family in program.rows.items():
        assert f"% {len(family)} rows ({name})" in text
    assert r"\tag{off\_flow}" in text
    placed = torta_opt.export(generate_any("placement/tiny"), tmp_path / "p.tex.gz", "latex")
    assert placed == {"equations": 6, "variables": 2}
    with pytest.raises(InvalidInput, match="no such variants"):
        torta_opt.export(generate_any("placement/tiny"), tmp_path / "p.tex", named=True)


def test_names_of_users_are_printed_and_nothing_else(tmp_path: Path) -> None:
    instance = dataclasses.replace(generate("small/switch"), name=r"a_b {50%} \input $x^2$ ~")
    torta_opt.export(instance, tmp_path / "program.tex")
    text = (tmp_path / "program.tex").read_text("utf-8")
    title = text.partition(r"\section*{")[2].partition("\n")[0]
    shown = r"a\_b \{50\%\} \textbackslash{}input \$x\textasciicircum{}2\$ \textasciitilde{}}"
    assert title.endswith(shown)
