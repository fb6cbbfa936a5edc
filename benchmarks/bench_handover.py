"""Building a large program and handing it to HiGHS: the matrix text against the Pyomo text.

    python benchmarks/bench_handover.py [--slots 24 48] [--instance FILE] [--without-appsi]

Every way runs in a process of its own, from the loaded instance to a HiGHS object that holds the
program. Printed: rows, columns, entries; processor seconds of building and of handing over; what
the process grew by at its largest, in MB; seconds as multiples of the first line.

    matrix          sparse blocks, then one passModel
    standard form   Pyomo text, Pyomo's LinearStandardFormCompiler, then one passModel
    appsi           Pyomo text, Pyomo's own interface to HiGHS (appsi_highs)
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ABILENE = Path(__file__).parents[1] / "instances" / "paper" / "abilene.json.gz"
HEAD = "slots  way               rows  columns   entries  build s  hand s  total s      MB    ratio"


def by_matrix(instance: Any) -> tuple[Any, float]:
    from torta_opt.formulations.allocation_matrix import build_allocation_program
    from torta_opt.solvers.loading import load

    program = build_allocation_program(instance)
    built = time.process_time()
    return load(program.problem(), 1.0), built


def by_standard_form(instance: Any) -> tuple[Any, float]:
    from torta_opt.formulations.allocation import build_allocation_model
    from torta_opt.solvers.loading import load
    from torta_opt.solvers.pyomo_bridge import from_pyomo

    model = build_allocation_model(instance)
    built = time.process_time()
    return load(from_pyomo(model)[0], 1.0), built


def by_appsi(instance: Any) -> tuple[Any, float]:
    from pyomo.contrib.appsi.solvers.highs import Highs

    from torta_opt.formulations.allocation import build_allocation_model

    model = build_allocation_model(instance)
    built = time.process_time()
    interface = Highs()
    interface.set_instance(model)
    return interface._solver_model, built


WAYS: dict[str, Callable[[Any], tuple[Any, float]]] = {
    "matrix": by_matrix,
    "standard form": by_standard_form,
    "appsi": by_appsi,
}


def measure(way: str, path: str, slots: int) -> dict[str, float]:
    """Run in a fresh process; imports are over before the clock starts."""
    import torta_opt.formulations.allocation
    import torta_opt.formulations.allocation_matrix
    import torta_opt.solvers.pyomo_bridge  # noqa: F401
    from torta_opt.instance import load_instance

    instance = load_instance(path).cut(0, slots)
    before, began = _peak_mb(), time.process_time()
    highs, built = WAYS[way](instance)
    ended = time.process_time()
    return {
        "rows": highs.getNumRow(),
        "columns": highs.getNumCol(),
        "entries": highs.getNumNz(),
        "build": built - began,
        "hand": ended - built,
        "mb": _peak_mb() - before,
    }


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--instance", type=Path, default=ABILENE)
    parser.add_argument("--slots", type=int, nargs="+", default=[24, 48])
    parser.add_argument("--without-appsi", action="store_true")
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(measure(chosen.one, str(chosen.instance), chosen.slots[0])))
        return
    print(HEAD)
    for slots in chosen.slots:
        first = None
        for way in WAYS:
            if way == "appsi" and chosen.without_appsi:
                continue
            command = [sys.executable, __file__, "--one", way, "--slots", str(slots)]
            command += ["--instance", str(chosen.instance)]
            found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
            total = found["build"] + found["hand"]
            first = first or total
            print(
                f"{slots:5d}  {way:14s} {found['rows']:7d} {found['columns']:8d}"
                f" {found['entries']:9d} {found['build']:8.2f} {found['hand']:7.2f} {total:8.2f}"
                f" {found['mb']:7.0f} {total / first:8.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
