"""Mutants of the matrix text of the allocation program, made from its syntax tree.

One mutant leaves out one block of coefficients (a call of ``entries.add``), one family of rows or
columns, one price or one right-hand side.
"""

from __future__ import annotations

import ast
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torta_opt.allocation.formulations import matrix as allocation_matrix
from torta_opt.allocation.formulations.program import AXES

SOURCE = Path(allocation_matrix.__file__)


@dataclass(frozen=True)
class Mutant:
    """What is changed. The changed text is built on demand: all of them take half a minute."""

    name: str
    change: Callable[[ast.Module], None]

    @property
    def tree(self) -> ast.Module:
        tree = _original()
        self.change(tree)
        return ast.fix_missing_locations(tree)

    def load(self) -> types.ModuleType:
        """The changed text as a module of its own."""
        module = types.ModuleType(f"mutant_of_{allocation_matrix.__name__}")
        sys.modules[module.__name__] = module  # data classes look their module up
        try:
            exec(compile(self.tree, str(SOURCE), "exec"), module.__dict__)
        finally:
            del sys.modules[module.__name__]
        return module


def mutants() -> list[Mutant]:
    tree = _original()
    return [*_without_calls(tree), *_with_entries(tree)]


def _original() -> ast.Module:
    return ast.parse(SOURCE.read_text(encoding="utf-8"))


def _without_calls(tree: ast.Module) -> Iterator[Mutant]:
    """One ``entries.add(...)`` left out."""
    for n, (function, call) in enumerate(_calls(tree)):
        name = f"{function}: no {ast.unparse(call.value)[12:60]}"
        yield Mutant(name, partial(_leave_out_call, n))


def _leave_out_call(n: int, tree: ast.Module) -> None:
    _, call = _calls(tree)[n]
    call.value = ast.Constant(None)


def _calls(tree: ast.Module) -> list[tuple[str, ast.Expr]]:
    return [
        (function.name, node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Expr) and ast.unparse(node).startswith("entries.add(")
    ]


# Function → how one value of the dictionaries by family in it is spoiled.
_SPOILED: dict[str, Callable[[ast.expr], ast.expr]] = {
    "server_bounds": lambda value: _called("np.zeros_like", value),
    "request_bounds": lambda value: _called("np.zeros_like", value),
    "server_rows": lambda value: _called("np.zeros_like", value),
    "request_rows": lambda value: _called("np.zeros_like", value),
    "fixed_costs": lambda value: ast.Constant(0.0),
    "costs_by_price": lambda value: ast.Constant(0.0),
    "_request_sides": lambda value: _moved(value),
    "_state_sides": lambda value: _moved(value),
    "_capacity_sides": lambda value: _moved(value),
    "_change_sides": lambda value: _moved(value),
}


def _called(function: str, value: ast.expr) -> ast.expr:
    return ast.parse(f"{function}({ast.unparse(value)})", mode="eval").body


def _moved(value: ast.expr) -> ast.expr:
    """Both sides of rows 1 further up."""
    return ast.parse(f"tuple(side + 1.0 for side in {ast.unparse(value)})", mode="eval").body


def _with_entries(tree: ast.Module) -> Iterator[Mutant]:
    """One value of a dictionary by family spoiled."""
    for n, (function, node, place) in enumerate(_entries(tree)):
        name = f"{function}: {ast.literal_eval(node.keys[place])} spoiled"
        yield Mutant(name, partial(_spoil_entry, n))


def _spoil_entry(n: int, tree: ast.Module) -> None:
    function, node, place = _entries(tree)[n]
    node.values[place] = _SPOILED[function](node.values[place])


def _entries(tree: ast.Module) -> list[tuple[str, ast.Dict, int]]:
    return [
        (function.name, node, place)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef) and function.name in _SPOILED
        for node in ast.walk(function)
        if isinstance(node, ast.Dict)
        for place, key in enumerate(node.keys)
        if _is_family(key)
    ]


def _is_family(key: Any) -> bool:
    return isinstance(key, ast.Constant) and key.value in AXES
