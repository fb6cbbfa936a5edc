"""The allocation program as arrays: columns and rows by family, with their names."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sparse

from torta_opt.allocation.formulations.column_bounds import ColumnBounds
from torta_opt.allocation.formulations.pools import Pools
from torta_opt.allocation.instance.data import Instance
from torta_opt.solvers.problem import Problem

INFINITY = np.inf


# Axes of every family: slot t, origin or serving region r, pool p, model m, class c, segment k.
AXES = {
    "x": "trrc",
    "inflow": "trc",
    "q": "trc",
    "expired": "trc",
    "overdue": "trc",
    "z": "tpc",
    "hot": "tpc",
    "off": "tp",
    "ready": "tpm",
    "start": "tpm",
    "stop": "tpm",
    "leave": "tpm",
    "enter": "tpm",
    "moved": "trr",
    "rise": "trrk",
    "fall": "trrk",
    "route": "trc",
    "gather": "trc",
    "queue": "trc",
    "deadline": "trc",
    "aging": "trc",
    "expire": "trc",
    "oldest": "trc",
    "off_flow": "tp",
    "ready_flow": "tpm",
    "switch_flow": "tp",
    "capacity": "tpm",
    "fit": "tpc",
    "hot_served": "tpc",
    "reuse": "tpc",
    "reroute": "trr",
    "change": "trr",
    "excess": "tpk",
    "spread": "tp",
    "hull": "tpmk",
    "whole": "tw",
}


REQUESTS = ("x", "inflow", "q", "expired", "z", "hot")


SERVERS = ("off", "ready", "start", "stop", "leave", "enter")


# Families of the matrix, in its order.
COLUMNS = (*REQUESTS, *SERVERS, "moved", "rise", "fall")


ROWS = (
    "route",
    "gather",
    "queue",
    "deadline",
    "aging",
    "off_flow",
    "ready_flow",
    "switch_flow",
    "capacity",
    "fit",
    "hot_served",
    "reuse",
    "reroute",
    "change",
)


@dataclass(frozen=True, eq=False)
class Family:
    """Columns or rows of one kind.

    first    number of the first
    mask     dense over the sets: which cells have a column or row
    """

    name: str
    first: int
    mask: np.ndarray

    @cached_property
    def index(self) -> np.ndarray:
        """(n, axes) cells, in the order of their numbers."""
        return np.argwhere(self.mask)

    @cached_property
    def number(self) -> np.ndarray:
        """Dense over the sets, −1 where there is none."""
        number = np.full(self.mask.shape, -1, np.int64)
        number[self.mask] = np.arange(self.first, self.first + len(self))
        return number

    def __len__(self) -> int:
        return int(np.count_nonzero(self.mask))

    @property
    def numbers(self) -> slice:
        return slice(self.first, self.first + len(self))


@dataclass(frozen=True, eq=False)
class AllocationProgram:
    """minimise cost·v + constant subject to row_lower ≤ matrix·v ≤ row_upper, 0 ≤ v ≤ upper.

    columns, rows    families by name, in the order of the matrix
    integer          (n,) bool
    further_rows     names of rows below those of the families
    """

    instance: Instance
    pools: Pools
    column_bounds: ColumnBounds
    tangents: tuple[float, ...]
    columns: dict[str, Family]
    rows: dict[str, Family]
    cost: np.ndarray
    constant: float
    upper: np.ndarray
    integer: np.ndarray
    matrix: sparse.csr_array
    row_lower: np.ndarray
    row_upper: np.ndarray
    further_rows: tuple[str, ...] = ()

    @property
    def knapsack_rows(self) -> int:
        """How many of the rows are integer knapsack rows."""
        return len(self.rows["hull"]) if "hull" in self.rows else 0

    @cached_property
    def row_slot(self) -> np.ndarray:
        """(rows,) slot of each row, −1 for further rows."""
        own = [family.index[:, 0] for family in self.rows.values()]
        return np.concatenate([*own, np.full(len(self.further_rows), -1)])

    @cached_property
    def column_slot(self) -> np.ndarray:
        """(columns,) slot of each column."""
        return np.concatenate([family.index[:, 0] for family in self.columns.values()])

    @cached_property
    def column_names(self) -> list[str]:
        return [name for family in self.columns.values() for name in self._names(family)]

    @cached_property
    def row_names(self) -> list[str]:
        own = (name for family in self.rows.values() for name in self._names(family))
        return [*own, *self.further_rows]

    def _names(self, family: Family) -> Iterator[str]:
        system = self.instance.system
        labels = {"r": system.regions, "p": self.pools.names, "m": system.models}
        labels["c"] = system.classes
        quoted = {axis: [_quoted(name) for name in names] for axis, names in labels.items()}
        axes = [quoted.get(axis) for axis in AXES[family.name]]
        for cell in family.index.tolist():
            parts = (
                str(n) if names is None else names[n] for n, names in zip(cell, axes, strict=True)
            )
            yield f"{family.name}[{','.join(parts)}]"

    def vector(self, values: dict[str, np.ndarray]) -> np.ndarray:
        """Dense values by family (as ``lift`` gives them) in the order of the columns."""
        parts = [
            np.asarray(values[name])[family.mask] if len(family) else np.zeros(0)
            for name, family in self.columns.items()
        ]
        return np.concatenate(parts).astype(float)

    def values(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        """Dense values by family of a vector in the order of the columns; 0 without a column."""
        dense = {}
        for name, family in self.columns.items():
            dense[name] = np.zeros(family.mask.shape)
            dense[name][family.mask] = vector[family.numbers]
        return dense

    def objective(self, vector: np.ndarray) -> float:
        return float((self.cost * vector).sum()) + self.constant  # BLAS: other digits elsewhere

    def with_rows(
        self, family: Family, block: sparse.csr_array, upper: np.ndarray
    ) -> AllocationProgram:
        """The program with a further family of rows block·v ≤ upper."""
        if self.further_rows:
            raise ValueError("families of rows come before single rows")
        return dataclasses.replace(
            self,
            rows={**self.rows, family.name: family},
            matrix=sparse.csr_array(sparse.vstack([self.matrix, block])),
            row_lower=np.append(self.row_lower, np.full(len(family), -INFINITY)),
            row_upper=np.append(self.row_upper, upper),
        )

    def problem(self) -> Problem:
        """The same for a solver; names are made up when asked for."""
        rows, columns = self.matrix.shape
        return Problem(
            matrix=self.matrix,
            row_lower=self.row_lower,
            row_upper=self.row_upper,
            col_lower=np.zeros(columns),
            col_upper=self.upper,
            cost=self.cost,
            offset=self.constant,
            integrality=self.integer,
            row_names=_Names(rows, lambda: self.row_names),
            col_names=_Names(columns, lambda: self.column_names),
        )


class _Names(Sequence[str]):
    """A list that is made on first use."""

    def __init__(self, size: int, make: Callable[[], list[str]]):
        self.size, self.make = size, make

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, n: Any) -> Any:
        return self.make()[n]


_SPECIAL = re.compile(r"""[()\[\],.'":\\]""")


_NUMBER = re.compile(r"(?:[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|-?inf|nan)")


def _quoted(name: str) -> str:
    """A name as Pyomo writes it inside [ ]: quoted where it could be misread."""
    quoted = repr(name)
    bare = quoted[1:-1]
    return quoted if _SPECIAL.search(bare) or _NUMBER.fullmatch(bare) else bare
