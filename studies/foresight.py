"""What foresight is worth: bounds with and without it, policies, and slots of perfect foresight.

    make foresight
    python studies/foresight.py --futures 12 --trees 6 --slots 24
    python studies/foresight.py --trace my-trace.json.gz --cases "imported trace"

For every case: the clairvoyant bound and every policy on the same futures of the instance's law of
demand; on the first of them, what scenario trees add to that bound for whoever cannot see ahead,
and a policy with 0, 1, 2 … slots of perfect foresight. Then a long horizon, and what
``foresight_layers`` finds out. Every finished future is a file under ``--folder``: killed and
started again, this computes only what is missing. ``--write`` computes nothing and writes the page
from what there is; the page states the sizes. All of it takes about an hour of processor time, more
than half of that for the long horizon and the layers.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import foresight_layers
import numpy as np
from foreseeing import Foreseeing

import torta_opt
from torta_opt.allocation.foresight.futures import EVALUATION, future_of
from torta_opt.allocation.foresight.nonanticipative import Options, estimate
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.law import law_of
from torta_opt.allocation.policies.experiment import Interval, interval
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.io import InvalidInput, write_document
from torta_opt.parallel import engine

POLICIES = (
    *("round_robin", "skylb", "sdib", "torta_ot", "robd", "greedy_forecast", "lcp", "open_loop"),
)
LONG_POLICIES = ("greedy_forecast", "open_loop")
LAYERS = (("layers", 96, 10), ("told", 480, 30), ("relaxed", 24, 6))  # kind, slots, futures
TRACE, LONG = "imported trace", "Abilene, a long horizon"
AHEAD = (0, 1, 2, 4, 8, 16, 10_000)
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "Abilene": ("paper/abilene", {}),
    "Polska": ("paper/polska", {}),
    "Gabriel": ("paper/gabriel", {}),
    "Cost2": ("paper/cost2", {}),
    "Abilene, surge": ("paper/abilene", {"surges": 1, "surge_slots": 12}),
    "Abilene, outage": ("paper/abilene", {"outages": 1, "outage_slots": 12}),
    LONG: ("paper/abilene", {}),
}


def case(name: str, slots: int, trace: str | None) -> Instance:
    """The instance of a case. Generated with few slots, so that surges and outages lie in them."""
    if name == TRACE:
        if trace is None:
            raise InvalidInput("is missing", field="--trace")
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
    path, sizes = folder / "result.json", sizes_of(name, given)
    if path.exists():
        kept = dict(json.loads(path.read_text()))
        if kept.get("sizes") == sizes:
            return kept
    if write_only:
        return None
    instance = case(name, slots_of(name, given), given.trace)
    say = lambda line: print(f"{name}: {line}", flush=True)  # noqa: E731
    found: dict[str, Any] = {"name": instance.name, "regions": len(instance.system.regions)}
    found |= {"servers": len(instance.system.servers), "slots": instance.slots}
    found |= {"law": law_of(instance).name, "sizes": sizes}
    for way, options, policies in ways_of(name, instance, given):
        say(f"way {way}")
        options = dataclasses.replace(options, folder=folder / way)
        try:
            found[way] = asdict(estimate(instance, options, policies))
        except InvalidInput as error:  # trees need futures with the same outages
            if way == "none":
                raise
            found["no_tree"] = str(error)
    if name != LONG:
        costs = foreseen(instance, given.foreseen, folder, say)
        found["foreseen"] = {ahead: asdict(interval(usd)) for ahead, usd in costs.items()}
    write_document(path, found)
    return found


def sizes_of(name: str, given: argparse.Namespace) -> dict[str, int]:
    """What a result must have been computed with; the page states it."""
    if name == LONG:
        return {"slots": given.long, "futures": given.long_futures}
    names = ("slots", "futures", "trees", "foreseen")
    return {each: getattr(given, each) for each in names}


def slots_of(name: str, given: argparse.Namespace) -> int:
    return int(given.long if name == LONG else given.slots)


def ways_of(
    name: str, instance: Instance, given: argparse.Namespace
) -> list[tuple[str, Options, Sequence[str]]]:
    """What is estimated of a case: a way, how, and the policies beside it."""
    if name == LONG:
        options = Options(given.long_futures, tiers=1, jobs=given.jobs)
        return [("none", options, LONG_POLICIES)]
    options = Options(given.futures, tiers=1, jobs=given.jobs)
    return [("none", options, POLICIES), ("tree", tree_of(instance, given), ())]


def tree_of(instance: Instance, given: argparse.Namespace) -> Options:
    """One tree over the horizon that parts in its first slots, 8 leaves."""
    return Options(given.trees, "tree", block=2, leaves=8, window=instance.slots, jobs=given.jobs)


# --- the page -----------------------------------------------------------------------------------


def page(results: dict[str, dict[str, Any]], given: argparse.Namespace) -> str:
    parts = [HEAD.format(**vars(given))]
    for name, found in results.items():
        parts.append(f"## {name}\n\n{bounds_of(found)}\n{table(found)}")
        if "foreseen" in found:
            parts.append(slots_table(found))
    if missing := [name for name in CASES if name not in results]:
        parts.append(f"Not computed yet at this size: {'; '.join(missing)}.\n")
    if TRACE not in results:
        parts.append(
            "An imported trace: not computed, because no file was given (`--trace FILE`; its law is"
            " fitted to it).\n"
        )
    return "\n".join(parts)


def bounds_of(found: dict[str, Any]) -> str:
    none = found["none"]
    cheapest = min(none["cost"], key=lambda name: none["cost"][name]["mean"])
    beyond, cost = none["beyond"][cheapest], none["cost"][cheapest]["mean"]
    parts = [
        f"`{found['name']}`: {found['regions']} regions, {found['servers']} servers, "
        f"{found['slots']} slots, law "
        f"`{found['law']}`. With the whole future known, a schedule costs at least "
        f"{shown(none['clairvoyant'])} $ (the clairvoyant bound). The cheapest policy, "
        f"`{cheapest}`, costs {shown(beyond)} $ more, "
        f"{100 * beyond['mean'] / cost:.1f} % of its cost."
    ]
    if "tree" in found:
        gain = found["tree"]["foresight"]
        parts.append(
            f"Trees show that no policy without foresight costs less than {shown(gain)} $ above "
            f"the clairvoyant bound on average. So of the distance of `{cheapest}` from that "
            f"bound, between {max(0.0, gain['low']):.2f} and {beyond['high']:.2f} $ is foresight."
        )
    elif "no_tree" in found:
        parts.append(f"No trees: {found['no_tree'].removeprefix('way: ')}.")
    return textwrap.fill(" ".join(parts), 100, break_on_hyphens=False) + "\n"


def table(found: dict[str, Any]) -> str:
    none = found["none"]
    lines = [
        "| policy | mean cost $ | above the clairvoyant bound $ | of its cost |",
        "|---|---|---|---|",
    ]
    for name in sorted(none["cost"], key=lambda name: none["cost"][name]["mean"]):
        cost, beyond = none["cost"][name], none["beyond"][name]
        share = 100 * beyond["mean"] / cost["mean"]
        lines.append(f"| `{name}` | {shown(cost)} | {shown(beyond)} | {share:.0f} % |")
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
policy is from the best schedule in hindsight. In general, no policy
can close all of this distance. Scenario trees ([proof](bounds/nonanticipative.md)) show how much of
it no policy without foresight avoids on average.

Sizes: {slots} slots of 45 s from the initial state of the presets, {futures} futures of the law of
each instance, trees over the first {trees} of them, the last table over the first {foreseen}. All
figures are means over futures, ± half the width of a 95 % interval; differences are paired by
future. They are estimates, not certified. Bounds are those of the merged program with one tier. A
tree spans all slots and has 8 leaves: its futures part in slots 0, 2 and 4. The long horizon has
{long} slots and {long_futures} futures; the last sections state their own sizes.

The last table of each case, except the long horizon, is about a single policy. It plans servers by
the merged program in a window of at least 8 slots. It knows the given number of slots after the
present one as they will come, and forecasts the others. "All" plans up to 48 slots at once, so it
also sees the end of the horizon. "Between" in the text joins the ends of two intervals. The upper
end is that of the policy that is cheapest on these futures, so it is too low more often than that
of a policy chosen beforehand.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/foresight.md"))
    parser.add_argument("--folder", type=Path, default=Path("build/foresight"))
    parser.add_argument("--slots", type=int, default=24)
    parser.add_argument("--futures", type=int, default=12)
    parser.add_argument("--long", type=int, default=480, help="slots of the long horizon")
    parser.add_argument("--long-futures", type=int, default=30)
    for kind, slots, futures in LAYERS:
        parser.add_argument(f"--{kind}-slots", type=int, default=slots)
        parser.add_argument(f"--{kind}-futures", type=int, default=futures)
    parser.add_argument("--trees", type=int, default=6, help="futures for trees")
    parser.add_argument("--foreseen", type=int, default=2, help="futures for slots of foresight")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--backend", default="loky", help="or dask, ray: see docs/scale.md")
    parser.add_argument("--address", help="scheduler of dask or ray; must be one you trust")
    parser.add_argument("--trace", help="an imported instance")
    parser.add_argument("--cases", help="some of them, by name, separated by ';'")
    parser.add_argument("--write", action="store_true", help="compute nothing")
    given = parser.parse_args()
    names = [*CASES, *([TRACE] if given.trace or given.write else [])]
    if given.cases:
        names = [name for name in names if name in given.cases.split(";")]
    with engine(given.backend, given.address, given.jobs):
        results = {name: found for name in names if (found := case_results(name, given))}
        layers = {
            kind: part(
                kind, getattr(given, f"{kind}_slots"), getattr(given, f"{kind}_futures"), given
            )
            for kind in foresight_layers.KINDS
        }
    text = "\n".join([page(results, given), *foresight_layers.sections(layers)])
    given.output.write_text(text, encoding="utf-8")
    return 0


def part(kind: str, slots: int, futures: int, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of ``foresight_layers``."""
    if given.write or given.cases:
        return foresight_layers.kept(kind, slots, futures, given.folder)
    return foresight_layers.computed(kind, slots, futures, given.folder, given.jobs)


def case_results(name: str, given: argparse.Namespace) -> dict[str, Any] | None:
    """What is known of a case, in a folder of its own."""
    key = name.lower().replace(", ", "-").replace(" ", "-")
    folder: Path = given.folder / f"{key}-{slots_of(name, given)}"
    folder.mkdir(parents=True, exist_ok=True)
    return computed(name, given, folder, given.write)


if __name__ == "__main__":
    sys.exit(main())
