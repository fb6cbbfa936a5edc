"""How much a value of servers can bring at most: the table of docs/torta_plus.md on it.

    python studies/server_stages.py [--iterations 50] [--paths 40]

The fleet model with a Markov chain of demand (``learning.server_stages``), for instances of the
paper: the bound that cuts prove, what plans with these cuts cost on sampled paths, what open-loop
plans cost on the same paths (a plan over all stages that are left, its servers common to all nodes
that may come, made anew in every stage: what ``open_loop`` does), and plans that know the path.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from pages import shown, write_between

from torta_opt import generate
from torta_opt.allocation.formulations.fleet_program import FleetCosts, FleetProgram, FleetState
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.learning.server_stages import Chain, ServerStages
from torta_opt.allocation.policies.dispatch import Tables
from torta_opt.allocation.policies.experiment import interval
from torta_opt.allocation.policies.fleet_view import FleetView
from torta_opt.allocation.policies.runner import first_observation

DOCS = Path(__file__).parents[1] / "docs" / "torta_plus.md"
PRESET, SEED = "paper/abilene", 1000
LAWS = ((None, None), (0.3, 0.8))  # σ and memory from stage to stage; None: as on the instance
STAGES, SLOTS, NODES, SAMPLES = 8, 12, 3, 20
LOAD, SHORTAGE = 0.85, 1.5  # as ``open_loop`` plans by default


class Model:
    """The fleet of an instance, and the chain of its demand."""

    def __init__(self, instance: Instance, spread: float | None, memory: float | None):
        self.system = instance.system
        arrivals = instance.arrivals.sum(axis=1)
        arrivals = arrivals[arrivals.any(axis=1)]
        whole = len(arrivals) // SLOTS * SLOTS
        totals = arrivals[:whole].sum(axis=1).reshape(-1, SLOTS).mean(axis=1)
        level = np.log(totals)
        self.spread = spread or float(level.std(ddof=1))
        fitted = float(np.clip(np.corrcoef(level[1:], level[:-1])[0, 1], 0.0, 0.99))
        self.memory = fitted if memory is None else memory
        self.chain = Chain.mean_reverting(arrivals.mean(axis=0), self.spread, self.memory, NODES)
        self.usable_ms = LOAD * self.system.slot_ms
        view = FleetView(
            Tables(self.system),
            FleetProgram(self.system, 2, 1, self.usable_ms).kinds,
            first_observation(instance),
        )
        lengths = np.append(np.full(STAGES, float(SLOTS)), 0.0)  # at the end one of no slots
        self.costs = view.costs(lengths, SHORTAGE, 0.0)
        self.ready, self.servers = view.state().ready, view.state().servers
        self._one = FleetProgram(self.system, 2, 1, self.usable_ms)
        self._left = [
            FleetProgram(self.system, STAGES - stage + 1, SAMPLES, self.usable_ms)
            for stage in range(STAGES)
        ]
        self._path = FleetProgram(self.system, STAGES + 1, 1, self.usable_ms)

    def state(self, ready: np.ndarray) -> FleetState:
        return FleetState(ready, np.zeros_like(ready), self.servers)

    def costs_of(self, stages: int) -> FleetCosts:
        """Of the last ``stages`` stages."""
        first = {"slots": self.costs.slots[-stages - 1 :], "on": self.costs.on[-stages - 1 :]}
        return FleetCosts(**{**vars(self.costs), **first})

    def stages(self) -> ServerStages:
        return ServerStages(
            self.system, self.chain, self.costs_of(1), self.servers, STAGES, self.usable_ms
        )

    def open_loop(self, path: list[int]) -> float:
        """Dollars of plans common to all that may come, made anew in every stage."""
        paid, ready = 0.0, self.ready
        for stage, node in enumerate(path):
            demand = self.expected(node, STAGES - stage)
            left = self.costs_of(STAGES - stage)
            plan = self._left[stage].solve(self.state(ready), left, demand)
            now = with_end(self.chain.demand[node][None, None])
            done = self._one.solve(self.state(ready), self.costs_of(1), now, first=plan)
            paid += done.usd
            ready = np.maximum(plan.ready[0] + plan.start[0] + plan.enter[0], 0.0)
        return paid

    def expected(self, node: int, stages: int) -> np.ndarray:
        """(E, S, C) samples of every stage that is left, each at its share of the probability."""
        share = np.eye(NODES)[node]
        rows = []
        for _ in range(stages):
            at = np.searchsorted(share.cumsum(), (np.arange(SAMPLES) + 0.5) / SAMPLES)
            rows.append(self.chain.demand[np.minimum(at, NODES - 1)])
            share = share @ self.chain.next
        return with_end(np.array(rows))

    def foresight(self, path: list[int]) -> float:
        demand = with_end(self.chain.demand[path][:, None])
        return self._path.solve(self.state(self.ready), self.costs, demand).usd


def with_end(demand: np.ndarray) -> np.ndarray:
    """(E + 1, S, C) of (E, S, C): nothing comes in an epoch of no slots."""
    return np.concatenate([demand, np.zeros_like(demand[:1])])


def row(spread: float | None, memory: float | None, given: argparse.Namespace) -> str:
    model = Model(generate(PRESET, SEED, slots=240), spread, memory)
    stages, rng = model.stages(), np.random.default_rng(SEED)
    first = NODES // 2
    bounds = [stages.bound(model.ready, first)]
    for number in range(given.iterations):
        stages.improve(model.ready, first, rng)
        if number % 10 == 9:
            bounds.append(stages.bound(model.ready, first))
            print(model.spread, number + 1, bounds[-1], flush=True)
    paths = [model.chain.path(first, STAGES, rng) for _ in range(given.paths)]
    cuts = np.array([stages.walk(model.ready, path)[0] for path in paths])
    plain = np.array([model.open_loop(path) for path in paths])
    known = np.array([model.foresight(path) for path in paths])
    adjusted = [expected(costs, paths, model.chain) for costs in (known, cuts, plain)]
    paired = 100 * (plain - cuts) / cuts.mean()
    proved = f"{bounds[-1]:.1f} (ten iterations before: {bounds[-2]:.1f})"
    law = f"σ {model.spread:.2f}, memory {model.memory:.2f}"
    cells = [law, adjusted[0], proved, *adjusted[1:], shown(interval(paired.tolist()), 2)]
    return "| " + " | ".join(cells) + " |"


def expected(costs: np.ndarray, paths: list[list[int]], chain: Chain) -> str:
    """Expected cost, with the demand of a path as control variate: its expectation is known."""
    level, share = chain.demand.sum(axis=1), np.eye(NODES)[paths[0][0]]
    mean = 0.0
    for _ in range(STAGES):
        mean += share @ level / STAGES
        share = share @ chain.next
    total = np.array([level[path].mean() for path in paths])
    slope = np.cov(total, costs)[0, 1] / total.var(ddof=1)
    return shown(interval((costs - slope * (total - mean)).tolist()), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--iterations", type=int, default=50)
    parser.add_argument("--paths", type=int, default=40)
    given = parser.parse_args()
    lines = [
        f"{STAGES} stages of {SLOTS} slots, {NODES} nodes, {given.iterations} iterations, "
        f"{given.paths} paths; dollars, adjusted for the demand of the paths drawn, with 95 % "
        "intervals:",
        "",
        "| | knowing the path | lower bound from cuts | plans with cuts | open-loop plans "
        "| open-loop above cuts, % (paired) |",
        "|---|---|---|---|---|---|",
        *(row(*law, given) for law in LAWS),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    write_between(DOCS, "stages", text)


if __name__ == "__main__":
    main()
