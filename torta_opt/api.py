"""Open, solve, bound, verify, describe, export: the same functions for every problem family.

    instance = open_instance("instances/paper/abilene.json.gz")
    result = solve(instance, "optimal", limits=Limits(seconds=60))

Every schedule, whether it comes from a method or from a user, passes the verifier and the evaluator
before a number is returned.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torta_opt import arguments
from torta_opt.families import broken, family_of, guarded, instance_formats
from torta_opt.family import AUTO, Facts, Family, Format, Path, Request, unwatched
from torta_opt.io import InvalidInput, read_document, write_bytes, write_document
from torta_opt.results import BoundResult, Check, Evaluation, Found, Result, Verification

if TYPE_CHECKING:
    from torta_opt.family import SolverWatch, Watch
    from torta_opt.solvers import Limits

LATEX = "latex"
Instance = Any  # an instance of any family
Schedule = Any


def open_instance(path: Path) -> Instance:
    """Read an instance file; its field ``format`` names the problem family.

    Parameters
    ----------
    path
        JSON, plain or compressed with gzip.

    Returns
    -------
    Instance
        An instance of allocation, or an instance of another family.

    Raises
    ------
    InvalidInput
        If the file cannot be read or breaks a rule; the message names file, field and rule.

    Examples
    --------
    >>> import torta_opt
    >>> path = "loading.json"
    >>> torta_opt.save_instance(torta_opt.generate("small/loading"), path)
    >>> torta_opt.open_instance(path).name
    'small/loading'
    """
    arguments.check_path(path)
    return instance_in(lambda versions: read_document(path, versions), path)


def instance_in(read: Callable[[Mapping[str, int]], dict[str, Any]], path: Path) -> Instance:
    """The instance in a document that ``read`` gives, and that came from ``path``.

    ``read`` is told the version of every format of instances. Raises InvalidInput.
    """
    formats = instance_formats()
    versions = {name: entry.version for name, (_, entry) in formats.items()}
    try:
        document = read(versions)
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
    """Write an instance file.

    Parameters
    ----------
    instance
        An instance of any family.
    path
        The file to write; a name that ends in ``.gz`` is compressed. The file is written completely
        or not at all.

    Raises
    ------
    InvalidInput
        If the file cannot be written.

    Examples
    --------
    See ``open_instance``.
    """
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
    """Find a schedule with a policy or an offline method, verify it and price it.

    Parameters
    ----------
    instance
        An instance of any family, as ``open_instance`` and ``generate`` return it.
    method
        A name that ``torta-opt methods`` lists; None means the default method of the family.
        Parameters of a policy follow its name: ``"skylb:overflow=nearest"``.
    seed
        Seed of all random numbers.
    watch
        Called as ``watch(step, done, total)``: a description of the current step, the number of
        finished steps, and the number of all steps.
    limits
        Limits of the whole run, for methods that can end early.
    start
        A schedule of the instance to start from, for methods that take one.
    constraints
        Constraints of the user, for methods that take them (``UserConstraint`` for allocation).
    solver_watch
        Called with a sample of the run (``solvers.problem.Progress``) when the verified cost or the
        proved bound improves.

    Returns
    -------
    Result
        The schedule, its cost, and a bound if the method proved one.

    Raises
    ------
    InvalidInput
        If an argument is wrong, or the method cannot use it.
    Infeasible
        If the instance or the constraints leave no schedule.
    LimitReached
        If a limit ended the method before it had a schedule.
    VerificationFailed
        If the schedule of the method breaks a rule.

    Examples
    --------
    >>> import torta_opt
    >>> instance = torta_opt.generate("small/loading")
    >>> result = torta_opt.solve(instance, "greedy_forecast")
    >>> result.status, round(result.cost, 3)
    ('done', 1.637)
    >>> best = torta_opt.solve(instance, "optimal")
    >>> round(best.cost, 3), best.gap < 1e-6
    (0.155, True)
    """
    arguments.check_instance(instance)
    family = family_of(instance)
    method = family.default_method if method is None else method
    arguments.check_solve(instance, method, seed, watch, limits, start, constraints, solver_watch)
    request = Request(seed, limits, start, tuple(constraints), watch or unwatched, solver_watch)
    return run(family, instance, method, request)


def run(family: Family, instance: Instance, name: str, request: Request) -> Result:
    """Run a method and verify what it finds. Raises InvalidInput if it cannot use the request."""
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
    """A found schedule, verified and priced. Raises VerificationFailed."""
    family.verify(instance, found.schedule).raise_if_broken(name)
    return Result(
        found.schedule,
        family.evaluate(instance, found.schedule),
        found.seconds,
        found.slot_seconds,
        bound=found.bound,
        status=found.status,
        stopped=found.stopped,
        trace=found.trace,
        source=found.source,
    )


def bound(
    instance: Instance,
    method: str = AUTO,
    *,
    limits: Limits | None = None,
    constraints: Sequence[Any] = (),
    solver_watch: SolverWatch | None = None,
    seed: int = 0,
    watch: Watch | None = None,
    options: Mapping[str, Any] | None = None,
) -> BoundResult:
    """Prove a number that no schedule of an instance can beat.

    The bound ``nonanticipative`` is of another kind: an estimate of what no policy that cannot see
    ahead beats on average over futures of the instance (``statistical`` of the result).

    Parameters
    ----------
    instance
        An instance of any family.
    method
        A bound that ``torta-opt methods`` lists, or ``"auto"``, which chooses one (``why`` of the
        result says which and for what reason).
    limits
        Limits of the whole computation.
    constraints
        Constraints of the user. The bound then holds for the schedules that satisfy them.
    solver_watch
        Called with a sample of the run when the proved bound improves.
    seed
        Seed of all random numbers, of methods that draw any.
    watch
        Called as ``watch(step, done, total)``.
    options
        What the method takes beside these, by name; ``nonanticipative`` takes ``scenarios``,
        ``way``, ``children``, ``block``, ``window``, ``leaves``, ``tiers``, ``folder``, ``jobs``.

    Returns
    -------
    BoundResult
        The bound, in dollars for allocation and in seconds for placement. If a limit ended the
        method before it had proved anything, this is the floor, and ``stopped`` says so.

    Raises
    ------
    InvalidInput
        If an argument is wrong.
    Infeasible
        If the constraints are proved to leave no schedule.

    Examples
    --------
    >>> import torta_opt
    >>> instance = torta_opt.generate("small/loading")
    >>> proved = torta_opt.bound(instance, "lp")
    >>> round(proved.value, 4), proved.certified
    (0.1354, True)
    """
    arguments.check_bound_call(instance, method, limits, constraints, solver_watch)
    arguments.check_seed(seed)
    arguments.check_callable(watch, "watch")
    family = family_of(instance)
    for option in options or {}:
        if method not in family.bounds or option not in family.bounds[method].takes:
            raise InvalidInput(f"is no option of the bound {method}", field=option)
    request = Request(
        seed=seed,
        limits=limits,
        constraints=tuple(constraints),
        watch=watch or unwatched,
        solver_watch=solver_watch,
        options=options or {},
    )
    return family.bound(instance, method, request)


def verify(instance: Instance, schedule: Schedule) -> Verification:
    """Check a schedule against every rule of the problem, without tolerances.

    Parameters
    ----------
    instance
        An instance of any family.
    schedule
        A schedule of this instance.

    Returns
    -------
    Verification
        ``ok`` is True if the schedule is feasible. Otherwise ``counts`` has the number of
        violations by rule, and ``problems`` describes the first ones of each rule.

    Raises
    ------
    InvalidInput
        If the schedule belongs to another family, or its arrays have shapes that do not fit.

    Examples
    --------
    >>> import torta_opt
    >>> import dataclasses
    >>> instance = torta_opt.generate("small/loading")
    >>> schedule = torta_opt.solve(instance, "greedy_forecast").schedule
    >>> torta_opt.verify(instance, schedule).ok
    True
    >>> wrong = dataclasses.replace(schedule, processing=schedule.processing + 1)
    >>> torta_opt.verify(instance, wrong).counts["processing-off"]
    4
    """
    arguments.check_instance(instance)
    arguments.check_schedule(schedule, instance, "schedule")
    return family_of(instance).verify(instance, schedule)


def evaluate(instance: Instance, schedule: Schedule) -> Evaluation:
    """Price a schedule and measure how it serves.

    Parameters
    ----------
    instance
        An instance of any family.
    schedule
        A schedule that ``verify`` accepts. For any other the numbers have no meaning.

    Returns
    -------
    Evaluation
        The cost with its components, and metrics such as ``response_p95_s``.

    Raises
    ------
    InvalidInput
        If the schedule belongs to another family.

    Examples
    --------
    >>> import torta_opt
    >>> instance = torta_opt.generate("small/loading")
    >>> schedule = torta_opt.solve(instance, "greedy_forecast").schedule
    >>> evaluation = torta_opt.evaluate(instance, schedule)
    >>> round(evaluation.cost, 3), evaluation.costs["expiry"]
    (1.637, 1.5)
    """
    arguments.check_instance(instance)
    arguments.check_schedule(schedule, instance, "schedule")
    return family_of(instance).evaluate(instance, schedule)


def verify_file(instance: Instance, path: Path) -> Check:
    """Check a schedule file against every rule, or derive the bound of a bound file again.

    Parameters
    ----------
    instance
        An instance of any family.
    path
        A schedule file or a bound file of this instance.

    Returns
    -------
    Check
        Whether the file holds, the violations if it does not, and the cost or the derived bound.

    Raises
    ------
    InvalidInput
        If the file is neither of the two, or belongs to another instance.

    Examples
    --------
    >>> import torta_opt
    >>> instance = torta_opt.generate("small/loading")
    >>> path = "schedule.json"
    >>> torta_opt.save_schedule(torta_opt.solve(instance).schedule, instance, path)
    >>> check = torta_opt.verify_file(instance, path)
    >>> check.kind, check.ok
    ('schedule', True)
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
    """Read a bound file and derive the bound again from its certificate, without a solver.

    Parameters
    ----------
    path
        A bound file, as ``torta-opt bound -o FILE`` writes it.
    instance
        The instance that the bound belongs to.

    Returns
    -------
    BoundResult
        The derived bound.

    Raises
    ------
    InvalidInput
        If the file belongs to another instance or has no certificate.
    VerificationFailed
        If the file claims a higher value than its certificate proves.

    Examples
    --------
    >>> import torta_opt
    >>> from torta_opt.api import bound_to_document
    >>> from torta_opt.io import write_document
    >>> instance = torta_opt.generate("small/loading")
    >>> path = "bound.json"
    >>> write_document(path, bound_to_document(torta_opt.bound(instance, "lp"), instance))
    >>> round(torta_opt.load_bound(path, instance).value, 4)
    0.1354
    """
    return _read(path, instance, "bound")


