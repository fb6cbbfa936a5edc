"""Mutants of the checker, made from the syntax trees of its modules.

One mutant moves one whole number by one, turns one comparison, sum, minimum or condition around, or
leaves one entry out of a list.
"""

from __future__ import annotations

import ast
import importlib
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from torta_opt.allocation.bounds import checker

NAMES = ("counted", "columns", "knapsack", "rows", "check")  # in the order of their imports
PACKAGE = checker.__name__
TURNED = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.And: ast.Or,
    ast.Or: ast.And,
}


@dataclass(frozen=True)
class Mutant:
    """What is changed in which module: change ``change`` of node ``node`` of its syntax tree.

    The changed tree is built on demand: building all of them takes half a minute.
    """

    module: str
    line: str
    what: str
    node: int
    change: int

    @property
    def name(self) -> str:
        return f"{self.module}: {self.line} | {self.what}"

    @property
    def tree(self) -> ast.Module:
        tree = _tree(self.module)
        node = next(islice(ast.walk(tree), self.node, None))
        _, change = _changes(node)[self.change]
        change()
        return ast.fix_missing_locations(tree)

    def load(self) -> types.ModuleType:
        """The module ``check`` of a checker with the changed module, beside the real one."""
        known = {name: sys.modules[f"{PACKAGE}.{name}"] for name in NAMES}
        try:
            for name in NAMES:
                full = f"{PACKAGE}.{name}"
                module = types.ModuleType(full)
                sys.modules[full] = module  # found by the imports of the modules that follow
                tree = self.tree if name == self.module else _tree(name)
                exec(compile(tree, str(_source(name)), "exec"), module.__dict__)
            return module
        finally:
            for name, module in known.items():
                sys.modules[f"{PACKAGE}.{name}"] = module


def mutants() -> list[Mutant]:
    for name in NAMES:
        importlib.import_module(f"{PACKAGE}.{name}")
    return [mutant for name in NAMES for mutant in _mutants_of(name)]


def _source(name: str) -> Path:
    return Path(checker.__file__).parent / f"{name}.py"


def _tree(name: str) -> ast.Module:
    return ast.parse(_source(name).read_text(encoding="utf-8"))


def _mutants_of(name: str) -> Iterator[Mutant]:
    lines = _source(name).read_text(encoding="utf-8").splitlines()
    for n, node in enumerate(ast.walk(_tree(name))):
        line = lines[getattr(node, "lineno", 1) - 1].strip()
        for k, (what, _) in enumerate(_changes(node)):
            yield Mutant(name, line, what, n, k)


def _changes(node: ast.AST) -> list[tuple[str, Callable[[], None]]]:
    """What can be changed about a node, and how."""
    found: list[tuple[str, Callable[[], None]]] = []
    if isinstance(node, ast.Constant) and type(node.value) is int:
        found.append((f"{node.value} + 1", lambda: setattr(node, "value", node.value + 1)))
    if isinstance(node, ast.Compare) and type(node.ops[0]) in TURNED:
        text = ast.unparse(node)
        found.append((f"turned: {text}", lambda: _replace(node.ops, 0, TURNED)))
    if isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in TURNED:
        text = ast.unparse(node)
        found.append((f"turned: {text}", lambda: setattr(node, "op", TURNED[type(node.op)]())))
    if isinstance(node, ast.Name) and node.id in ("min", "max"):
        other = "max" if node.id == "min" else "min"
        found.append((f"{node.id} → {other}", lambda: setattr(node, "id", other)))
    if isinstance(node, ast.If | ast.IfExp):
        text = ast.unparse(node.test)
        found += [
            (f"always: {text}", lambda: setattr(node, "test", ast.Constant(True))),
            (f"never: {text}", lambda: setattr(node, "test", ast.Constant(False))),
        ]
    if isinstance(node, ast.List) and len(node.elts) > 1:
        found += [
            (f"without {ast.unparse(element)}", lambda n=n: node.elts.pop(n))
            for n, element in enumerate(node.elts)
        ]
    return found


def _replace(ops: list[ast.cmpop], place: int, table: dict[type, type]) -> None:
    ops[place] = table[type(ops[place])]()
