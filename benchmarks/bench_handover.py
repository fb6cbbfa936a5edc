"""Building a large program and loading it into HiGHS: the sparse matrix against Pyomo and linopy.

    python benchmarks/bench_handover.py [--slots 24 48 216] [--instance FILE] [--without-appsi]

Each way runs in a separate process, from the loaded instance to a HiGHS object that holds the
program. Columns: rows, columns and entries of the matrix; processor seconds of building and of
loading; peak growth of the process in MB; total seconds relative to the first row. The ways are
``matrix`` (sparse blocks, one passModel), ``standard form`` (Pyomo, its
LinearStandardFormCompiler, one passModel), ``appsi`` (Pyomo with its own interface to HiGHS) and
``linopy`` (optional; linopy with its own interface to HiGHS).

linopy is given an advantage: column bounds, costs, right-hand sides and the masks of its columns
and rows are taken from the matrix program before its clock starts; coefficients and sums are its
own. It is installed only by ``pip install -c constraints.txt -e '.[bench]'``; without it the
others run. The first line of output compares the ways: each must find the same optimum of the
relaxation of two slots. 216 slots of paper/abilene are 500,000 columns.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

ABILENE = Path(__file__).parents[1] / "instances" / "paper" / "abilene.json.gz"
CHECKED = 2  # slots of the program whose optimum every way must find
SAME = 1e-6  # relative difference of optima that counts as none
HEAD = "slots  way               rows  columns   entries  build s  hand s  total s      MB    ratio"


def by_matrix(instance: Any) -> tuple[Any, float]:
    from torta_opt.allocation.formulations.matrix import build_allocation_program
    from torta_opt.solvers.loading import load

    program = build_allocation_program(instance)
    built = time.process_time()
    return load(program.problem(), 1.0), built


def by_standard_form(instance: Any) -> tuple[Any, float]:
    from torta_opt.allocation.formulations.pyomo_model import build_allocation_model
    from torta_opt.solvers.loading import load
    from torta_opt.solvers.pyomo_bridge import from_pyomo

    model = build_allocation_model(instance)
    built = time.process_time()
    return load(from_pyomo(model)[0], 1.0), built


def by_appsi(instance: Any) -> tuple[Any, float]:
    from pyomo.contrib.appsi.solvers.highs import Highs

    from torta_opt.allocation.formulations.pyomo_model import build_allocation_model

    model = build_allocation_model(instance)
    built = time.process_time()
    interface = Highs()
    interface.set_instance(model)
    return interface._solver_model, built


def by_linopy(program: Any) -> tuple[Any, float]:
    model = linopy_model(program)
    built = time.process_time()
    return model.to_highspy(), built


WAYS: dict[str, Callable[[Any], tuple[Any, float]]] = {
    "matrix": by_matrix,
    "standard form": by_standard_form,
    "appsi": by_appsi,
    "linopy": by_linopy,
}


# --- the allocation program in linopy -----------------------------------------------------------


def linopy_model(program: Any) -> Any:
    """The program of ``pyomo_model.py``; bounds, costs, right sides and masks are given."""
    import linopy

    linopy.options["semantics"] = "v1"  # which the sparse models need
    model = linopy.Model(sparse=True)
    columns, terms = {}, []
    for name, family in program.columns.items():
        if not len(family) and name in ("moved", "rise", "fall"):
            continue  # nor are there the rows that read them
        whole = bool(program.integer[family.numbers].any())
        upper = _cells(program.upper, family)
        column = model.add_variables(0, upper, mask=_mask(family), integer=whole, name=name)
        columns[name] = column
        cost = _cells(program.cost, family)
        if cost.any():
            terms.append((column * cost).sum())
    model.add_objective(sum(terms[1:], terms[0]))
    left = LeftSides(program, columns)
    for name, family in program.rows.items():
        if not len(family):
            continue
        right = _cells(program.row_upper, family)
        is_equation = program.row_lower[family.first] == program.row_upper[family.first]
        sign = "=" if is_equation else "<="
        model.add_constraints(getattr(left, name)(), sign, right, mask=_mask(family), name=name)
    return model


class LeftSides:
    """Left sides of the rows in linopy: a method by the name of the row, for all its cells."""

    def __init__(self, program: Any, columns: dict[str, Any]) -> None:
        self.instance, self.limits, self.pools = (
            program.instance,
            program.column_bounds,
            program.pools,
        )
        self.columns = columns
        before = self.instance.initial.routing.sum(axis=1)
        self.arrivals = np.array([before, *self.instance.arrivals.sum(axis=2)])  # from slot −1
        self.slot = np.arange(self.instance.slots)
        self.deadline_slots = self.instance.system.deadline_slots
        self.class_model = self.instance.system.class_model
        self.loading_slots = {"start": self.pools.start_slots, "enter": self.pools.switch_slots}
        self.usable_ms = {"start": self.pools.start_usable_ms, "enter": self.pools.switch_usable_ms}

    def route(self) -> Any:
        return self.columns["x"].sum("j").rename(i="j")

    def gather(self) -> Any:
        return self._at("inflow") - self.columns["x"].sum("i")

    def queue(self) -> Any:
        region = _array(self.pools.region, "p").rename("j")
        served = _grouped(self.columns["z"], region, len(self.instance.system.regions))
        return self._at("q") - self._at("q", 1) - self._at("inflow") + self._at("expired") + served

    def deadline(self) -> Any:
        ages = range(min(int(self.deadline_slots.max()), len(self.slot)))
        came = sum(
            self._at("inflow", age) * _array(1 * (age < self.deadline_slots), "c") for age in ages
        )
        return self._at("q") - came

    def aging(self) -> Any:
        ages = range(1, min(int(self.deadline_slots.max()) + 1, len(self.slot)))
        is_due = {age: _array(1 * (age <= self.deadline_slots), "c") for age in ages}
        not_last = _array(1 * (self.slot < self.slot[-1]), "t")
        expired = self._at("expired") * not_last
        return sum(expired.shift(t=-age).fillna(0) * is_due[age] for age in ages) - self._at("q")

    def off_flow(self) -> Any:
        stopped = self.columns["stop"].sum("m").shift(t=1).fillna(0)
        before = (self._at("off", 1) + stopped) * self._uncut(1)
        return self._at("off") + self.columns["start"].sum("m") - before

    def ready_flow(self) -> Any:
        before = self._at("ready", 1) * self._uncut(1)
        for name, slots in self.loading_slots.items():
            before = before + self._loaded(name, 0, np.ones(slots.shape), "m")
        return self._at("ready") + self._at("stop") + self._at("leave") - before

    def switch_flow(self) -> Any:
        return self.columns["leave"].sum("m") - self.columns["enter"].sum("m")

    def capacity(self) -> Any:
        model = _array(self.class_model, "c").rename("m")
        work = self.columns["z"] * _array(self.pools.work_ms, "p", "c")
        usable = self._at("ready") * self.instance.system.slot_ms
        for name, ms in self.usable_ms.items():
            usable = usable + self._loaded(name, 1, ms, "m")
        return _grouped(work, model, len(self.instance.system.models)) - usable

    def fit(self) -> Any:
        work = self.pools.work_ms
        most = self._by_class(self._at("ready")) * _array(self.pools.per_slot, "p", "c")
        for name, ms in self.usable_ms.items():
            fits = np.where(work > 0, ms[:, self.class_model] // np.maximum(work, 1), 0)
            most = most + self._loaded(name, 1, fits, "c")
        return self._at("z") - most

    def hot_served(self) -> Any:
        return self._at("hot") - self._at("z")

    def reuse(self) -> Any:
        most, of = (_array(self.limits.reuse[..., n], "p", "c") for n in (0, 1))
        return self._at("hot") * of - self._at("z", 1) * most

    def reroute(self) -> Any:
        fewer = np.minimum(self.arrivals[1:], self.arrivals[:-1])
        return self._gained(fewer) - self._at("moved")

    def change(self) -> Any:
        return self._gained(1.0) - self._at("rise").sum("k") + self._at("fall").sum("k")

    def _at(self, name: str, ago: int = 0) -> Any:
        """The columns of a family some slots ago; 0 where there is none."""
        column = self.columns[name]
        return (column.shift(t=ago) if ago else column).fillna(0)

    def _uncut(self, ago: int) -> Any:
        """(t,p) no outage in the slots from then until now."""
        return _array(self.slot[:, None] - ago >= self.pools.up_since, "t", "p")

    def _by_class(self, servers: Any) -> Any:
        """[t,p,m] read at m(c), the model of a class."""
        return servers.sel(m=_array(self.class_model, "c")).drop_vars("m")

    def _loaded(self, name: str, early: int, coefficient: np.ndarray, axis: str) -> Any:
        """Loadings begun as many slots ago as they take, less ``early``, times a coefficient."""
        slots, total = self.loading_slots[name], 0
        for each in np.unique(slots[slots > 0]).tolist():
            begun = self._at(name, each - early) * self._uncut(each - early)
            takes = slots == each
            if axis == "c":
                begun, takes = self._by_class(begun), takes[:, self.class_model]
            total = total + begun * _array(takes * coefficient, "p", axis)
        return total

    def _gained(self, scale: Any) -> Any:
        """What the shares of a slot gain on those of the slot before, times a scale."""
        total = np.maximum(self.arrivals, 1)
        now, then = (_array(scale / part, "t", "i") for part in (total[1:], total[:-1]))
        routed = self.columns["x"].sum("c")
        return routed * now - routed.shift(t=1).fillna(0) * then


def _grouped(left: Any, by: Any, size: int) -> Any:
    return left.groupby(by).sum().reindex({by.name: np.arange(size)}).fillna(0)


def _axes(name: str) -> str:
    """t slot, i origin, j region, p pool, m model, c class, k segment: no axis twice."""
    from torta_opt.allocation.formulations.program import AXES

    return AXES[name].replace("rr", "ij").replace("r", "j")


def _array(values: np.ndarray, *axes: str) -> Any:
    import xarray

    numbers = {axis: np.arange(size) for axis, size in zip(axes, values.shape, strict=True)}
    return xarray.DataArray(values, numbers, axes)


def _cells(vector: np.ndarray, family: Any) -> Any:
    dense = np.zeros(family.number.shape)
    dense[tuple(family.index.T)] = vector[family.numbers]
    return _array(dense, *_axes(family.name))


def _mask(family: Any) -> Any:
    return _array(family.number >= 0, *_axes(family.name))


# --- measuring ----------------------------------------------------------------------------------


def measure(way: str, path: str, slots: int, solve: bool) -> dict[str, float]:
    """Run in a fresh process; imports and a first run on two slots come before the clock starts."""
    import torta_opt.allocation.formulations.pyomo_model
    import torta_opt.solvers.pyomo_bridge  # noqa: F401
    from torta_opt.allocation.formulations.matrix import build_allocation_program
    from torta_opt.allocation.instance import load_instance

    whole = load_instance(path)
    little, data = whole.cut(0, CHECKED), whole.cut(0, slots)
    if way == "linopy":
        with ProcessPoolExecutor(1) as pool:  # elsewhere: what they take is not counted
            little, data = pool.map(build_allocation_program, (little, data))
    WAYS[way](little)
    before, began = _peak_mb(), time.process_time()
    highs, built = WAYS[way](data)
    ended = time.process_time()
    if solve:
        return {"optimum": _relaxed_optimum(highs)}
    return {
        "rows": highs.getNumRow(),
        "columns": highs.getNumCol(),
        "entries": highs.getNumNz(),
        "build": built - began,
        "hand": ended - built,
        "mb": _peak_mb() - before,
    }


def _relaxed_optimum(highs: Any) -> float:
    exact = {"primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9}
    for name, value in {"log_to_console": False, "solve_relaxation": True, **exact}.items():
        highs.setOptionValue(name, value)
    highs.run()
    return highs.getInfo().objective_function_value


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _found(way: str, instance: Path, slots: int, *options: str) -> dict[str, float]:
    """What ``measure`` finds in a process of its own."""
    command = [sys.executable, __file__, "--one", way, "--slots", str(slots), *options]
    command += ["--instance", str(instance)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _ways(without_appsi: bool) -> list[str]:
    ways = [way for way in WAYS if way != "appsi" or not without_appsi]
    if importlib.util.find_spec("linopy") is None:
        print("linopy is not installed and left out: pip install -c constraints.txt -e '.[bench]'")
        ways.remove("linopy")
    return ways


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--instance", type=Path, default=ABILENE)
    parser.add_argument("--slots", type=int, nargs="+", default=[24, 48, 216])
    parser.add_argument("--without-appsi", action="store_true")
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--solve", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        found = measure(chosen.one, str(chosen.instance), chosen.slots[0], chosen.solve)
        print(json.dumps(found))
        return
    ways = _ways(chosen.without_appsi)
    optimum = {way: _found(way, chosen.instance, CHECKED, "--solve")["optimum"] for way in ways}
    print(f"optimum of {CHECKED} slots:", ", ".join(f"{way} {x:.9g}" for way, x in optimum.items()))
    if max(optimum.values()) - min(optimum.values()) > SAME * abs(optimum["matrix"]):
        sys.exit("the ways disagree")
    print(HEAD)
    for slots in chosen.slots:
        first = None
        for way in ways:
            found = _found(way, chosen.instance, slots)
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