def load_schedule(path: Path, instance: Instance) -> Schedule:
    """Read a schedule file.

    Parameters
    ----------
    path
        A schedule file.
    instance
        The instance that the schedule belongs to.

    Returns
    -------
    Schedule
        The schedule as it stands in the file; ``verify`` says whether it keeps the rules.

    Raises
    ------
    InvalidInput
        If the file cannot be read, or belongs to another instance.

    Examples
    --------
    >>> import torta_opt
    >>> instance = torta_opt.generate("small/loading")
    >>> path = "schedule.json"
    >>> torta_opt.save_schedule(torta_opt.solve(instance).schedule, instance, path)
    >>> torta_opt.load_schedule(path, instance).method
    'greedy_forecast'
    """
    return _read(path, instance, "schedule")


def save_schedule(schedule: Schedule, instance: Instance, path: Path) -> None:
    """Write a schedule file.

    Parameters
    ----------
    schedule
        The schedule; it need not keep the rules.
    instance
        The instance that it belongs to.
    path
        The file to write; a name that ends in ``.gz`` is compressed.

    Raises
    ------
    InvalidInput
        If the schedule belongs to another family, or the file cannot be written.

    Examples
    --------
    See ``load_schedule``.
    """
    arguments.check_instance(instance)
    arguments.check_schedule(schedule, instance, "schedule")
    arguments.check_path(path)
    write_document(path, family_of(instance).formats["schedule"].document(schedule, instance))


