"""Learn what servers are worth beyond a window: from the duals of open-loop plans of what follows.

Example i: a state n of servers, a mean demand d and h slots that follow, all drawn at random. The
fleet program over these h slots gives the cost V_i and, as duals of its first state rows, the slope
∂V/∂n. A value is fitted to both,

    Σ_i huber((V(n_i) − V_i)/a) + γ·Σ_i |(∇V(n_i) − ∂V_i/∂n)/b|²

a and b the spread of costs and slopes. Decisions hang on the slopes, so γ is large.

V_i is convex in n, being the least cost of a linear program, so cuts and input-convex networks can
follow it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from torta_opt.allocation.formulations.fleet_program import FleetCosts, FleetProgram, FleetState
from torta_opt.allocation.formulations.server_value import Cuts, Layer, Network, ServerValue
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.policies.demand_samples import DemandProcess, DemandSamples
from torta_opt.allocation.policies.dispatch import Tables
from torta_opt.allocation.policies.fleet_values import value_features
from torta_opt.allocation.policies.fleet_view import FleetView
from torta_opt.allocation.policies.open_loop import SAMPLE_SEED, SAMPLES
from torta_opt.allocation.policies.runner import first_observation

EPOCHS = (4, 8, 16, 32, 64, 128)
LONGEST = float(sum(EPOCHS))
PIECES, WIDTHS = 48, (24, 24)
SLOPE_WEIGHT = 10.0
DOLLARS = 100.0  # unit of costs while learning


@dataclass(frozen=True, eq=False)
class Examples:
    """(N, G) servers, (N, F) features, (N,) dollars, (N, G) slopes, (N, G) servers that the plan of
    the example goes to, which the state of the next example is made from."""

    servers: np.ndarray
    features: np.ndarray
    usd: np.ndarray
    slope: np.ndarray
    after: np.ndarray

    def part(self, which: slice) -> Examples:
        return Examples(*(getattr(self, f)[which] for f in self.__dataclass_fields__))


class Teacher:
    """Draws examples of the system, demand and prices of an instance."""

    def __init__(self, instance: Instance, load: float, shortage: float, spread: float):
        system = instance.system
        self._system, self._process = system, DemandProcess(spread=spread)
        usable_ms = load * system.slot_ms
        self._program = FleetProgram(system, len(EPOCHS), SAMPLES, usable_ms)
        view = FleetView(Tables(system), self._program.kinds, first_observation(instance))
        self._costs: FleetCosts = view.costs(np.array(EPOCHS, float), shortage, 0.0)
        self._servers = view.state().servers
        busy = instance.arrivals[instance.arrivals.any(axis=(1, 2))]
        self._demand = busy.sum(axis=1).mean(axis=0)
        self.last = view.state().ready

    def draw(self, rng: np.random.Generator) -> tuple[Any, ...]:
        """One row of ``Examples``; its state is one that suits the example before, disturbed."""
        classes = len(self._system.classes)
        scale = np.exp(0.4 * rng.standard_normal() - 0.08)
        demand = self._demand * scale * np.exp(0.25 * rng.standard_normal(classes))
        left = rng.uniform(4.0, LONGEST)
        servers = self._state(rng)
        end = np.minimum(np.cumsum(EPOCHS), left)
        slots = np.diff(end, prepend=0.0)
        samples = DemandSamples(self._system, self._process, len(EPOCHS), SAMPLES, SAMPLE_SEED)
        samples.learn(demand[None])
        costs = FleetCosts(**{**vars(self._costs), "slots": slots})
        state = FleetState(servers, np.zeros_like(servers), self._servers)
        plan = self._program.solve(state, costs, samples.draw(slots))
        assert plan is not None
        self.last = plan.ready[1]
        return servers, value_features(demand, left), plan.usd, plan.slope, self.last

    def _state(self, rng: np.random.Generator) -> np.ndarray:
        kinds = self._program.kinds
        noise = np.exp(0.3 * rng.standard_normal(len(kinds)))
        servers = np.round(self.last * noise + rng.poisson(0.5, len(kinds)))
        for k, most in enumerate(self._servers):
            of_type = kinds.type == k
            total = servers[of_type].sum()
            if total > most:
                servers[of_type] = np.floor(servers[of_type] * most / total)
        return servers


def teach(
    teacher: Teacher, known: Examples | None, number: int, seed: int, watch: Callable[[int], Any]
) -> Examples:
    """``number`` examples, of which ``known`` are the first; the same for the same seed."""
    rows = [] if known is None else [tuple(row) for row in zip(*vars(known).values(), strict=True)]
    if known is not None:
        teacher.last = known.after[-1]
    for i in range(len(rows), number):
        rows.append(teacher.draw(np.random.default_rng([seed, i])))
        watch(i + 1)
    return Examples(*(np.array(column) for column in zip(*rows, strict=True)))


def fit_value(
    kind: str, examples: Examples, steps: int, seed: int, watch: Callable[[int, float], Any]
) -> ServerValue:
    """Cuts or a network fitted to the examples by Adam, all of them in every step."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = _module(kind, examples)
        n, f, usd, slope = (
            torch.tensor(array, dtype=torch.float32)
            for array in (examples.servers, examples.features, examples.usd, examples.slope)
        )
        usd, slope = usd / DOLLARS, slope / DOLLARS
        a, b = usd.std(), slope.std(dim=0).mean()
        optimiser = torch.optim.Adam(module.parameters(), lr=0.01)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        for step in range(steps):
            x = n.clone().requires_grad_(True)
            value = module(x, f)
            (gradient,) = torch.autograd.grad(value.sum(), x, create_graph=True)
            error = torch.nn.functional.smooth_l1_loss(value / a, usd / a)
            loss = error + SLOPE_WEIGHT * (((gradient - slope) / b) ** 2).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            if step % 200 == 199:
                watch(step + 1, float(loss.detach()))
        return module.value()


