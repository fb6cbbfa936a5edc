"""Stochastic dual dynamic programming over the fleet: a lower bound, and a policy that reaches it.

All regions are one; time is divided into H stages of L slots. Demand is a Markov chain over K
nodes, known when a stage begins. What follows a stage h that begins with n (G,) ready servers in
node j costs

    Q_h(n, j) = min  cost of the stage  +  Σ_i P[j,i]·Q_{h+1}(n', i),      Q_H = 0

over the moves of the fleet program (``fleet_program``) with one epoch of L slots; servers that
start or switch are ready in the next stage, n' counts them. Q is convex in n. *Cuts*,

    V_h(n', j) = max_k ( a_k·n' + c_k ) ≤ Σ_i P[j,i]·Q_{h+1}(n', i)

take its place. Each iteration draws a path of demand and follows the plans with the cuts there are;
then, from the last stage back, the duals of all nodes at the states that were visited give one more
cut for every node of the stage before. So Q_0 with cuts is a *lower bound* on the expected cost of
every policy of this model, and grows; what the plans with cuts cost on other paths is what the
policy reaches (Pereira and Pinto, Mathematical Programming 52, 1991).

The bound is one on the model, not on the problem: servers are fractions, nothing waits, regions
are one. It says how much a value of servers can bring at most beside another way to plan the same
model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.formulations.fleet_program import (
    FleetCosts,
    FleetPlan,
    FleetProgram,
    FleetState,
)
from torta_opt.allocation.formulations.server_value import Cuts
from torta_opt.allocation.instance.data import System

NOTHING = np.zeros(0)  # features of a cut


@dataclass(frozen=True, eq=False)
class Chain:
    """Demand: (K, C) requests of a slot by node, (K, K) probabilities of the next node by row."""

    demand: np.ndarray
    next: np.ndarray

    @classmethod
    def mean_reverting(cls, mean: np.ndarray, spread: float, memory: float, nodes: int) -> Chain:
        """``mean`` (C,) times exp of an AR(1) process with standard deviation ``spread`` and
        correlation ``memory`` from stage to stage, by Rouwenhorst's method (Kopecky and Suen,
        Review of Economic Dynamics 13, 2010): both are met exactly by the nodes' logarithms."""
        p = (1 + memory) / 2
        table = np.ones((1, 1))
        for size in range(2, nodes + 1):
            wider = np.zeros((size, size))
            wider[:-1, :-1] += p * table
            wider[:-1, 1:] += (1 - p) * table
            wider[1:, :-1] += (1 - p) * table
            wider[1:, 1:] += p * table
            wider[1:-1] /= 2
            table = wider
        level = spread * np.sqrt(max(nodes - 1, 1)) * np.linspace(-1, 1, nodes)
        level = level if nodes > 1 else np.zeros(1)
        return cls(np.exp(level - spread**2 / 2)[:, None] * mean, table)

    def path(self, first: int, stages: int, rng: np.random.Generator) -> list[int]:
        """Nodes of all stages, ``first`` in stage 0."""
        found = [first]
        for _ in range(stages - 1):
            found.append(int(rng.choice(len(self.next), p=self.next[found[-1]])))
        return found


class ServerStages:
    """The cuts of all stages and nodes, and the plans with them.

    costs    of one stage: ``slots``, ``on`` are those of its one epoch; ``worth`` is not used
    servers  (K,) servers of each type
    """

    def __init__(
        self,
        system: System,
        chain: Chain,
        costs: FleetCosts,
        servers: np.ndarray,
        stages: int,
        usable_ms: float,
    ):
        if min(*costs.on.ravel(), *costs.serve, *costs.short, *costs.start, *costs.enter) < 0:
            raise ValueError("costs below 0: the first cut, 0, would not hold")
        self.chain, self.stages = chain, stages
        self._system, self._servers, self._usable_ms = system, servers, usable_ms
        slots = np.array([costs.slots[0], 0.0])  # a second epoch of no slots: what comes next
        on = np.repeat(costs.on[:1], 2, axis=0)
        self._costs = FleetCosts(**{**vars(costs), "slots": slots, "on": on})
        kinds, nodes = len(costs.start), len(chain.demand)
        self._slope = [np.zeros((nodes, 1, kinds)) for _ in range(stages - 1)]
        self._constant = [np.zeros((nodes, 1)) for _ in range(stages - 1)]
        self._programs: dict[tuple[int, int], FleetProgram] = {}

    def plan(self, stage: int, node: int, ready: np.ndarray) -> FleetPlan:
        """The plan of a stage; ``ready[1]`` are those of its servers that V is taken of."""
        key = stage, node
        if key not in self._programs:
            self._programs[key] = FleetProgram(
                self._system, 2, 1, self._usable_ms, self.cuts(stage, node)
            )
        demand = np.zeros((2, 1, self.chain.demand.shape[1]))
        demand[0, 0] = self.chain.demand[node]
        state = FleetState(ready, np.zeros_like(ready), self._servers)
        found = self._programs[key].solve(state, self._costs, demand, NOTHING)
        assert found is not None, "no limit was set"
        return found

    def cuts(self, stage: int, node: int) -> Cuts:
        """V of a stage and node; 0 after the last stage."""
        if stage == self.stages - 1:
            return Cuts(np.zeros((1, len(self._costs.start))), np.zeros((1, 0)), np.zeros(1))
        slope, constant = self._slope[stage][node], self._constant[stage][node]
        return Cuts(slope, np.zeros((len(constant), 0)), constant)

    def bound(self, ready: np.ndarray, node: int) -> float:
        """Lower bound on the expected cost of every policy of the model, in dollars."""
        return self.plan(0, node, ready).usd

    def walk(self, ready: np.ndarray, path: list[int]) -> tuple[float, list[np.ndarray]]:
        """Dollars of the plans with cuts on a path, and the servers that each stage begins with."""
        paid, states = 0.0, [ready]
        for stage, node in enumerate(path):
            plan = self.plan(stage, node, states[-1])
            paid += plan.usd - self.cuts(stage, node)(plan.ready[1], NOTHING)
            # Stops are free and the next stage can make them: the more servers, the cheaper it is.
            states.append(np.maximum(plan.ready[0] + plan.start[0] + plan.enter[0], 0.0))
        return paid, states

    def improve(self, ready: np.ndarray, node: int, rng: np.random.Generator) -> None:
        """One iteration: a path there, and cuts for all nodes on the way back."""
        _, states = self.walk(ready, self.chain.path(node, self.stages, rng))
        for stage in range(self.stages - 1, 0, -1):
            plans = [self.plan(stage, i, states[stage]) for i in range(len(self.chain.demand))]
            slope = self.chain.next @ np.array([plan.slope for plan in plans])
            usd = self.chain.next @ np.array([plan.usd for plan in plans])
            self._add(stage - 1, slope, usd - slope @ states[stage])

    def _add(self, stage: int, slope: np.ndarray, constant: np.ndarray) -> None:
        self._slope[stage] = np.concatenate([self._slope[stage], slope[:, None]], axis=1)
        self._constant[stage] = np.concatenate([self._constant[stage], constant[:, None]], axis=1)
        for node in range(len(constant)):
            self._programs.pop((stage, node), None)
