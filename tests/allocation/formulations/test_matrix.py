"""The matrix text is the Pyomo text: same columns, rows, coefficients and bounds, by name."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.programs import Arrays, of_model, of_program
from support.sizes import examples
from support.tiny import random_tiny_instance, tiny_instances

from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.formulations.program import AXES, REQUESTS, SERVERS
from torta_opt.allocation.formulations.pyomo_model import build_allocation_model
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate, preset_names

RELATIVE = 1e-13  # sums of dollars and shares are taken in another order


def assert_same(instance: Instance, **options: object) -> None:
    model = build_allocation_model(instance, **options)
    program = build_allocation_program(instance, **options)
    declared = {column.name for column in model.component_data_objects(pyo.Var)}
    assert declared == set(program.column_names)
    assert len(program.column_names) == len(declared)
    pyomo, matrix = of_model(model), of_program(program)
    assert len(matrix.rows) == len(set(matrix.rows)) == len(pyomo.rows)
    assert set(matrix.rows) == set(pyomo.rows)
    assert np.isclose(pyomo.constant, matrix.constant, rtol=RELATIVE, atol=0)
    assert_same_columns(pyomo, matrix)
    assert_same_rows(pyomo, matrix)


def assert_same_columns(pyomo: Arrays, matrix: Arrays) -> None:
    """Columns that Pyomo leaves out of its standard form have no price and no coefficient."""
    there = {name: n for n, name in enumerate(matrix.columns)}
    same = np.array([there[name] for name in pyomo.columns], int)
    np.testing.assert_allclose(pyomo.cost, matrix.cost[same], rtol=RELATIVE, atol=1e-300)
    np.testing.assert_array_equal(pyomo.lower, matrix.lower[same])
    np.testing.assert_array_equal(pyomo.upper, matrix.upper[same])
    np.testing.assert_array_equal(pyomo.integer, matrix.integer[same])
    rest = np.setdiff1d(np.arange(len(matrix.columns)), same)
    assert not matrix.cost[rest].any()
    assert not matrix.matrix[:, rest].nnz


def assert_same_rows(pyomo: Arrays, matrix: Arrays) -> None:
    left, right = _by_name(pyomo), _by_name(matrix)
    for name, (columns, values, low, high) in left.items():
        others = right[name]
        assert columns == others[0], name
        np.testing.assert_allclose(values, others[1], rtol=RELATIVE, err_msg=name)
        assert (low, high) == others[2:], name


def _by_name(arrays: Arrays) -> dict[str, tuple[list[str], np.ndarray, float, float]]:
    """Rows by name: columns by name, coefficients, bounds; the first coefficient is positive."""
    matrix, found = arrays.matrix.copy(), {}
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    for n, name in enumerate(arrays.rows):
        cells = slice(matrix.indptr[n], matrix.indptr[n + 1])
        row = sorted(
            (arrays.columns[c], value)
            for c, value in zip(matrix.indices[cells], matrix.data[cells], strict=True)
        )
        columns, values = [c for c, _ in row], np.array([value for _, value in row])
        low, high = arrays.row_lower[n] + 0.0, arrays.row_upper[n] + 0.0
        if len(values) and values[0] < 0:
            values, low, high = -values, -high, -low
        found[name] = columns, values, low, high
    return found


@settings(max_examples=examples(75))
@given(tiny_instances(), st.booleans(), st.booleans())
def test_both_texts_are_the_same_program(instance: Instance, integer: bool, named: bool) -> None:
    assert_same(instance, integer=integer, named=named)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_both_texts_are_the_same_on_hundreds(seed: int) -> None:
    rng = np.random.default_rng(300 + seed)
    for _ in range(200):
        integer, named = rng.random(2) < 0.5
        assert_same(random_tiny_instance(rng), integer=bool(integer), named=bool(named))


@pytest.mark.parametrize("preset", [name for name in preset_names() if name.startswith("small/")])
def test_both_texts_are_the_same_on_presets(preset: str) -> None:
    assert_same(generate(preset))


@pytest.mark.slow
def test_both_texts_are_the_same_on_a_paper_instance() -> None:
    assert_same(generate("paper/abilene", slots=12))


def test_both_texts_share_the_tangents() -> None:
    rng = np.random.default_rng(3)
    found = (random_tiny_instance(rng) for _ in range(100))
    instance = next(i for i in found if i.system.weights.frobenius_usd and i.slots > 2)
    assert_same(instance, tangents=(0.25, 1.0))
    assert_same(instance, tangents=(0.5,))


def test_names_that_could_be_misread_are_quoted_as_pyomo_does() -> None:
    rng = np.random.default_rng(5)
    instance = random_tiny_instance(rng, regions=3, classes=3, types=3, models=3, servers=4)
    awkward = {
        "regions": ("a,b", "1", "x[y]"),
        "classes": ("a b", "it's", '"'),
        "models": ("1.5", "ü", "nan"),
        "types": ("#2", "back\\slash", "a/b"),
    }
    system = dataclasses.replace(instance.system, **awkward)
    assert_same(dataclasses.replace(instance, system=system))


def test_families_know_their_cells() -> None:
    program = build_allocation_program(generate("small/switch"), integer=True)
    for families, names in (
        (program.columns, program.column_names),
        (program.rows, program.row_names),
    ):
        assert [name.split("[")[0] for name in names] == [
            family.name for family in families.values() for _ in range(len(family))
        ]
        for family in families.values():
            assert family.index.shape == (len(family), len(AXES[family.name]))
            numbers = np.arange(len(names))[family.numbers]
            np.testing.assert_array_equal(family.number[tuple(family.index.T)], numbers)
    vector = np.arange(len(program.cost), dtype=float)
    np.testing.assert_array_equal(program.vector(program.values(vector)), vector)
    assert set(program.columns) == {*REQUESTS, *SERVERS, "moved", "rise", "fall"}
