"""Write docs/foresight.md: how much of each policy's gap is foresight.

    python studies/foresight.py [-o docs/foresight.md] [--slots 48] [--futures 8] [--jobs 1]

For the four topologies, a surge, an outage and, where ``--trace`` names an instance file, an
imported one: the bound for those who know the future, the bound for policies that cannot see ahead,
every policy, and how the cost falls with slots of perfect foresight. Every finished future is a
file under ``--folder``: killed and started again, this computes only what is missing. ``--write``
computes nothing and writes the page from what there is; the page states the sizes.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from foreseeing import Foreseeing

import torta_opt
from torta_opt.allocation.foresight.futures import EVALUATION, future_of
from torta_opt.allocation.foresight.nonanticipative import Estimate, Options, estimate
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.law import law_of
from torta_opt.allocation.policies.experiment import Interval, interval
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.io import write_document
from torta_opt.parallel import engine

POLICIES = ("round_robin", "skylb", "sdib", "torta_ot", "robd", "greedy_forecast", "lcp")
AHEAD = (0, 1, 2, 4, 8, 16, 10_000)
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "Abilene": ("paper/abilene", {}),
    "Polska": ("paper/polska", {}),
    "Gabriel": ("paper/gabriel", {}),
    "Cost2": ("paper/cost2", {}),
    "Abilene, surge": ("paper/abilene", {"surges": 1, "surge_slots": 12}),
    "Abilene, outage": ("paper/abilene", {"outages": 1, "outage_slots": 12}),
}


def case(name: str, slots: int, trace: str | None) -> Instance:
    """The instance of a case. Generated with few slots, so that surges and outages lie in them."""
    if name not in CASES:
        assert trace is not None
        instance = torta_opt.open_instance(trace)
        return instance if instance.slots <= slots else instance.cut(0, slots)
    preset, parameters = CASES[name]
    return torta_opt.generate(preset, seed=0, slots=slots, **parameters)


# --- perfect foresight of some slots ------------------------------------------------------------


def foreseen(instance: Instance, futures: int, folder: Path, watch: Any) -> dict[str, list[float]]:
    """Cost on each future by slots of foresight; kept in one file."""
    path = folder / "foreseen.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    law = law_of(instance)
    for number in range(futures):
        future = future_of(law, instance, 0, number, EVALUATION)
        for ahead in AHEAD:
            costs = kept.setdefault(str(ahead), [])
            if len(costs) > number:
                continue
            schedule = run(Foreseeing(future, ahead), future).schedule
            verify(future, schedule).raise_if_broken(f"foreseeing-{ahead}")
            costs.append(evaluate(future, schedule).cost)
            folder.mkdir(parents=True, exist_ok=True)
            write_document(path, kept)
        watch(f"foresight of some slots, future {number + 1} of {futures}")
    return kept


# --- results ------------------------------------------------------------------------------------


def computed(
    name: str, given: argparse.Namespace, folder: Path, write_only: bool
) -> dict[str, Any] | None:
    """Everything about one case, from its file if it is complete there; None if it is not."""
    path = folder / "result.json"
    if path.exists():
        return dict(json.loads(path.read_text()))
    if write_only:
        return None
    instance = case(name, given.slots, given.trace)
    found: dict[str, Any] = {}
    for way in ("none", "penalty"):
        options = Options(given.futures, way=way, tiers=1, folder=folder / way, jobs=given.jobs)
        print(f"{name}: {way}", flush=True)
        found[way] = as_document(estimate(instance, options, POLICIES))
    say = lambda line: print(f"{name}: {line}", flush=True)  # noqa: E731
    costs = foreseen(instance, given.foreseen, folder, say)
    found["foreseen"] = {ahead: asdict(interval(usd)) for ahead, usd in costs.items()}
    found["regions"], found["servers"] = len(instance.system.regions), len(instance.system.servers)
    write_document(path, found)
    return found


def as_document(found: Estimate) -> dict[str, Any]:
    return asdict(found)


# --- the page -----------------------------------------------------------------------------------


def page(results: dict[str, dict[str, Any]], given: argparse.Namespace) -> str:
    parts = [HEAD.format(slots=given.slots, futures=given.futures, foreseen=given.foreseen)]
    for name, found in results.items():
        parts.append(f"## {name}\n\n{bounds_of(found)}\n{table(found)}\n{slots_table(found)}")
    if missing := [name for name in CASES if name not in results]:
        parts.append(f"Not computed yet at this size: {'; '.join(missing)}.\n")
    return "\n".join(parts)


def bounds_of(found: dict[str, Any]) -> str:
    none, penalty = found["none"], found["penalty"]
    cheapest = min(none["cost"], key=lambda name: none["cost"][name]["mean"])
    gain, most = penalty["foresight"], none["beyond"][cheapest]
    bracket = penalty["difference"][cheapest]
    cost = none["cost"][cheapest]["mean"]
    return (
        f"{found['regions']} regions, {found['servers']} servers. Who knows the future pays at "
        f"least {shown(none['clairvoyant'])} $, who does not at least {shown(penalty['value'])} $ "
        f"({shown(gain)} $ more). The cheapest policy, `{cheapest}`, is {shown(bracket)} $ above "
        f"that, {100 * bracket['mean'] / cost:.1f} % of its cost. So of its distance from the "
        f"clairvoyant bound, {shown(most)} $, foresight is between "
        f"{max(0.0, gain['low']):.2f} and {most['high']:.2f} $.\n"
    )


def table(found: dict[str, Any]) -> str:
    none, penalty = found["none"], found["penalty"]
    lines = [
        "| policy | mean cost $ | above the bound without foresight $ "
        "| above the clairvoyant bound $ |",
        "|---|---|---|---|",
    ]
    for name in sorted(none["cost"], key=lambda name: none["cost"][name]["mean"]):
        cells = (none["cost"][name], penalty["difference"][name], none["beyond"][name])
        lines.append(f"| `{name}` | {' | '.join(map(shown, cells))} |")
    return "\n".join(lines) + "\n"


def slots_table(found: dict[str, Any]) -> str:
    costs = found["foreseen"]
    titles = [ahead if int(ahead) < 10_000 else "all" for ahead in costs]
    cells = [f"{each['mean']:.2f}" for each in costs.values()]
    return (
        f"| slots of perfect foresight | {' | '.join(titles)} |\n"
        f"|---|{'---|' * len(titles)}\n"
        f"| mean cost $ | {' | '.join(cells)} |\n"
    )


def shown(found: dict[str, Any] | Interval) -> str:
    each = found if isinstance(found, dict) else asdict(found)
    half = (each["high"] - each["low"]) / 2
    return f"{each['mean']:.2f} ± {half:.2f}" if np.isfinite(half) else f"{each['mean']:.2f}"


HEAD = """# What foresight is worth

