"""Write the tables of docs/learned_start.md: what a start is worth to branch and bound.

    python studies/learned_start.py [--per-topology 3] [--tiers 1] [--folder build/learned-start]

Instances are windows of draws that no network was trained on. Every run is kept in ``--folder``:
killed and started again, only what is missing is computed. ``--most 0`` computes nothing.

Time is processor time of the process, in seconds. What a start needs before it can be given to the
solver (solving a relaxation, the network, the repair) counts; a plan that is there already (the
shifted one, the optimum) counts from its repair on.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from pages import write_between

from torta_opt import generate
from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
from torta_opt.allocation.formulations.merged import build_merged_program
from torta_opt.allocation.formulations.program import AllocationProgram
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.learning.start_examples import Examples, window
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.search.coverage import covered
from torta_opt.allocation.search.rounding import DISCOUNTS, round_servers
from torta_opt.allocation.search.server_plan import (
    ServerPlan,
    complete,
    pool_types,
    ready_by_type,
    whole_servers,
)
from torta_opt.allocation.search.start_network import (
    FOLLOWED,
    load_start_network,
    plan_features,
    unit_of,
)
from torta_opt.solvers import Limits, solve_lp, solve_milp

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs" / "learned_start.md"
FAMILIES = ("paper/abilene", "paper/polska", "paper/cost2", "paper/abilene+surge")
SEEDS, SLOTS, WINDOW, SHIFT = 7000, 32, 12, 4
GAP, WALL = 5e-3, 20.0  # of a run; wall-clock seconds are a safeguard
CAP = 5.0  # processor seconds over which the primal integral is taken
KINDS = ("cold", "learned", "covering", "shifted", "rounded", "nearest", "optimum", "adversarial")
NAMES = {
    "cold": "cold",
    "learned": "**learned**",
    "covering": "**covering** (no proposal)",
    "shifted": "shifted",
    "rounded": "rounded LP",
    "nearest": "nearest neighbour",
    "optimum": "known optimum",
    "adversarial": "adversarial",
}


def windows(preset: str, seed: int) -> tuple[Instance, Instance]:
    """A window and the one ``SHIFT`` slots before it."""
    instance = generate(preset, seed, slots=SLOTS)
    schedule = run(create("greedy_forecast"), instance).schedule
    first = int(np.random.default_rng(seed).integers(SHIFT, SLOTS - WINDOW + 1))
    return (
        window(instance, schedule, first, WINDOW),
        window(instance, schedule, first - SHIFT, WINDOW),
    )


def program_of(instance: Instance, tiers: int) -> tuple[AllocationProgram, np.ndarray]:
    """The merged program with knapsack rows, and the types of its pools."""
    merged = build_merged_program(instance, tiers=tiers)
    return with_knapsack_rows(merged.program), pool_types(merged)


def solved(program: AllocationProgram, x: np.ndarray | None = None) -> Any:
    return solve_milp(program.problem(), Limits(seconds=2 * WALL, gap=GAP / 2), start=x)


def plan_of(program: AllocationProgram, kind: np.ndarray, x: np.ndarray) -> ServerPlan:
    """The servers of an answer as a proposal that is followed wherever that is possible."""
    ready = ready_by_type(kind, np.rint(program.values(x)["ready"]), int(kind.max()) + 1)
    return ServerPlan(ready, np.full(ready.shape, 10.0))


class Starts:
    """The starts of one window; each returns a point of the program, or None."""

    def __init__(self, preset: str, seed: int, tiers: int, known: Examples):
        self.instance, self.earlier = windows(preset, seed)
        self.program, self.kind = program_of(self.instance, tiers)
        self.network = load_start_network(self.instance.system)
        self.known = known
        earlier, kind = program_of(self.earlier, tiers)
        self._before = plan_of(earlier, kind, solved(earlier).x).shifted(SHIFT)
        learned = self.learned()
        self.best = solved(self.program, learned)

    def cold(self) -> None:
        return None

    def learned(self) -> np.ndarray | None:
        return self.repaired(self.network.plan(self.instance))

    def covering(self) -> np.ndarray | None:
        """What the repair makes of no proposal at all."""
        plan = self.network.plan(self.instance)
        return self.repaired(ServerPlan(0 * plan.wanted, 0 * plan.gain))

    def shifted(self) -> np.ndarray | None:
        return self.repaired(self._before)

    def rounded(self) -> np.ndarray | None:
        relaxed = solve_lp(self.program.problem().relaxed(), crossover=False)
        servers = round_servers(self.program, relaxed.x, relaxed.row_dual, DISCOUNTS[0])
        return complete(self.program, servers)

    def nearest(self) -> np.ndarray | None:
        """The plan of the training window whose slots look most alike."""
        own = plan_features(self.instance)
        spread = self.known.features.std(axis=0) + 1e-3
        best, plan = np.inf, None
        for number in np.unique(self.known.window):
            rows = self.known.window == number
            if rows.sum() != len(own):
                continue
            far = float((((self.known.features[rows] - own) / spread) ** 2).sum())
            if far < best:
                best, plan = far, rows
        holds, unit = self.instance.system.holds, unit_of(self.instance.system)
        wanted = np.zeros((len(own), *holds.shape))
        gain = np.zeros(wanted.shape)
        wanted[:, holds] = self.known.wanted[plan] * unit
        gain[:, holds] = FOLLOWED * self.known.gain[plan]
        return self.repaired(ServerPlan(wanted, gain))

    def optimum(self) -> np.ndarray:
        return self.best.x

    def adversarial(self) -> np.ndarray | None:
        """Nothing on where the optimum has servers, all on where it has none."""
        best = plan_of(self.program, self.kind, self.best.x)
        size = np.bincount(self.kind, self.program.pools.size)
        worst = np.where(best.wanted > 0, 0.0, size[None, :, None] / 2)
        servers = whole_servers(self.program, self.kind, ServerPlan(worst, best.gain))
        return complete(self.program, servers)

    def repaired(self, plan: ServerPlan) -> np.ndarray | None:
        plan = covered(self.program, self.kind, plan)
        return complete(self.program, whole_servers(self.program, self.kind, plan))


def measured(starts: Starts, kind: str) -> dict[str, Any]:
    """(seconds, incumbent, bound) as they change, from the moment the program is there."""
    program, began = starts.program, time.process_time()
    x = getattr(starts, kind)()
    trace = []
    if x is not None:
        trace.append((time.process_time() - began, program.objective(x), -np.inf))
    start = time.process_time() - began

    def watch(sample: Any) -> None:
        trace.append((time.process_time() - began, sample.incumbent, sample.bound))

    limits = Limits(seconds=WALL, gap=GAP)
    found = solve_milp(program.problem(), limits, start=x, on_progress=watch)
    trace.append((time.process_time() - began, found.objective, found.bound))
    accepted = x is None or found.objective <= program.objective(x) + 1e-6
    assert accepted, "the solver lost its start"
    return {
        "start": start,
        "cost": None if x is None else program.objective(x),
        "best": min(starts.best.objective, found.objective),
        "trace": [[s, _number(a), _number(b)] for s, a, b in trace],
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def judged(row: dict[str, Any], best: float) -> dict[str, float]:
    """Start's distance from the best, primal integral, processor seconds to 1 %."""
    primal, last, integral = 1.0, 0.0, 0.0
    to_best = to_gap = np.inf
    found, bound = np.inf, -np.inf
    for seconds, incumbent, proved in row["trace"]:
        now = min(seconds, CAP)
        integral += primal * (now - last)
        last = now
        found = min(found, np.inf if incumbent is None else incumbent)
        bound = max(bound, -np.inf if proved is None else proved)
        primal = min(1.0, (found - best) / abs(best)) if np.isfinite(found) else 1.0
        if found - best <= 0.01 * abs(best):
            to_best = min(to_best, seconds)
        if np.isfinite(found) and found - bound <= 0.01 * abs(found):
            to_gap = min(to_gap, seconds)
    integral += primal * (CAP - last)
    off = np.nan if row["cost"] is None else (row["cost"] - best) / abs(best)
    return {
        "off": off,
        "start": row["start"],
        "integral": integral,
        "to_best": to_best,
        "to_gap": to_gap,
        "ended": row["trace"][-1][0],
    }