def quality(value: ServerValue, examples: Examples) -> dict[str, float]:
    """Mean absolute errors in dollars: of the cost, and of a server's slope."""
    pairs = list(zip(examples.servers, examples.features, strict=True))
    found = np.array([value(n, f) for n, f in pairs])
    eye = np.eye(examples.servers.shape[1])
    slopes = np.array([[value(n + e, f) - value(n, f) for e in eye] for n, f in pairs])
    return {
        "cost_usd": float(np.abs(found - examples.usd).mean()),
        "cost_spread_usd": float(examples.usd.std()),
        "slope_usd": float(np.abs(slopes - examples.slope).mean()),
        "slope_spread_usd": float(examples.slope.std(axis=0).mean()),
    }


def _module(kind: str, examples: Examples) -> Any:
    import torch
    from torch import nn

    kinds, size = examples.servers.shape[1], examples.features.shape[1]
    spread = np.maximum(examples.features.std(axis=0), 1e-6)

    def tensor(array: np.ndarray) -> Any:
        return nn.Parameter(torch.tensor(array, dtype=torch.float32))

    class MaxAffine(nn.Module):
        """Starts from the tangents of some examples."""

        def __init__(self) -> None:
            super().__init__()
            chosen = np.linspace(0, len(examples.usd) - 1, PIECES).astype(int)
            slope = examples.slope[chosen] / DOLLARS
            offset = examples.usd[chosen] / DOLLARS - (slope * examples.servers[chosen]).sum(axis=1)
            self.servers, self.constant = tensor(slope), tensor(offset - offset.mean())
            self.features = tensor(np.zeros((PIECES, size)))

        def forward(self, n: Any, f: Any) -> Any:
            pieces = n @ self.servers.T + (f @ self.features.T) + self.constant
            return pieces.max(dim=1).values

        def value(self) -> ServerValue:
            parts = (self.servers, self.features, self.constant)
            return Cuts(*(DOLLARS * part.detach().numpy().astype(float) for part in parts))

    class Convex(nn.Module):
        """Input-convex; weights from layer to layer are absolute values of parameters."""

        def __init__(self) -> None:
            super().__init__()
            widths = [0, *WIDTHS, 1]
            noise = torch.randn
            pairs = list(pairwise(widths))
            self.hidden = nn.ParameterList([0.2 * noise(new, old).abs() for old, new in pairs])
            self.servers = nn.ParameterList([0.05 * noise(new, kinds) for _, new in pairs])
            self.features = nn.ParameterList(
                [0.3 * noise(new, size) / torch.tensor(spread).float() for _, new in pairs]
            )
            self.constant = nn.ParameterList([0.1 * noise(new) for _, new in pairs])

        def forward(self, n: Any, f: Any) -> Any:
            h: Any = None
            for at, constant in enumerate(self.constant):
                given = n @ self.servers[at].T + f @ self.features[at].T + constant
                before = given if h is None else h @ self.hidden[at].abs().T + given
                h = torch.relu(before) if at < len(self.constant) - 1 else before
            return h[:, 0]

        def value(self) -> ServerValue:
            layers = []
            for at in range(len(self.constant)):
                scale = DOLLARS if at == len(self.constant) - 1 else 1.0
                parts = (
                    self.hidden[at].abs(),
                    self.servers[at],
                    self.features[at],
                    self.constant[at],
                )
                layers.append(Layer(*(scale * p.detach().numpy().astype(float) for p in parts)))
            return Network(tuple(layers))

    return MaxAffine() if kind == "cuts" else Convex()
