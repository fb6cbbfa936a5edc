"""Problems as MPS and LP files, for other solvers."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from torta_opt.io.errors import InvalidInput
from torta_opt.io.writing import write_bytes
from torta_opt.solvers.loading import check, load
from torta_opt.solvers.problem import Problem

FORMATS = (".mps", ".lp")
_LONGEST = 200  # characters; LP readers stop at 255
# Words of the LP format, and the names that HiGHS gives the objective.
_WORDS = """
min minimize minimise minimum max maximize maximise maximum st s.t. subject such bound bounds free
inf infinity general generals gen gens integer integers int binary binaries bin bins semi semis sos
sos1 sos2 sec range ranges rhs rows columns objsense name end obj cost
"""
_KEYWORDS = frozenset(_WORDS.split())
_FOREIGN = re.compile(r"[^A-Za-z0-9_.(),]")


def write_problem(
    problem: Problem, path: str | os.PathLike[str], format: str | None = None
) -> None:
    """Write a problem as ``mps`` or ``lp``; a name that ends in .gz makes a compressed file.

    ``format`` is what the end of the name says, before .gz, if it is left out.
    """
    target = Path(path)
    ending = Path(target.name.removesuffix(".gz")).suffix if format is None else f".{format}"
    if ending not in FORMATS:
        known = ", ".join(FORMATS)
        if format is not None:
            raise InvalidInput(f"{format!r:.20} is not mps, lp or latex", field="format")
        raise InvalidInput(f"must end in {known} or .tex, or --format says which", file=str(target))
    highs = load(problem, 1.0)
    for j, name in enumerate(file_names(problem.col_names, problem.columns, "c")):
        check(highs.passColName(j, name), f"column name {name}")
    for i, name in enumerate(file_names(problem.row_names, problem.rows, "r")):
        check(highs.passRowName(i, name), f"row name {name}")
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / f"problem{ending}"
        check(highs.writeModel(str(written)), "writeModel")
        write_bytes(target, written.read_bytes())


def file_names(names: Sequence[str] | None, size: int, letter: str) -> list[str]:
    """Names that every reader takes: x[0,Los Angeles] becomes x(0,Los_Angeles).

    A name that would appear twice gets its number behind it; without names, c0, c1, …
    """
    if names is None:
        return [f"{letter}{n}" for n in range(size)]
    plain = [_plain(name, letter) for name in names]
    taken, first = set(plain), set[str]()
    for n, name in enumerate(plain):
        if name in first:
            plain[n] = _free(f"{name}_{letter}{n}", taken)
            taken.add(plain[n])
        first.add(plain[n])
    return plain


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _plain(name: str, letter: str) -> str:
    name = _FOREIGN.sub("_", name.replace("[", "(").replace("]", ")"))[:_LONGEST]
    # A digit, a full stop, e with a digit, inf and nan begin numbers, the last two for HiGHS, which
    # cannot read "inflow(0)" in its own files; brackets begin terms.
    legal = re.match(r"(?!inf|nan|e[0-9.])[a-z_]", name, re.IGNORECASE)
    return name if legal and name.lower() not in _KEYWORDS else f"{letter}_{name}"
