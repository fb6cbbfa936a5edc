"""Versions, solvers and threads of this machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from pathlib import Path
from typing import Any

from torta_opt import __version__

_CPUS = Path("/proc/cpuinfo")
# Packages by what they are for; the distribution name is what pip knows.
_PACKAGES = {
    "highspy": "linear and mixed-integer programs (HiGHS)",
    "highspy-extras": "interior point for large programs (HiPO)",
    "clarabel": "conic programs",
    "cvxpy": "programs as text, vectorised",
    "pyomo": "programs as text, indexed",
    "POT": "optimal transport",
    "torch": "learning",
    "numpy": "arrays",
    "scipy": "sparse matrices",
    "topohub": "topologies",
}


def environment() -> dict[str, Any]:
    """Versions of everything that matters to a result; None for a package that is missing."""
    return {"torta_opt": __version__, **machine(), "highs": _highs()}


def machine() -> dict[str, Any]:
    """Python, the machine and the packages, of which none is loaded."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "threads": _threads(),
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def environment_rows(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(what, version, what for) for a table."""
    rows = [
        ("torta-opt", found["torta_opt"], ""),
        ("python", found["python"], found["platform"]),
        ("threads", str(found["threads"]), "processor cores this process may use"),
        ("HiGHS", found["highs"] or "does not work", "solves a program of one row"),
    ]
    for name, version in found["packages"].items():
        rows.append((name, version or "missing", _PACKAGES[name]))
    return rows


def is_complete(found: dict[str, Any]) -> bool:
    return found["highs"] is not None and None not in found["packages"].values()


def _processor() -> str:
    """Its model where Linux tells it, else its architecture."""
    try:
        for line in _CPUS.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def _threads() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _highs() -> str | None:
    """Version of HiGHS, if it solves min x, x ≥ 1."""
    try:
        import highspy
    except ImportError:
        return None
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    variable = solver.addVariable(lb=1.0)
    solver.minimize(variable)
    return solver.version() if solver.getObjectiveValue() == 1.0 else None