def bound_to_document(proved: BoundResult, instance: Instance) -> dict[str, Any]:
    """The content of a bound file, as a JSON document. Raises InvalidInput."""
    arguments.check_instance(instance)
    arguments.check_bound(proved)
    return family_of(instance).formats["bound"].document(proved, instance)


def describe(instance: Instance) -> Facts:
    """Describe an instance: size, load, floor and warnings.

    Parameters
    ----------
    instance
        An instance of any family.

    Returns
    -------
    dict
        The document that ``torta-opt describe --json`` prints. ``warnings`` lists values that are
        legal but unusual.

    Raises
    ------
    InvalidInput
        If the argument is not an instance.

    Examples
    --------
    >>> import torta_opt
    >>> facts = torta_opt.describe(torta_opt.generate("small/loading"))
    >>> facts["slots"], facts["regions"], facts["requests"]
    (5, 2, 7)
    """
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
    """Write the program of an instance as an MPS or LP file for another solver, or as LaTeX.

    An MPS or LP file has the rows that the bounds ``lp`` and ``milp`` are computed from. A LaTeX
    file has the same program in symbols: one equation for each family of rows, and a glossary.

    Parameters
    ----------
    instance
        An instance of a family that has a program as arrays.
    path
        The file to write; a name that ends in ``.gz`` is compressed.
    format
        ``"mps"``, ``"lp"`` or ``"latex"``; None means the format that the name of the file says
        (``.tex`` for LaTeX).
    relaxed
        Allow fractions of servers.
    named
        Model every server by itself instead of counting servers by region and type.
    plain
        Leave out integer knapsack rows. The program is then weaker.

    Returns
    -------
    dict
        The size: ``rows``, ``knapsack_rows`` (how many of the rows these are), ``columns``,
        ``integers`` (integer columns) and ``entries`` (nonzeros of the matrix). Of a LaTeX file,
        ``equations`` and ``variables``, the families that it has.

    Raises
    ------
    InvalidInput
        If the family has no such program, or the file cannot be written.

    Examples
    --------
    >>> import torta_opt
    >>> path = "program.mps"
    >>> size = torta_opt.export(torta_opt.generate("small/loading"), path)
    >>> size["rows"], size["columns"], size["integers"]
    (35, 58, 40)
    >>> torta_opt.export(torta_opt.generate("small/loading"), "program.tex")
    {'equations': 14, 'variables': 15}
    """
    arguments.check_instance(instance)
    arguments.check_path(path)
    if format is not None:
        arguments.check_name(format, "format")
    family = family_of(instance)
    name = os.fspath(path)
    if format == LATEX or (format is None and name.removesuffix(".gz").endswith(".tex")):
        text = family.symbolic(instance, relaxed=relaxed, named=named, plain=plain)
        write_bytes(path, text.latex().encode())
        return {"equations": len(text.rows), "variables": len(text.columns)}
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
    """The program of an instance as a Pyomo model, to read and to extend.

    Parameters
    ----------
    instance
        An instance of a family that has a Pyomo model.
    options
        Options of the family's formulation, such as ``named=True`` for allocation.

    Returns
    -------
    pyomo.environ.ConcreteModel
        Its constraints are named by their equation tags in the documentation.

    Raises
    ------
    InvalidInput
        If the family has no Pyomo model.

    Examples
    --------
    >>> import torta_opt
    >>> model = torta_opt.build_model(torta_opt.generate("small/loading"))
    >>> len(model.route), len(model.capacity)
    (3, 4)
    """
    arguments.check_instance(instance)
    return family_of(instance).build_model(instance, **options)