def collect(given: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Rows by window: kind → trace."""
    given.folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[str, Any]] = {}
    known = None
    for n in range(given.per_topology):
        for preset in FAMILIES:
            name = f"{preset.partition('/')[2]}@{SEEDS + n}-{given.tiers}"
            file = given.folder / f"{name}.json"
            if not file.exists() and given.most > 0:
                given.most -= 1
                known = known or Examples(**np.load(given.examples))
                starts = Starts(preset, SEEDS + n, given.tiers, known)
                rows = {kind: measured(starts, kind) for kind in KINDS}
                file.write_text(json.dumps(rows))
                print(name, {k: round(r["trace"][-1][0], 2) for k, r in rows.items()}, flush=True)
            if file.exists():
                found[name] = json.loads(file.read_text())
    return found


def tables(found: dict[str, dict[str, Any]]) -> str:
    """Means over windows, ratios to cold, and one line for each window."""
    rows: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    for runs in found.values():
        best = min(run["best"] for run in runs.values())
        for kind in KINDS:
            rows[kind].append(judged(runs[kind], best))
    cold = rows["cold"]
    lines = [
        f"{len(found)} windows of {WINDOW} slots. Medians; in brackets, on how many windows the "
        "start halves what cold needs, or better.",
        "",
        "| start | ready after | above the best | primal integral | 1 % of the best | gap of 1 % "
        "| ended |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        mine = rows[kind]
        cells = [NAMES[kind], *(_median(mine, cold, name, kind) for name in _FIELDS)]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", _each(found, rows)]
    return "\n".join(lines) + "\n"


_FIELDS = ("start", "off", "integral", "to_best", "to_gap", "ended")
_HALVED = ("integral", "to_best", "to_gap")


def _median(
    mine: list[dict[str, float]], cold: list[dict[str, float]], field: str, kind: str
) -> str:
    values = np.array([row[field] for row in mine])
    if field == "off":
        return "" if kind == "cold" else f"{100 * np.nanmedian(values):.2f} %"
    middle = np.median(values)
    text = f"{middle:.2f} s" if np.isfinite(middle) else "not reached"
    if field not in _HALVED or kind == "cold":
        return text
    halved = sum(
        2 * a[field] <= b[field] and np.isfinite(a[field]) for a, b in zip(mine, cold, strict=True)
    )
    return f"{text} ({halved} of {len(mine)})"


def _each(found: dict[str, Any], rows: dict[str, list[dict[str, float]]]) -> str:
    kinds = ("cold", "learned", "covering", "shifted", "rounded", "nearest")
    lines = [
        "Primal integral and, after the slash, seconds to 1 % of the best, window by window:",
        "",
        "| window | " + " | ".join(NAMES[kind] for kind in kinds) + " | learned start above best |",
        "|---" * (len(kinds) + 2) + "|",
    ]
    for n, name in enumerate(found):
        cells = [
            f"{rows[kind][n]['integral']:.2f} / {rows[kind][n]['to_best']:.2f}" for kind in kinds
        ]
        off = f"{100 * rows['learned'][n]['off']:.2f} %"
        lines.append(f"| {name.rpartition('-')[0]} | " + " | ".join(cells) + f" | {off} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--per-topology", type=int, default=3)
    parser.add_argument("--tiers", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "learned-starts")
    parser.add_argument("--examples", type=Path, default=ROOT / "build" / "start-examples.npz")
    parser.add_argument("--most", type=int, default=1000, help="windows computed in this run")
    given = parser.parse_args()
    text = tables(collect(given))
    print(text)
    write_between(DOCS, "tables", text)


if __name__ == "__main__":
    main()
