"""Is the rest foresight, or ours to have? One layer at a time swapped, on the same futures.

    python studies/foresight_layers.py layers --slots 96 --futures 10     (or: make foresight)
    python studies/foresight_layers.py told --slots 480 --futures 30
    python studies/foresight_layers.py relaxed --slots 24 --futures 6

For every future of the law, with B the clairvoyant bound, π a policy and * the clairvoyant,

    knowledge   C(π) − C(π°)           π° is π, but its plans and its dispatch are told the demand
                                       to come: what foresight is worth to this very policy
    dispatch    C(π°) − C(s°, r*)      the best requests known for the servers s° of π°
    servers     C(s°, r*) − C(*)       the clairvoyant's servers and requests
    bound       C(*) − B               what nobody has closed

add up to C(π) − B. ``told`` is the first of them alone, for long horizons; ``relaxed`` what a
policy without foresight costs in the merged program (``relaxed_policy.py``), above B. Every
finished future is a file of its own; started again, this computes only what is missing.
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from relaxed_policy import relaxed_cost
from told_demand import knowing

import torta_opt
from torta_opt import __version__
from torta_opt.allocation.foresight.attribution import Attributor
from torta_opt.allocation.foresight.estimates import controlled
from torta_opt.allocation.foresight.futures import EVALUATION, future_of, seed_of, surprise_of
from torta_opt.allocation.foresight.inner import certified, merged_of, solved
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.document import instance_sha256
from torta_opt.allocation.law import law_of
from torta_opt.allocation.law.base import DemandLaw
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.allocation.search.clairvoyant import solve_clairvoyant
from torta_opt.io import InvalidInput, write_document
from torta_opt.parallel import in_order

POLICIES = ("open_loop", "torta_plus")
PRESET = "paper/abilene"
FEWEST = 3  # futures, for an interval to be stated
LEAVES = 8  # futures that the policy in the merged program draws in every slot
STEPS = {
    "knowledge": "its plans and its dispatch are told the demand to come",
    "dispatch": "then the best requests known for its servers",
    "servers": "then the servers of the clairvoyant schedule",
    "bound": "the clairvoyant schedule above the bound",
}

Row = dict[str, Any]


# --- one future ---------------------------------------------------------------------------------


def layers(instance: Instance, law: DemandLaw, number: int) -> Row:
    """Dollars of every layer on one future."""
    future = future_of(law, instance, 0, number, EVALUATION)
    merged = merged_of(future, 1)
    bound = certified(merged, solved(merged, 0.0))[0]
    schedule = solve_clairvoyant(future).schedule
    assert schedule is not None
    swap = Attributor(future, schedule, bound)
    clairvoyant, rows = swap.cost(swap.clairvoyant), {}
    for name in POLICIES:
        cost = swap.cost(run(create(name), future).schedule)
        schedule = run(knowing(name, future), future).schedule
        knows, best = swap.cost(schedule), swap.cost(swap.best_requests(schedule))
        rows[name] = {"cost": cost, "told": knows, "requests": best}
    found = {"bound": bound, "clairvoyant": clairvoyant, "policies": rows}
    return found | {"surprise": surprise_of(law, future)}


def told(instance: Instance, law: DemandLaw, number: int) -> Row:
    """The first of the layers alone, for the first of the policies."""
    future = future_of(law, instance, 0, number, EVALUATION)
    found = {"surprise": surprise_of(law, future)}
    for name, policy in (("cost", create(POLICIES[0])), ("told", knowing(POLICIES[0], future))):
        schedule = run(policy, future).schedule
        verify(future, schedule).raise_if_broken(POLICIES[0])
        found[name] = evaluate(future, schedule).cost
    return found


def relaxed(instance: Instance, law: DemandLaw, number: int) -> Row:
    """The bound, and the policy without foresight in the merged program."""
    future = future_of(law, instance, 0, number, EVALUATION)
    merged = merged_of(future, 1)
    bound = certified(merged, solved(merged, 0.0))[0]

    def draw(leaf: Instance, seed: int, start: int) -> Instance:
        return law.sample(leaf, seed, start=start)

    cost = relaxed_cost(future, draw, LEAVES, seed_of(0, number, EVALUATION))
    return {"bound": bound, "relaxed": cost, "surprise": surprise_of(law, future)}


KINDS = {"layers": layers, "told": told, "relaxed": relaxed}


def row_of(kind: str, instance: Instance, number: int, folder: Path) -> Row:
    """One future, from its file where there is one of this run."""
    path = path_of(kind, instance.slots, number, folder)
    run_of = {"instance": instance_sha256(instance), "version": __version__, "number": number}
    if path.exists():
        row = json.loads(path.read_bytes())
        if row["run"] != run_of:
            raise InvalidInput("is a future of another run", file=str(path))
        return dict(row)
    found = KINDS[kind](instance, law_of(instance), number)
    path.parent.mkdir(parents=True, exist_ok=True)
    row = {"run": run_of, "slots": instance.slots, **found}
    write_document(path, row)
    return row


def path_of(kind: str, slots: int, number: int, folder: Path) -> Path:
    return folder / f"{kind}-{slots}" / f"future-{number:04d}.json"


def computed(kind: str, slots: int, futures: int, folder: Path, jobs: int) -> list[Row]:
    instance = torta_opt.generate(PRESET, seed=0, slots=slots)
    tasks = [(kind, instance, number, folder) for number in range(futures)]
    return list(in_order(row_of, tasks, jobs))


def kept(kind: str, slots: int, futures: int, folder: Path) -> list[Row]:
    """The first futures as far as there are files of them, without computing any."""
    files = [path_of(kind, slots, number, folder) for number in range(futures)]
    there = next((n for n, path in enumerate(files) if not path.exists()), futures)
    return computed(kind, slots, there, folder, 1) if there > 1 else []


# --- what they say ------------------------------------------------------------------------------


def parts(rows: list[Row], policy: str) -> dict[str, np.ndarray]:
    """(N,) dollars of each step; they add up to the policy's cost less the bound."""
    own = {name: column(rows, "policies", policy, name) for name in ("cost", "told", "requests")}
    clairvoyant = column(rows, "clairvoyant")
    return {
        "knowledge": own["cost"] - own["told"],
        "dispatch": own["told"] - own["requests"],
        "servers": own["requests"] - clairvoyant,
        "bound": clairvoyant - bounds(rows),
    }


