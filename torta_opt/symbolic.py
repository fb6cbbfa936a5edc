"""Programs as text: columns, rows and costs are declared as data and written as LaTeX.

A declaration says of every family of rows which columns it has, at which index, on which side and
with which sign. Tests hold it to the matrix of the program: every nonzero has its term, every term
its nonzeros, at the shift in time and with the indices that the text shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

REAL, INTEGER, BINARY = "real", "integer", "binary"
DOMAINS = {REAL: r"\in \mathbb{R}_+", INTEGER: r"\in \mathbb{Z}_+", BINARY: r"\in \{0,1\}"}
RELATIONS = {"=": "=", "≤": r"\le", "≥": r"\ge"}


@dataclass(frozen=True)
class Symbol:
    """A set or a datum: how it is written, what it is, its unit (empty: a pure number)."""

    latex: str
    meaning: str
    unit: str = ""


@dataclass(frozen=True)
class Columns:
    """A family of columns; ``axes`` are its indices, between commas."""

    name: str
    axes: str
    meaning: str
    unit: str
    domain: str = REAL
    latex: str = ""

    def at(self, index: str = "") -> str:
        """The column at an index, as LaTeX."""
        letters = self.latex or (self.name if len(self.name) == 1 else rf"\text{{{self.name}}}")
        return f"{letters}_{{{index or self.axes}}}"


@dataclass(frozen=True)
class Term:
    """sign · coefficient · Σ_over column[at]; a coefficient that is left out is 1."""

    columns: str
    coefficient: str = ""
    over: str = ""
    at: str = ""
    sign: int = 1


@dataclass(frozen=True)
class Rows:
    """left relation right + constant, for every index in ``axes`` that ``where`` allows."""

    name: str
    axes: str
    left: tuple[Term, ...]
    relation: str
    right: tuple[Term, ...] = ()
    constant: str = ""
    where: str = ""

    @property
    def indices(self) -> str:
        """The indices of a row, and which of them have one, as LaTeX."""
        return rf"{self.axes},\; {self.where}" if self.where else self.axes

    @property
    def terms(self) -> Iterator[tuple[int, Term]]:
        """Terms as they stand in the matrix: sign after moving all to the left, and the term."""
        yield from ((term.sign, term) for term in self.left)
        yield from ((-term.sign, term) for term in self.right)


@dataclass(frozen=True)
class Cost:
    """A component of the objective."""

    name: str
    terms: tuple[Term, ...]
    constant: str = ""


@dataclass(frozen=True)
class SymbolicProgram:
    """A program as text.

    Attributes
    ----------
    title : str
        What it is.
    unit : str
        Unit of the objective.
    sets, data : tuple of Symbol
        The glossary.
    columns, costs, rows : tuple
        In the order of the program.
    notes : tuple of str
        What symbols do not say.
    counts : dict
        Number of columns and rows of an instance, by family.
    instance : str
        The name of that instance; empty for the program as such.
    """

    title: str
    unit: str
    sets: tuple[Symbol, ...]
    data: tuple[Symbol, ...]
    columns: tuple[Columns, ...]
    costs: tuple[Cost, ...]
    rows: tuple[Rows, ...]
    notes: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    instance: str = ""

    def objective(self) -> list[tuple[str, str]]:
        """Components of the cost: name, LaTeX."""
        return [(cost.name, self._sum(cost.terms, cost.constant)) for cost in self.costs]

    def equation(self, rows: Rows) -> str:
        """One family of rows, as LaTeX."""
        right = self._sum(rows.right, rows.constant)
        return f"{self._sum(rows.left)} {RELATIONS[rows.relation]} {right}"

    def _sum(self, terms: Sequence[Term], constant: str = "") -> str:
        by_name = {each.name: each for each in self.columns}
        parts: list[str] = []
        for term in terms:
            sign = "-" if term.sign < 0 else "+" if parts else ""
            over = rf"\sum_{{{term.over}}} " if term.over else ""
            factor = f"{term.coefficient}\\, " if term.coefficient else ""
            parts.append(f"{sign} {over}{factor}{by_name[term.columns].at(term.at)}")
        if constant or not parts:
            sign = "+" if parts and not constant.startswith("-") else ""
            parts.append(f"{sign} {constant or '0'}")
        return " ".join(parts).strip()

    # --- as a LaTeX document --------------------------------------------------------------------

    def latex(self) -> str:
        """A complete document for pdflatex; needs amsmath, amssymb and longtable."""
        about = f": {_escaped(self.instance)}" if self.instance else ""
        parts = [
            r"\documentclass{article}",
            r"\usepackage{amsmath,amssymb,longtable}",
            r"\usepackage[margin=2.5cm]{geometry}",
            r"\begin{document}",
            rf"\section*{{{_plain(self.title)}{about}}}",
            *_table("Sets and indices", self.sets),
            *_table("Data", self.data),
            r"\subsection*{Variables}",
            r"\begin{longtable}{lp{8cm}ll}",
            *(
                rf"${each.at()} {DOMAINS[each.domain]}$ & {_plain(each.meaning)} & "
                rf"{_plain(each.unit)} & {self._count(each.name)} \\"
                for each in self.columns
            ),
            r"\end{longtable}",
            r"\subsection*{Objective}",
            rf"Minimise, in {_plain(self.unit)}, the sum of",
        ]
        for name, text in self.objective():
            parts.append(rf"\begin{{equation*}} {text} \tag*{{{_plain(name)}}} \end{{equation*}}")
        parts.append(r"\subsection*{Constraints}")
        for rows in self.rows:
            where = rf" \qquad \forall {rows.indices}"
            parts.append(
                rf"\begin{{equation}} {self.equation(rows)}{where} "
                rf"\tag{{{_plain(rows.name)}}} \end{{equation}}"
            )
            if rows.name in self.counts:
                parts.append(f"% {self.counts[rows.name]} rows ({rows.name})")
        parts += [f"{_plain(note)}\n" for note in self.notes]
        return "\n".join([*parts, r"\end{document}", ""])

    def _count(self, name: str) -> str:
        return f"{self.counts[name]:,} columns" if name in self.counts else ""

    # --- for the documentation ------------------------------------------------------------------

    def markdown(self) -> str:
        """The same as Markdown with formulas between dollar signs, for a page of the site."""
        parts = ["| | | |", "|---|---|---|"]
        for symbol in (*self.sets, *self.data):
            parts.append(f"| ${symbol.latex}$ | {symbol.meaning} | {symbol.unit} |")
        parts += ["", "Variables, all with an upper bound:", "", "| | | |", "|---|---|---|"]
        for each in self.columns:
            written = f"${each.at()} {DOMAINS[each.domain]}$"
            parts.append(f"| {written} | {each.meaning} | {each.unit} |")
        parts += ["", f"Minimise, in {self.unit}, the sum of:", "", "| | |", "|---|---|"]
        parts += [f"| {name} | ${text}$ |" for name, text in self.objective()]
        parts += ["", "subject to"]
        for rows in self.rows:
            parts += ["", f"**({rows.name})** for every ${rows.indices}$:"]
            parts += ["", f"$$ {self.equation(rows)} $$"]
        for note in self.notes:
            parts += ["", note]
        return "\n".join(parts) + "\n"


def _table(title: str, symbols: Sequence[Symbol]) -> Iterator[str]:
    yield rf"\subsection*{{{title}}}"
    yield r"\begin{longtable}{lp{10cm}l}"
    for each in symbols:
        yield rf"${each.latex}$ & {_plain(each.meaning)} & {_plain(each.unit)} \\"
    yield r"\end{longtable}"


def _plain(text: str) -> str:
    """Text with the signs escaped that LaTeX reads as its own; formulas in it stay as they are."""
    return re.sub(r"([_%&#])", r"\\\1", text) if "$" not in text else text


_SIGNS = {
    **{sign: f"\\{sign}" for sign in "{}$&#%_"},
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
}


def _escaped(text: str) -> str:
    """Any text, such as a name of a user's, as LaTeX that prints it."""
    return "".join(_SIGNS.get(sign, sign) for sign in " ".join(text.split()))