Written by `make foresight` (`studies/foresight.py`). A bound that knows the future says how far a
policy is from the best schedule in hindsight. No policy can have all of that. The bound for
policies that cannot see ahead ([proof](bounds/nonanticipative.md)) says what none of them beats on
average. What a policy costs above it is the most that it could save without foresight, on average.

Sizes: {slots} slots of 45 s from the initial state of the presets, {futures} futures of the law of
each instance, the last table over the first {foreseen} of them. All figures are means over futures,
± half the width of a 95 % interval; differences are paired by future. They are estimates, not
certified. Bounds are those of the merged program with one tier; the one without foresight is
`--way penalty`. The last table of each case is about one policy: it plans servers by the merged
program in a window of at least 8 slots, of which the given number after the present one is known
as it will come, the rest forecast; "all" plans up to 48 slots at once, and so sees the end too.
"Foresight is between" joins the ends of two such intervals. The upper end is that of the policy
that is cheapest on these futures, so it is too low more often than for one chosen before.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/foresight.md"))
    parser.add_argument("--folder", type=Path, default=Path("build/foresight"))
    parser.add_argument("--slots", type=int, default=48)
    parser.add_argument("--futures", type=int, default=8)
    parser.add_argument("--foreseen", type=int, default=4, help="futures for slots of foresight")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--backend", default="loky", help="or dask, ray: see docs/scale.md")
    parser.add_argument("--address", help="scheduler of dask or ray; must be one you trust")
    parser.add_argument("--trace", help="an imported instance")
    parser.add_argument("--cases", help="some of them, by name, separated by ';'")
    parser.add_argument("--write", action="store_true", help="compute nothing")
    given = parser.parse_args()
    names = [*CASES, *(["imported trace"] if given.trace else [])]
    if given.cases:
        names = [name for name in names if name in given.cases.split(";")]
    with engine(given.backend, given.address, given.jobs):
        results = {name: found for name in names if (found := case_results(name, given))}
    given.output.write_text(page(results, given), encoding="utf-8")
    return 0


def case_results(name: str, given: argparse.Namespace) -> dict[str, Any] | None:
    """What is known of a case, in a folder of its own."""
    key = name.lower().replace(", ", "-").replace(" ", "-")
    folder: Path = given.folder / f"{key}-{given.slots}"
    folder.mkdir(parents=True, exist_ok=True)
    return computed(name, given, folder, given.write)


if __name__ == "__main__":
    sys.exit(main())
