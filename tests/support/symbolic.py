"""Holds the text of a program to its matrix: every nonzero has a term, every term its nonzeros."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from typing import Any

import numpy as np

from torta_opt.symbolic import Rows, SymbolicProgram, Term

Cell = tuple[str, ...]


def assert_same(text: SymbolicProgram, problems: list[Any]) -> None:
    """The text against matrices with names; each family and term must occur in one of them."""
    columns = {each.name: each for each in text.columns}
    rows = {each.name: each for each in text.rows}
    used: dict[str, set[int]] = defaultdict(set)
    priced: set[str] = set()
    seen: set[str] = set()
    for problem in problems:
        row_names = [split(name) for name in problem.row_names]
        column_names = [split(name) for name in problem.col_names]
        seen |= {name for name, _ in (*row_names, *column_names)}
        entries = problem.matrix.tocoo()
        for at, to, value in zip(entries.row, entries.col, entries.data, strict=True):
            (family, cell), (column, place) = row_names[at], column_names[to]
            found = [
                n
                for n, (sign, term) in enumerate(rows[family].terms)
                if term.columns == column
                and sign * value > 0
                and (term.coefficient or abs(value) == 1)
                and admits(rows[family], cell, term, term.at or columns[column].axes, place)
            ]
            assert found or value == 0, f"{family}{cell}: the text has no {value} {column}{place}"
            used[family] |= set(found)
        for family, low, high in zip(row_names, problem.row_lower, problem.row_upper, strict=True):
            sides = {"=": low == high, "≤": low == -math.inf, "≥": high == math.inf}
            assert sides[rows[family[0]].relation], family
        priced |= {column_names[n][0] for n in np.flatnonzero(problem.cost)}
    for name, each in rows.items():
        missing = set(range(len(list(each.terms)))) - used[name]
        assert not missing, f"{name}: no nonzero for terms {missing}"
    assert seen == {*columns, *rows}
    assert priced == {term.columns for cost in text.costs for term in cost.terms}


def split(name: str) -> tuple[str, Cell]:
    """``z[3,east/A100,chat]`` as its family and cell."""
    family, _, cell = name.partition("[")
    return family, tuple(re.sub(r"[\[\]() ']", "", cell).split(","))


def admits(rows: Rows, cell: Cell, term: Term, at: str, place: Cell) -> bool:
    """Whether a column at ``place`` may stand in the row at ``cell`` by a term of the text."""
    known = dict(zip(rows.axes.split(","), cell, strict=True))
    bound: dict[str, str] = {}
    indices = re.split(r",(?![^{]*})", at)
    assert len(indices) == len(place), (at, place)
    for index, value in zip(indices, place, strict=True):
        letter, _, shift = index.partition("-")
        if index == r"\tau":
            now, then = int(known["t"]), int(value)
            if not (then > now if "t+1" in term.over else then <= now):
                return False
        elif shift.startswith("n"):  # a loading of n ≥ 1 slots
            after = int(known[letter]) - int(value)
            if after < (0 if shift.endswith("+1") else 1):
                return False
        elif letter in known or letter in bound:
            fixed = known.get(letter, bound.get(letter))
            expected = str(int(fixed) - int(shift)) if shift else fixed
            if value != expected:
                return False
        elif shift:
            bound[letter] = str(int(value) + int(shift))
        elif len(letter) == 1:
            bound[letter] = value
    return True
