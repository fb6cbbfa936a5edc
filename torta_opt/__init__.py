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
    from typing import Any

    from torta_opt.allocation.instance import Instance, Weights, load_instance, save_instance
    from torta_opt.allocation.instance.generate import generate
    from torta_opt.allocation.schedule import (
        Schedule,
        evaluate,
        load_schedule,
        save_schedule,
        verify,
    )
    from torta_opt.api import bound, gap, solve

_HOMES = {
    "Instance": "torta_opt.allocation.instance",
    "Schedule": "torta_opt.allocation.schedule",
    "Weights": "torta_opt.allocation.instance",
    "bound": "torta_opt.api",
    "evaluate": "torta_opt.allocation.schedule",
    "gap": "torta_opt.api",
    "generate": "torta_opt.allocation.instance.generate",
    "load_instance": "torta_opt.allocation.instance",
    "load_schedule": "torta_opt.allocation.schedule",
    "save_instance": "torta_opt.allocation.instance",
    "save_schedule": "torta_opt.allocation.schedule",
    "solve": "torta_opt.api",
    "verify": "torta_opt.allocation.schedule",
}

__all__ = [
    "Instance",
    "Schedule",
    "Weights",
    "bound",
    "evaluate",
    "gap",
    "generate",
    "load_instance",
    "load_schedule",
    "save_instance",
    "save_schedule",
    "solve",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
