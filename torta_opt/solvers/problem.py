"""What goes into a solver and what comes out: ``Problem``, ``Limits``, ``Result``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from numbers import Integral, Real
from typing import Any

import numpy as np
import scipy.sparse as sparse

from torta_opt.io.errors import InvalidInput, TortaOptError

MAX_SEED = 2**31 - 1
MAX_THREADS = 1024
_NUMBERS = ("row_lower", "row_upper", "col_lower", "col_upper", "cost")


class SolverFailed(TortaOptError):
    """A solver refused a call that should have worked."""


@dataclass(frozen=True, eq=False)
class Problem:
    """minimise cost·x + offset, row_lower ≤ matrix·x ≤ row_upper, col_lower ≤ x ≤ col_upper.

    matrix                 (m, n) CSC or CSR, without repeated entries
    row_lower, row_upper   (m,) −∞ and +∞ where a row has no such side
    col_lower, col_upper   (n,) likewise
    cost, offset           (n,), a number
    integrality            (n,) bool: x_j is an integer; all False if left out
    row_names, col_names   m and n names, or None; a sequence may make them up when asked
    """

    matrix: sparse.csc_array | sparse.csr_array
    row_lower: np.ndarray
    row_upper: np.ndarray
    col_lower: np.ndarray
    col_upper: np.ndarray
    cost: np.ndarray
    offset: float = 0.0
    integrality: np.ndarray | None = None
    row_names: Sequence[str] | None = None
    col_names: Sequence[str] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", _canonical(self.matrix))
        rows, columns = self.matrix.shape
        integrality = np.zeros(columns, bool) if self.integrality is None else self.integrality
        object.__setattr__(self, "integrality", np.asarray(integrality, bool))
        for name in ("row_lower", "row_upper", "col_lower", "col_upper", "cost"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float64))
        for name in ("row_lower", "row_upper"):
            _check_vector(name, getattr(self, name), rows)
        for name in ("col_lower", "col_upper", "cost", "integrality"):
            _check_vector(name, getattr(self, name), columns)
        for name, size in (("row_names", rows), ("col_names", columns)):
            names = getattr(self, name)
            if names is not None and len(names) != size:
                raise InvalidInput(f"has {len(names)} names, the matrix asks for {size}", name)
        if not (np.isfinite(self.matrix.data).all() and np.isfinite(self.cost).all()):
            raise InvalidInput("coefficients and costs must be finite", "matrix")
        if not math.isfinite(self.offset):
            raise InvalidInput("must be finite", "offset")

    @property
    def is_integer(self) -> np.ndarray:
        """(n,) ``integrality``, which ``__post_init__`` fills in."""
        assert self.integrality is not None
        return self.integrality

    @property
    def rows(self) -> int:
        return self.matrix.shape[0]

    @property
    def columns(self) -> int:
        return self.matrix.shape[1]

    @cached_property
    def is_boxed(self) -> bool:
        """Every column has two finite bounds."""
        return bool(np.isfinite(self.col_lower).all() and np.isfinite(self.col_upper).all())

    @cached_property
    def row_size(self) -> np.ndarray:
        """(m,) Largest absolute coefficient of each row, at least 1."""
        if not self.matrix.nnz:
            return np.ones(self.rows)
        largest: np.ndarray = abs(self.matrix).max(axis=1).toarray().reshape(-1)
        return np.maximum(largest, 1.0)

    @cached_property
    def typical_cost(self) -> float:
        """Median of the absolute costs that are not 0; 1 if there are none."""
        size = np.abs(self.cost[self.cost != 0])
        return float(np.median(size)) if len(size) else 1.0

    def with_numbers(self, **numbers: np.ndarray) -> Problem:
        """The same matrix with other sides, bounds or costs."""
        changed = copy(self)  # what hangs on the matrix alone comes along
        for name in ("is_boxed", "typical_cost"):
            changed.__dict__.pop(name, None)
        for name, given in numbers.items():
            if name not in _NUMBERS:
                raise InvalidInput("is no side, bound or cost", name)
            vector = np.asarray(given, np.float64)
            _check_vector(name, vector, self.rows if name.startswith("row") else self.columns)
            object.__setattr__(changed, name, vector)
        if not np.isfinite(changed.cost).all():
            raise InvalidInput("costs must be finite", "cost")
        return changed

    @cached_property
    def by_column(self) -> sparse.csc_array:
        """The matrix, column by column."""
        return sparse.csc_array(self.matrix)

    @cached_property
    def transposed(self) -> sparse.csc_array | sparse.csr_array:
        return self.matrix.T

    def relaxed(self) -> Problem:
        """The same without integrality."""
        return replace(self, integrality=None)


def _canonical(matrix: Any) -> sparse.csc_array | sparse.csr_array:
    kinds = (sparse.csc_array, sparse.csr_array)
    if not (isinstance(matrix, kinds) and matrix.dtype == np.float64):
        matrix = kinds[matrix.format == "csr"](matrix, dtype=np.float64)
    if not matrix.has_canonical_format:
        matrix = matrix.copy()  # the caller's own stays as it is
        matrix.sum_duplicates()
    return matrix


def _check_vector(name: str, vector: np.ndarray, size: int) -> None:
    if vector.shape != (size,):
        raise InvalidInput(f"has shape {vector.shape}, the matrix asks for ({size},)", name)
    if np.isnan(vector).any():
        raise InvalidInput("holds a NaN", name)
    if name.endswith("lower") and (vector == math.inf).any():
        raise InvalidInput("a lower side cannot be +∞", name)
    if name.endswith("upper") and (vector == -math.inf).any():
        raise InvalidInput("an upper side cannot be −∞", name)


@dataclass(frozen=True)
class Limits:
    """When a run stops, and how many threads it may use.

    Parameters
    ----------
    seconds
        Wall-clock time of one call [s].
    gap
        ``(objective − bound)/|objective|`` at which an integer program counts as solved.
    work
        Branch-and-bound nodes, or iterations of the method of a linear program. Unlike ``seconds``,
        this limit has the same effect on every machine. None: no limit.
    threads
        Threads that a solver may use; 0: the solver chooses.
    seed
        Seed of the solver's tie-breaking.

    Raises
    ------
    InvalidInput
        If a value is out of range.

    Examples
    --------
    >>> from torta_opt import Limits
    >>> Limits(seconds=60, gap=0.01).threads
    1
    """

    seconds: float = math.inf
    gap: float = 1e-6
    work: int | None = None
    threads: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name, kind, what in (
            ("seconds", Real, "a number"),
            ("gap", Real, "a number"),
            ("work", (Integral, type(None)), "a whole number, or None"),
            ("threads", Integral, "a whole number"),
            ("seed", Integral, "a whole number"),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, kind):
                raise InvalidInput(f"must be {what}, found {value!r:.40}", name)
        if not self.seconds >= 0:
            raise InvalidInput("must be at least 0", "seconds")
        if not 0 <= self.gap < math.inf:
            raise InvalidInput("must be a finite number, at least 0", "gap")
        if self.work is not None and not 0 <= self.work <= MAX_SEED:
            raise InvalidInput(f"must lie between 0 and {MAX_SEED}", "work")
        if not 0 <= self.threads <= MAX_THREADS:
            raise InvalidInput(f"must lie between 0 and {MAX_THREADS}", "threads")
        if not 0 <= self.seed <= MAX_SEED:
            raise InvalidInput(f"must lie between 0 and {MAX_SEED}", "seed")


class Status(StrEnum):
    """What is known about a problem after a run."""

    OPTIMAL = "optimal"  # a feasible point, and a bound that meets it
    FEASIBLE = "feasible"  # a feasible point; a limit came before the proof
    BOUND_ONLY = "bound_only"  # no feasible point; the bound may still be −∞
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"
    INTERRUPTED = "interrupted"  # by Ctrl-C; with the best point and bound so far
    ERROR = "error"  # the solver failed, or contradicts itself


@dataclass(frozen=True)
class Progress:
    """One sample of a run: seconds since its start, best objective and bound so far, nodes.

    Of a search for schedules ``incumbent`` is the cost of a schedule that passed the verifier, and
    ``bound`` holds for all schedules; of a bound alone ``incumbent`` is +∞. ``phase`` says in a
    word or two what is being done.
    """

    seconds: float
    incumbent: float
    bound: float
    nodes: int
    phase: str = ""


@dataclass(frozen=True, eq=False)
class Result:
    """What a run found, every number of it recomputed from the vectors.

    objective   cost of x; +∞ without x
    bound       no feasible point costs less; −∞ if nothing is known
    x           (n,) point that satisfies rows, bounds and integrality within tolerance, or None
    near        (n,) point of a linear program that violates rows or bounds by a little more than
                the tolerance, where the solver ended there and there is no x. Only a hint
    row_dual    (m,) duals that prove the bound of a linear program, positive where the lower side
                binds; None for an integer program
    col_dual    (n,) reduced costs, cost − matrixᵀ·row_dual
    basis       hand it to ``solve_lp(..., warm=...)``
    violation   largest violation of a row, divided by its largest coefficient if above 1, or bound
    fraction    largest distance of an integer column from an integer
    trace       how incumbent and bound of an integer program moved
    message     one line for people
    """

    status: Status
    objective: float = math.inf
    bound: float = -math.inf
    x: np.ndarray | None = None
    near: np.ndarray | None = None
    row_dual: np.ndarray | None = None
    col_dual: np.ndarray | None = None
    basis: Any = None
    violation: float = 0.0
    fraction: float = 0.0
    seconds: float = 0.0
    nodes: int = 0
    iterations: int = 0
    method: str = ""
    trace: tuple[Progress, ...] = ()
    message: str = ""

    def raise_if_interrupted(self) -> Result:
        """For programs that are a step on the way: Ctrl-C in one ends the whole."""
        if self.status is Status.INTERRUPTED:
            raise KeyboardInterrupt
        return self

    @property
    def gap(self) -> float | None:
        """``(objective − bound)/|objective|``; None if the objective is 0 or there is none."""
        if self.x is None or self.objective == 0:
            return None
        return (self.objective - self.bound) / abs(self.objective)
