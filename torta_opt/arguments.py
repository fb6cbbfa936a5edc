"""Arguments of the public functions, checked before any work: one plain line each.

A wrong one raises InvalidInput that names the argument and the rule, in the words of the command
line, whatever kind of instance it came with.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torta_opt import families
from torta_opt.io.errors import InvalidInput
from torta_opt.results import BoundResult

MOST_SHOWN = 60  # characters of what was found


def check_instance(instance: Any) -> None:
    """An instance of any family; the error for a path names the function that reads it."""
    if any(isinstance(instance, family.instance_type) for family in families.every()):
        return
    hint = "; open_instance reads a file" if isinstance(instance, str | os.PathLike) else ""
    raise _wrong("instance", f"must be an instance{hint}", instance)


def check_solve(
    instance: Any,
    method: Any,
    seed: Any,
    watch: Any,
    limits: Any,
    start: Any,
    constraints: Any,
    solver_watch: Any,
) -> None:
    """All arguments of ``solve``."""
    check_instance(instance)
    check_name(method)
    check_seed(seed)
    check_callable(watch, "watch")
    check_limits(limits)
    if start is not None:
        check_schedule(start, instance, "start")
    check_constraints(constraints, instance)
    check_callable(solver_watch, "solver_watch")


def check_bound_call(
    instance: Any, method: Any, limits: Any, constraints: Any, solver_watch: Any
) -> None:
    """All arguments of ``bound``."""
    check_instance(instance)
    check_name(method)
    check_limits(limits)
    check_constraints(constraints, instance)
    check_callable(solver_watch, "solver_watch")


def check_path(path: Any, name: str = "path") -> None:
    if not isinstance(path, str | os.PathLike):
        raise _wrong(name, "must be the path of a file", path)


def check_name(method: Any, name: str = "method") -> None:
    if not isinstance(method, str):
        raise _wrong(name, "must be a name", method)


def names_of(policies: Any, name: str = "policies") -> list[str]:
    """A list of names; one name alone stands for itself, as on the command line."""
    if isinstance(policies, str):
        return [policies]
    if not isinstance(policies, Iterable) or isinstance(policies, Mapping):
        raise _wrong(name, "must be a list of names", policies)
    listed = list(policies)
    for each in listed:
        if not isinstance(each, str):
            raise _wrong(name, "must be a list of names", each)
    return listed


def check_seed(seed: Any) -> None:
    try:
        is_whole = not isinstance(seed, bool) and operator.index(seed) >= 0
    except TypeError:
        is_whole = False
    if not is_whole:
        raise _wrong("seed", "must be a whole number, at least 0", seed)


def check_jobs(jobs: Any) -> None:
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 0:
        raise _wrong("jobs", "must be a whole number, at least 0", jobs)


def check_limits(limits: Any) -> None:
    if limits is None:
        return
    from torta_opt.solvers.problem import Limits

    if not isinstance(limits, Limits):
        raise _wrong("limits", "must be torta_opt.solvers.Limits, as in Limits(seconds=60)", limits)


def check_schedule(schedule: Any, instance: Any, name: str) -> None:
    """A schedule of the instance's kind; the error for a ``Result`` names its field."""
    kind = families.family_of(instance).schedule_type
    if isinstance(schedule, kind):
        return
    hint = ""
    if isinstance(getattr(schedule, "schedule", None), kind):
        hint = "; pass its .schedule"
    elif isinstance(schedule, str | os.PathLike):
        hint = "; load_schedule reads a file"
    raise _wrong(name, f"must be a schedule of the instance{hint}", schedule)


def check_schedules(schedules: Any, instance: Any) -> None:
    """Schedules by name."""
    if schedules is None:
        return
    if not isinstance(schedules, Mapping):
        raise _wrong("schedules", "must be a dict of schedules by name", schedules)
    for name, schedule in schedules.items():
        check_name(name, "schedules")
        check_schedule(schedule, instance, f"schedules[{name!r:.60}]")


def check_constraints(constraints: Any, instance: Any) -> None:
    if isinstance(constraints, tuple | list) and not constraints:
        return
    family = families.family_of(instance)
    kind = family.constraint_type
    if kind is None:
        rule = f"must be left out: {family.name} instances take none"
        raise _wrong("constraints", rule, constraints)
    rule = f"must be a list of {kind.__name__}"
    if not isinstance(constraints, Sequence) or isinstance(constraints, str):
        raise _wrong("constraints", rule, constraints)
    for each in constraints:
        if not isinstance(each, kind):
            raise _wrong("constraints", rule, each)


def check_bound(proved: Any, name: str = "proved") -> None:
    if not isinstance(proved, BoundResult):
        raise _wrong(name, "must be a bound, as bound and load_bound return it", proved)


def check_callable(function: Any, name: str) -> None:
    if function is not None and not callable(function):
        raise _wrong(name, "must be a function", function)


def _wrong(name: str, rule: str, found: Any) -> InvalidInput:
    what = repr(found) if isinstance(found, str | int | float | None) else type(found).__name__
    return InvalidInput(f"{rule}, found {what:.{MOST_SHOWN}}", field=name)
