"""Proven optimality gaps for geo-distributed GPU-inference scheduling.

    >>> import torta_opt
    >>> instance = torta_opt.generate("small/loading")
    >>> report = torta_opt.gap(instance, policies=["greedy_forecast"])
    >>> report.results[0].feasible
    True

Everything below is loaded when it is first used: ``import torta_opt`` alone costs next to nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers read it; typing itself is not loaded

__version__ = "0.1.0"

if TYPE_CHECKING:
    from torta_opt.allocation.formulations.user_constraint import UserConstraint
    from torta_opt.allocation.instance.data import Instance, Weights
    from torta_opt.allocation.schedule.data import Schedule
    from torta_opt.api import (
        bound,
        build_model,
        build_program,
        describe,
        evaluate,
        export,
        load_bound,
        load_schedule,
        open_instance,
        reweighted,
        save_instance,
        save_schedule,
        solve,
        verify,
        verify_file,
    )
    from torta_opt.families import generate
    from torta_opt.gaps import gap
    from torta_opt.io.errors import Infeasible, InvalidInput, LimitReached, VerificationFailed
    from torta_opt.results import BoundResult, GapReport, Result
    from torta_opt.solvers.problem import Limits

_HOMES = {
    "BoundResult": "results",
    "GapReport": "results",
    "Infeasible": "io.errors",
    "Instance": "allocation.instance.data",
    "InvalidInput": "io.errors",
    "LimitReached": "io.errors",
    "Limits": "solvers.problem",
    "Result": "results",
    "Schedule": "allocation.schedule.data",
    "UserConstraint": "allocation.formulations.user_constraint",
    "VerificationFailed": "io.errors",
    "Weights": "allocation.instance.data",
    "bound": "api",
    "build_model": "api",
    "build_program": "api",
    "describe": "api",
    "evaluate": "api",
    "export": "api",
    "gap": "gaps",
    "generate": "families",
    "load_bound": "api",
    "load_schedule": "api",
    "open_instance": "api",
    "reweighted": "api",
    "save_instance": "api",
    "save_schedule": "api",
    "solve": "api",
    "verify": "api",
    "verify_file": "api",
}
_FORMER = {"load_instance": "open_instance"}  # names of before, for one release

__all__ = [
    "BoundResult",
    "GapReport",
    "Infeasible",
    "Instance",
    "InvalidInput",
    "LimitReached",
    "Limits",
    "Result",
    "Schedule",
    "UserConstraint",
    "VerificationFailed",
    "Weights",
    "bound",
    "build_model",
    "build_program",
    "describe",
    "evaluate",
    "export",
    "gap",
    "generate",
    "load_bound",
    "load_schedule",
    "open_instance",
    "reweighted",
    "save_instance",
    "save_schedule",
    "solve",
    "verify",
    "verify_file",
]


def __getattr__(name: str) -> object:
    name = _FORMER.get(name, name)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
