"""One future at a time: its inner value, and what policies cost on it; side by side, resumable.

A run is a ``Spec``. Scenario n of it depends on the spec and n alone, so scenarios can be computed
in any order, by any number of processes, and kept: each is one file of a folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from torta_opt import __version__
from torta_opt.allocation.foresight.futures import (
    BRANCHES,
    EVALUATION,
    future_of,
    seed_of,
    surprise_of,
)
from torta_opt.allocation.foresight.inner import (
    certified,
    charged,
    charges_of,
    errors_along,
    merged_of,
    penalty_of,
    raise_if_outside,
    solved,
)
from torta_opt.allocation.foresight.kept import Row, Store
from torta_opt.allocation.foresight.penalty import Penalty
from torta_opt.allocation.foresight.sampled_windows import Shape, value_by_windows
from torta_opt.allocation.foresight.tree import (
    ScenarioTree,
    raise_if_outages_differ,
    sample_tree,
    tree_program,
)
from torta_opt.allocation.formulations.merged import MergedProgram
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.instance.document import instance_sha256
from torta_opt.allocation.law.base import DemandLaw
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.io import VerificationFailed, sha256_of
from torta_opt.parallel import in_order
from torta_opt.results import ROUNDING
from torta_opt.solvers import Limits

NONE, PENALTY, TREE = "none", "penalty", "tree"
WAYS = (NONE, PENALTY, TREE)
Watch = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Spec:
    """What a scenario depends on, beside its number.

    way        ``none``: the clairvoyant; ``penalty``: he pays for foresight; ``tree``: a sampled
               tree of futures
    penalty    the coefficients of way ``penalty``
    branches   slots at which the tree of way ``tree`` parts into ``children``; with windows, slots
               after the beginning of each
    window     slots of a window of way ``tree``; None: one tree over the whole horizon
    tiers      of the merged program (``build_merged_program``); the leaves of a tree have one
    """

    instance: Instance
    law: DemandLaw
    way: str
    seed: int
    penalty: Penalty | None = None
    branches: tuple[int, ...] = ()
    children: int = 2
    window: int | None = None
    tiers: int | None = None
    limits: Limits | None = None

    @property
    def name(self) -> str:
        """A hash of all that the values depend on."""
        return str(
            sha256_of(
                {
                    "instance": instance_sha256(self.instance),
                    "law": self.law.describe(),
                    "way": self.way,
                    "seed": self.seed,
                    "penalty": None if self.penalty is None else self.penalty.to_document(),
                    "branches": list(self.branches),
                    "children": self.children,
                    "window": self.window,
                    "control": "surprise",
                    "tiers": self.tiers,
                    "version": __version__,
                }
            )
        )


# --- one scenario -------------------------------------------------------------------------------


def scenario(spec: Spec, number: int, policies: Sequence[str], known: Row | None = None) -> Row:
    """Scenario ``number``: value, clairvoyant, how much more work came than was expected
    (``surprise_of``), and for every policy its cost and penalty z.

    ``known`` is the same scenario with fewer policies. In every scenario the mean over the leaves
    of cost + z of a policy that takes the same decisions wherever leaves have the same past is at
    least the value; VerificationFailed is raised where it is not. The leaves of windows are not
    played, and there it holds on average only.
    """
    row = known or {"scenario": number, "spec": spec.name, "policies": {}}
    missing = [name for name in policies if name not in row["policies"]]
    if "value" in row and not missing:
        return row
    work = _Leaves(spec, number)
    found = {name: work.play(name) for name in missing}
    if "value" not in row:
        row = {**row, **work.values()}
    row = {**row, "policies": {**row["policies"], **found}}
    for name, each in found.items():
        paid = each["cost"] + each["z"]
        if spec.window is None and paid < row["value"] - ROUNDING * max(abs(paid), each["paid"]):
            raise VerificationFailed(
                f"{name}: on {work.tree.leaves[0].name} costs {paid!r} with its penalty, less than "
                f"the inner bound {row['value']!r}: one of the two is wrong"
            )
    return row


class _Leaves:
    """The futures of a scenario, their programs and charges: one, or the leaves of a tree."""

    def __init__(self, spec: Spec, number: int) -> None:
        self.spec = spec
        future = future_of(spec.law, spec.instance, spec.seed, number, EVALUATION)
        self.tree = ScenarioTree((future,), np.zeros((1, future.slots), np.int64), np.ones(1))
        self.seed = seed_of(spec.seed, number, BRANCHES)
        if spec.way == TREE and spec.window is None:
            seed = self.seed
            self.tree = sample_tree(future, _draw(spec.law), spec.branches, spec.children, seed)
            raise_if_outages_differ(self.tree.leaves)
        one_tier = len(self.tree.leaves) > 1 or spec.window is not None
        first = merged_of(future, 1 if one_tier else spec.tiers)
        others = [merged_of(leaf, 1) for leaf in self.tree.leaves[1:]]
        self.merged: list[MergedProgram] = [first, *others]
        self.charges: list[np.ndarray] = [np.zeros(len(m.program.cost)) for m in self.merged]
        if spec.penalty is not None:
            errors = errors_along(spec.law, future, spec.penalty.horizons)
            self.charges = [charged(first, spec.penalty, errors)]

    def values(self) -> Row:
        """Inner value and that of a clairvoyant, both from below."""
        spec, limits = self.spec, self.spec.limits
        alone = [certified(m, solved(m, 0.0, limits))[0] for m in self.merged]
        clairvoyant = float(self.tree.weight @ np.array(alone))
        value = clairvoyant
        if spec.way == TREE and spec.window is not None:
            value = self._by_windows(spec.window)
        elif spec.way == TREE:
            program = tree_program(self.tree, [each.program for each in self.merged])
            value = max(value, program.bound(limits))
        elif spec.penalty is not None:
            merged = self.merged[0]
            result = solved(merged, self.charges[0], limits)
            group = tuple(merged.program.pools.of_server.tolist())
            charges = charges_of(spec.law, merged.instance, spec.penalty, group)
            value = certified(merged, result, charges)[0]
        leaves = len(self.tree.leaves)
        if spec.window is not None:
            leaves = spec.children ** len(spec.branches)
        surprises = np.array([surprise_of(spec.law, leaf) for leaf in self.tree.leaves])
        return {
            "value": value,
            "clairvoyant": clairvoyant,
            "leaves": leaves,
            "surprise": float(self.tree.weight @ surprises),
        }

    def _by_windows(self, window: int) -> float:
        spec, future = self.spec, self.tree.leaves[0]
        draw, branches = _draw(spec.law), spec.branches
        shape = Shape(window, branches, spec.children, spec.limits)
        return value_by_windows(future, draw, shape, self.seed)

    def play(self, name: str) -> dict[str, float]:
        """Mean cost and penalty of a policy over the leaves; all its schedules are verified."""
        cost, z, paid = [], [], []
        for leaf, merged, usd in zip(self.tree.leaves, self.merged, self.charges, strict=True):
            schedule = run(create(name), leaf, self.spec.seed).schedule
            verify(leaf, schedule).raise_if_broken(name)
            priced = evaluate(leaf, schedule)
            raise_if_outside(merged, name, schedule, priced.cost)
            cost.append(priced.cost)
            paid.append(sum(map(abs, priced.costs.values())))
            z.append(penalty_of(merged, usd, schedule) if self.spec.penalty is not None else 0.0)
        means = (float(self.tree.weight @ np.array(each)) for each in (cost, z, paid))
        return dict(zip(("cost", "z", "paid"), means, strict=True))


def _draw(law: DemandLaw) -> Callable[[Instance, int, int], Instance]:
    return lambda leaf, seed, start: law.sample(leaf, seed, start=start)


# --- many of them -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Scenarios:
    """The first scenarios of a run, without gaps; ``interrupted`` where Ctrl-C came first."""

    rows: list[Row]
    interrupted: bool = False


def scenarios(
    spec: Spec,
    count: int,
    policies: Sequence[str],
    *,
    jobs: int = 1,
    folder: Path | None = None,
    watch: Watch = lambda done, total: None,
) -> Scenarios:
    """Scenarios 0 … count − 1, those that the folder holds taken from there.

    Each is written as it finishes. After Ctrl-C those are returned that come before the first one
    missing: which ones finish early must not depend on what they cost.
    """
    store = Store(folder, spec.name)
    rows: list[Row] = []
    try:
        watch(0, count)
        for row in _computed(spec, count, policies, jobs, store):
            rows.append(row)
            watch(len(rows), count)
    except KeyboardInterrupt:
        return Scenarios(rows, interrupted=True)
    return Scenarios(rows)


def _computed(
    spec: Spec, count: int, policies: Sequence[str], jobs: int, store: Store
) -> Iterator[Row]:
    """Rows in order, each kept as it comes, also those that come early."""
    tasks = [(spec, number, policies, store.load(number)) for number in range(count)]
    yield from in_order(scenario, tasks, jobs, seen=store.kept)