def build_program(instance: Instance, **options: Any) -> Any:
    """The program of an instance as arrays: cost, matrix, sides of rows, bounds of columns, names.

    Parameters
    ----------
    instance
        An instance of a family that has such a program.
    options
        Options of the family's formulation, such as ``named=True`` or ``plain=True`` for
        allocation.

    Returns
    -------
    AllocationProgram
        For allocation: a frozen data class whose ``matrix`` is sparse, of shape (rows, columns).

    Raises
    ------
    InvalidInput
        If the family has no such program.

    Examples
    --------
    >>> import torta_opt
    >>> program = torta_opt.build_program(torta_opt.generate("small/loading"))
    >>> program.matrix.shape, program.column_names[0]
    ((35, 58), 'x[2,east,east,ask]')
    """
    arguments.check_instance(instance)
    return family_of(instance).build_program(instance, **options)


def reweighted(instance: Instance, weights: Path) -> Instance:
    """The same instance with other weights.

    Parameters
    ----------
    instance
        An instance of a family that has weights.
    weights
        ``"paper"``: objective (1) of TORTA (arXiv 2507.10259). ``"xNUMBER"``, such as ``"x0.25"``:
        time, re-routing and expiry cost that many times as much, money spent costs the same.
        Otherwise the path of a weights file.

    Returns
    -------
    Instance
        A new instance; the given one is unchanged.

    Raises
    ------
    InvalidInput
        If the weights cannot be read, or the family has none.

    Examples
    --------
    >>> import torta_opt
    >>> instance = torta_opt.generate("small/loading")
    >>> instance.system.weights.time_usd_per_s
    0.001
    >>> torta_opt.reweighted(instance, "x4").system.weights.time_usd_per_s
    0.004
    """
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
