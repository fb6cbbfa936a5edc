"""Open, solve, bound, verify, describe, export: the same for every problem family.

    instance = open_instance("instances/paper/abilene.json.gz")
    result = solve(instance, "optimal", limits=Limits(seconds=60))

Every schedule, ours or a user's, passes the verifier and the evaluator before a number is given.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torta_opt import arguments
from torta_opt.families import broken, family_of, guarded, instance_formats
from torta_opt.family import AUTO, Facts, Family, Format, Path, Request, unwatched
from torta_opt.io import InvalidInput, read_document, write_document
from torta_opt.results import BoundResult, Check, Evaluation, Found, Result, Verification

if TYPE_CHECKING:
    from torta_opt.family import SolverWatch, Watch
    from torta_opt.solvers import Limits

Instance = Any  # of any family
Schedule = Any


def open_instance(path: Path) -> Instance:
    """The instance in a file, of whatever family the file says.

    Raises
    ------
    InvalidInput
        If the file cannot be read or breaks a rule; the message names file, field and rule.
    """
    arguments.check_path(path)
    formats = instance_formats()
    versions = {name: entry.version for name, (_, entry) in formats.items()}
    try:
        document = read_document(path, versions)
    except InvalidInput as error:
        if error.field == "format" and broken():  # it may be a file of one of those
            lost = f"not loaded: {', '.join(broken())}, and torta-opt methods says why"
            raise InvalidInput(f"{error.rule}; {lost}", error.field, error.file) from None
        raise
    _, chosen = formats[document["format"]]
    try:
        return chosen.read(document)
    except InvalidInput as error:
        raise error.within(os.fspath(path)) from None


def save_instance(instance: Instance, path: Path) -> None:
    """Write an instance file; a name that ends in ``.gz`` is compressed."""
    arguments.check_instance(instance)
    arguments.check_path(path)
    write_document(path, family_of(instance).formats["instance"].document(instance))


def solve(
    instance: Instance,
    method: str | None = None,
    seed: int = 0,
    watch: Watch | None = None,
    *,
    limits: Limits | None = None,
    start: Schedule | None = None,
    constraints: Sequence[Any] = (),
    solver_watch: SolverWatch | None = None,
) -> Result:
    """The schedule that ``method`` finds, verified and priced.

    Parameters
    ----------
    instance
        Of any family; ``open_instance`` and ``generate`` give one.
    method
        A name that ``torta-opt methods`` lists; None: the family's default.
    seed
        Of everything random.
    watch
        Called with what is being done, the steps done and the steps in all.
    limits
        Of the whole run, for methods that can end early.
    start
        A schedule to start from, for methods that take one.
    constraints
        A user's own, for methods that take them.
    solver_watch
        Called with the verified cost and the proved bound as they improve.

    Returns
    -------
    Result
        Schedule, cost, and the bound where the method proved one on the way.

    Raises
    ------
    InvalidInput
        If an argument is wrong; Infeasible if there is no schedule; LimitReached if a limit left
        none; VerificationFailed if the method's schedule breaks a rule.

    Examples
    --------
    >>> import torta_opt
    >>> instance = torta_opt.generate("small/loading")
    >>> torta_opt.solve(instance, "greedy_forecast").status
    'done'
    """
    arguments.check_instance(instance)
    family = family_of(instance)
    method = family.default_method if method is None else method
    arguments.check_solve(instance, method, seed, watch, limits, start, constraints, solver_watch)
    request = Request(seed, limits, start, tuple(constraints), watch or unwatched, solver_watch)
    return run(family, instance, method, request)


def run(family: Family, instance: Instance, name: str, request: Request) -> Result:
    """What a method finds, once it has passed the referee."""
    method = family.method(name)
    for what in ("start", "constraints"):
        if getattr(request, what) and what not in method.takes:
            raise InvalidInput(f"{name} takes no {what}", field="method")
    if request.start is not None:
        family.verify(instance, request.start).raise_if_broken("start")
    with guarded(family, name):
        found = method.solve(instance, request)
        return referee(family, instance, name, found)


def referee(family: Family, instance: Instance, name: str, found: Found) -> Result:
    """A schedule verified and priced. Raises VerificationFailed."""
    family.verify(instance, found.schedule).raise_if_broken(name)
    return Result(
        found.schedule,
        family.evaluate(instance, found.schedule),
        found.seconds,
        found.slot_seconds,
        bound=found.bound,
        status=found.status,
        stopped=found.stopped,
    )


def bound(
    instance: Instance,
    method: str = AUTO,
    *,
    limits: Limits | None = None,
    constraints: Sequence[Any] = (),
    solver_watch: SolverWatch | None = None,
) -> BoundResult:
    """A number that no schedule of ``instance`` can beat.

    Parameters
    ----------
    method
        A bound that ``torta-opt methods`` lists, or ``auto``, which chooses one and says why.
    limits
        Of the whole computation.
    constraints
        A user's own; the number then holds for schedules that keep them.
    solver_watch
        Called with the proved bound as it improves.

    Returns
    -------
    BoundResult
        In dollars for allocation, in seconds for placement.

    Raises
    ------
    InvalidInput
        If an argument is wrong; Infeasible if the constraints are proved to leave no schedule.

    Examples
    --------
    >>> import torta_opt
    >>> instance = torta_opt.generate("small/loading")
    >>> torta_opt.bound(instance, "floor").certified
    False
    """
    arguments.check_bound_call(instance, method, limits, constraints, solver_watch)
    request = Request(limits=limits, constraints=tuple(constraints), solver_watch=solver_watch)
    return family_of(instance).bound(instance, method, request)


def verify(instance: Instance, schedule: Schedule) -> Verification:
    """Every rule of the problem checked against a schedule, exactly.

    Returns
    -------
    Verification
        Empty if the schedule is feasible; else the violations, the first of each rule described.
    """
    arguments.check_instance(instance)
    arguments.check_schedule(schedule, instance, "schedule")
    return family_of(instance).verify(instance, schedule)


def evaluate(instance: Instance, schedule: Schedule) -> Evaluation:
    """Cost and metrics of a schedule that ``verify`` accepts; of any other they mean nothing."""
    arguments.check_instance(instance)
    arguments.check_schedule(schedule, instance, "schedule")
    return family_of(instance).evaluate(instance, schedule)


def verify_file(instance: Instance, path: Path) -> Check:
    """A schedule file checked against every rule, or a bound file derived again.

    Raises InvalidInput if the file is neither, or of another instance.
    """
    arguments.check_instance(instance)
    arguments.check_path(path)
    family = family_of(instance)
    kinds = {family.formats[kind].name: kind for kind in ("schedule", "bound")}
    versions = {name: family.formats[kind].version for name, kind in kinds.items()}
    document = read_document(path, versions)
    try:
        return family.check(instance, kinds[document["format"]], document)
    except InvalidInput as error:
        raise error.within(os.fspath(path)) from None


def load_bound(path: Path, instance: Instance) -> BoundResult:
    """The bound in a file, derived again from its certificate without a solver.

    Raises InvalidInput if it is that of another instance or has no certificate, and
    VerificationFailed if it claims more than can be derived.
    """
    return _read(path, instance, "bound")


def load_schedule(path: Path, instance: Instance) -> Schedule:
    """The schedule in a file of ``instance``. Raises InvalidInput."""
    return _read(path, instance, "schedule")


def save_schedule(schedule: Schedule, instance: Instance, path: Path) -> None:
    """Write a schedule of ``instance``; a name that ends in ``.gz`` is compressed."""
    arguments.check_instance(instance)
    arguments.check_schedule(schedule, instance, "schedule")
    arguments.check_path(path)
    write_document(path, family_of(instance).formats["schedule"].document(schedule, instance))


def bound_to_document(proved: BoundResult, instance: Instance) -> dict[str, Any]:
    """The content of a bound file."""
    arguments.check_instance(instance)
    arguments.check_bound(proved)
    return family_of(instance).formats["bound"].document(proved, instance)


def describe(instance: Instance) -> Facts:
    """Size, load, floor, and what is legal in the instance but rarely meant."""
    arguments.check_instance(instance)
    return family_of(instance).describe(instance)


def export(
    instance: Instance,
    path: Path,
    format: str | None = None,
    *,
    relaxed: bool = False,
    named: bool = False,
    plain: bool = False,
) -> dict[str, int]:
    """Write the program of ``instance`` as an MPS or LP file; its size.

    The rows are those that the bounds ``lp`` and ``milp`` are computed over, integer knapsack rows
    included; how many of them these are is said beside.

    format    ``mps`` or ``lp``; None: as the name of the file says
    relaxed   servers may be fractions
    named     every server on its own instead of counted by type and region
    plain     without knapsack rows: a weaker program
    """
    arguments.check_instance(instance)
    arguments.check_path(path)
    if format is not None:
        arguments.check_name(format, "format")
    family = family_of(instance)
    program = family.build_program(instance, named=named, plain=plain)
    from torta_opt.solvers import write_problem

    problem = program.problem()
    if relaxed:
        problem = problem.relaxed()
    write_problem(problem, path, format)
    return {
        "rows": problem.rows,
        "knapsack_rows": program.knapsack_rows,
        "columns": problem.columns,
        "integers": int(problem.integrality.sum()),
        "entries": problem.matrix.nnz,
    }


def build_model(instance: Instance, **options: Any) -> Any:
    """The program of ``instance`` as a Pyomo model, to be read and extended in a notebook.

    Options are those of the family's formulation. Raises InvalidInput if the family has no model.
    """
    arguments.check_instance(instance)
    return family_of(instance).build_model(instance, **options)


def build_program(instance: Instance, **options: Any) -> Any:
    """The same program as arrays: cost, matrix, sides of rows, bounds of columns, names."""
    arguments.check_instance(instance)
    return family_of(instance).build_program(instance, **options)


def reweighted(instance: Instance, weights: Path) -> Instance:
    """``instance`` priced by other weights: ``paper``, ``xNUMBER`` (as in ``x0.25``) or a file."""
    arguments.check_instance(instance)
    if not isinstance(weights, str | os.PathLike):
        arguments.check_name(weights, "weights")
    return family_of(instance).reweighted(instance, weights)


def _read(path: Path, instance: Instance, kind: str) -> Any:
    arguments.check_instance(instance)
    arguments.check_path(path)
    chosen: Format = family_of(instance).formats[kind]
    document = read_document(path, {chosen.name: chosen.version})
    try:
        return chosen.read(document, instance)
    except InvalidInput as error:
        raise error.within(os.fspath(path)) from None
