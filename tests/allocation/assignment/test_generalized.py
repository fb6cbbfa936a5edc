"""Generalized assignment problems: their files, and the assignment program as the same problem."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from support.assignments import best_of_all, random_problem
from support.sizes import examples

from torta_opt.allocation.assignment.generalized import read_generalized, task_of
from torta_opt.allocation.assignment.solve import solve_assignment
from torta_opt.io import InvalidInput


@pytest.mark.parametrize("seed", range(examples(40)))
def test_it_is_a_case_of_the_assignment_program(seed: int) -> None:
    problem = random_problem(seed, maximise=seed % 2 == 1)
    found, best = solve_assignment(task_of(problem)), best_of_all(problem)
    assert found.found == math.isfinite(best)
    if found.found:
        agent = found.z.argmax(axis=0)
        assert problem.is_assignment(agent)
        assert problem.value(agent) == best


SMALL = [(2, 3), [[1, 2, 3], [3, 2, 1]], [[1, 1, 1], [1, 1, 1]], [2, 2]]


def text_of(*problems: list) -> str:
    rows = []
    for size, cost, need, capacity in problems:
        rows += [size, *cost, *need, capacity]
    return "\n".join(" ".join(map(str, row)) for row in rows)


def test_the_three_forms_hold_the_same(tmp_path: Path) -> None:
    document = {"cost": SMALL[1], "req": SMALL[2], "cap": SMALL[3]}
    forms = {
        "a.txt": "1\n" + text_of(SMALL),
        "b.txt": text_of(SMALL),
        "c.json": json.dumps(document),
    }
    for name, text in forms.items():
        (tmp_path / name).write_text(text)
        (found,) = read_generalized(tmp_path / name)
        np.testing.assert_array_equal(found.cost, SMALL[1])
        np.testing.assert_array_equal(found.need, SMALL[2])
        np.testing.assert_array_equal(found.capacity, SMALL[3])


def test_a_file_may_hold_several_problems(tmp_path: Path) -> None:
    (tmp_path / "two.txt").write_text("2\n" + text_of(SMALL, SMALL))
    assert [each.name for each in read_generalized(tmp_path / "two.txt")] == ["two/1", "two/2"]
    assert read_generalized(tmp_path / "two.txt", maximise=True)[0].price[0, 0] == -1


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "must hold numbers up to"),
        ("1 2 x", "whole numbers only"),
        ("2\n" + text_of(SMALL), "ends within problem 2"),
        ("1\n" + text_of(SMALL) + "\n7", "holds more than its 1 problems"),
        ("1 99999999999", "must hold numbers up to"),
        ("{", "is not JSON"),
        ('{"cost": [[1]], "req": [[1]]}', "cap: is missing"),
        ('{"cost": [[1], [1, 2]], "req": [[1]], "cap": [1]}', "rows of different length"),
        ('{"cost": [[1.5]], "req": [[1]], "cap": [1]}', "must be whole numbers"),
        ('{"cost": [[1]], "req": [[1, 2]], "cap": [1]}', "differ in size"),
        ('{"cost": [[1]], "req": [[-1]], "cap": [1]}', "must not be negative"),
    ],
)
def test_wrong_files_are_refused(tmp_path: Path, text: str, rule: str) -> None:
    path = tmp_path / "wrong.txt"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=rule) as caught:
        read_generalized(path)
    assert "wrong.txt" in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_generalized(tmp_path / "none.txt")