def column(rows: list[Row], *names: str) -> np.ndarray:
    values = []
    for row in rows:
        found: Any = row
        for name in names:
            found = found[name]
        values.append(found)
    return np.array(values, float)


def mean_of(rows: list[Row], values: np.ndarray) -> str:
    found = controlled(values, column(rows, "surprise"))
    half = (found.high - found.low) / 2
    return f"{found.mean:.2f} ± {half:.2f}" if len(rows) >= FEWEST else f"{found.mean:.2f}"


def table(rows: list[Row]) -> str:
    split = {name: parts(rows, name) for name in POLICIES}
    names = " | ".join(f"`{name}`" for name in POLICIES)
    lines = [f"| dollars | {names} |", "|---|" + "---|" * len(POLICIES)]
    costs = [mean_of(rows, column(rows, "policies", name, "cost")) for name in POLICIES]
    lines.append(f"| mean cost | {' | '.join(costs)} |")
    above = [mean_of(rows, sum(split[name].values(), np.zeros(len(rows)))) for name in POLICIES]
    lines.append(f"| above the clairvoyant bound | {' | '.join(above)} |")
    for step, says in STEPS.items():
        cells = [mean_of(rows, split[name][step]) for name in POLICIES]
        lines.append(f"| {says} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def sections(rows: dict[str, list[Row]]) -> list[str]:
    """Of docs/foresight.md, by kind, as far as there are rows of it."""
    write = {"layers": _layers_text, "told": _told_text, "relaxed": _relaxed_text}
    return [write[kind](found) for kind, found in rows.items() if found]


def _layers_text(rows: list[Row]) -> str:
    few = "" if len(rows) >= FEWEST else " They are too few for intervals."
    return f"{_section(LAYERS, rows, few=few)}\n{table(rows)}"


def _told_text(rows: list[Row]) -> str:
    less = column(rows, "cost") - column(rows, "told")
    return _section(TOLD, rows, policy=POLICIES[0], less=mean_of(rows, less))


def _relaxed_text(rows: list[Row]) -> str:
    above = mean_of(rows, column(rows, "relaxed") - bounds(rows))
    return _section(RELAXED, rows, leaves=LEAVES, above=above)


def _section(text: str, rows: list[Row], **figures: Any) -> str:
    """The heading of a text, if it has one, and its paragraph."""
    head, _, paragraph = text.format(**_size(rows), **figures).rpartition("\n\n")
    filled = textwrap.fill(paragraph, 100, break_on_hyphens=False)
    return f"{head}\n\n{filled}\n" if head else f"{filled}\n"


def _size(rows: list[Row]) -> dict[str, Any]:
    return {"preset": PRESET, "slots": rows[0]["slots"], "futures": len(rows)}


def bounds(rows: list[Row]) -> np.ndarray:
    return column(rows, "bound")


LAYERS = """## Which layer the rest comes from

`{preset}`, {slots} slots, {futures} futures.{few} One layer of a policy is replaced at a time, all
on the same futures; the last four rows add up to the distance from the clairvoyant bound. The first
of these four is what foresight is worth to this policy as it is: the same plans and the same
dispatch, told the demand that comes. The second replaces its requests by the best known with
hindsight, so it holds foresight in dispatch and losses of dispatch alike. The third holds what its
plans lose although they are told the demand: they round to whole servers and leave out queues and
regions. The last holds what whole servers and separate regions cost, and what the search did not
find. What this means is [discussed with the bound](bounds/nonanticipative.md#what-was-measured).
"""

TOLD = """Over {slots} slots of `{preset}`, `{policy}` saves {less} $ if it is told the demand that
comes ({futures} futures).
"""

RELAXED = """## The most that trees can show

Trees bound the merged program, in which servers may be fractions and all regions are one. There, a
policy without foresight that draws {leaves} futures of the law in every slot, and plans for all of
them, costs {above} $ more than the clairvoyant bound (`{preset}`, {slots} slots, {futures}
futures; `studies/relaxed_policy.py`). The best policy without foresight costs no more than that on
average, so no tree, however wide, can show more to be foresight, up to the error of this estimate.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--folder", type=Path, default=Path("build/foresight"))
    parser.add_argument("--slots", type=int, default=96)
    parser.add_argument("--futures", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    rows = computed(given.kind, given.slots, given.futures, given.folder, given.jobs)
    print(*sections({given.kind: rows}), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
