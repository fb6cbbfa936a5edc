"""A network that proposes server counts: what it sees, what it says, its weight file.

It sees one slot at a time, with the same weights for all slots. Arrivals and servers are counted
over all regions, in units of a hundredth of all servers: the program with all regions as one is
homogeneous in them, so a network fits every topology and size with the same types, models and
classes. Features of slot t (F = 8·C + 4·G + 2·M + 3: C classes, M models, G types with a model they
can hold):

    arrivals by class in t, t+1 and t+2, their means over t+3 … t+6, t+7 … t+14, from t+15 on, and
    over the slots before t; requests waiting at the start; servers ready and loading at the start,
    by type and model; t, the slots that are left, the electricity price; and twice, for the
    arrivals of t and for their mean over the eight slots from t on: how many of the servers that
    are ready at the start have work if the types that serve at the least cost are filled first
    (G), and the share of each model's work that is left (M)

    y = W₃·relu(W₂·relu(W₁·f + b₁) + b₂) + S·f + b₃,    wanted = y⁺, gain = y⁺ of the second half

    models/fleet-start.safetensors   tensors of ``PARTS``, in single precision, with a card in JSON
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.instance.data import OFF, Instance, System
from torta_opt.allocation.policies.weight_files import find_weights, load_fitted, models_folder
from torta_opt.allocation.search.server_plan import ServerPlan
from torta_opt.io import InvalidInput

FORMAT, VERSION = "torta-opt/start-network", 1
NAME = "fleet-start"
REMEDY = "train one for it with studies/train_start_network.py"
PARTS = ("first", "first_constant", "second", "second_constant", "last", "straight", "constant")
AHEAD = ((0, 1), (1, 2), (2, 3), (3, 7), (7, 15), (15, None))  # slots that arrivals are meant over
NEAR = 8  # slots over which demand counts as that of soon
SLOTS, PRICE = 24.0, 0.05  # units of features
FOLLOWED = 0.25  # a proposed server is worth this share of what the network says


@dataclass(frozen=True, eq=False)
class StartNetwork:
    """Weights, as the module says: (N, F), (N,), (N, N), (N,), (2G, N), (2G, F), (2G,)."""

    first: np.ndarray
    first_constant: np.ndarray
    second: np.ndarray
    second_constant: np.ndarray
    last: np.ndarray
    straight: np.ndarray
    constant: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """(T, 2G) from (T, F)."""
        with np.errstate(all="ignore"):  # a broken network may say anything
            h = np.maximum(features @ self.first.T + self.first_constant, 0.0)
            h = np.maximum(h @ self.second.T + self.second_constant, 0.0)
            y = h @ self.last.T + features @ self.straight.T + self.constant
            found: np.ndarray = np.maximum(y, 0.0)
        return found

    def plan(self, instance: Instance) -> ServerPlan:
        """What it proposes for an instance whose types, models and classes it fits."""
        said = self(plan_features(instance))
        half = said.shape[1] // 2
        shape = instance.slots, *instance.system.holds.shape
        wanted, gain = np.zeros(shape), np.zeros(shape)
        wanted[:, instance.system.holds] = said[:, :half] * unit_of(instance.system)
        gain[:, instance.system.holds] = FOLLOWED * said[:, half:]
        return ServerPlan(wanted, gain)


def unit_of(system: System) -> float:
    """Servers, and requests of a slot, that count as 1."""
    return len(system.servers) / 100


def plan_features(instance: Instance) -> np.ndarray:
    """(T, F), see the module."""
    system, unit = instance.system, unit_of(instance.system)
    arrivals = instance.arrivals.sum(axis=1) / (10 * unit)
    slots = np.arange(instance.slots)
    total = np.concatenate([np.zeros((1, arrivals.shape[1])), arrivals.cumsum(axis=0)])
    spans = [(slots + a, slots + b if b else slots + instance.slots) for a, b in AHEAD]
    spans.append((np.zeros_like(slots), slots))
    means = []
    for begin, end in spans:
        begin, end = (np.minimum(at, instance.slots) for at in (begin, end))
        means.append((total[end] - total[begin]) / np.maximum(end - begin, 1)[:, None])
    ready, loading = _servers(instance)
    near = np.minimum(slots + NEAR, instance.slots)
    soon = (total[near] - total[slots]) / (near - slots)[:, None]
    filled = [_filled(instance, ready, demand) for demand in (arrivals, soon)]
    holds = system.holds
    state = np.concatenate([ready[holds], loading[holds], _waiting(instance)])
    price = instance.price_usd_per_kwh.mean(axis=1) / PRICE
    time = np.stack([slots / SLOTS, (instance.slots - slots) / SLOTS, price], axis=1)
    repeated = np.repeat(state[None], instance.slots, axis=0)
    return np.concatenate([*means, repeated, time, *filled], axis=1)


def _servers(instance: Instance) -> tuple[np.ndarray, np.ndarray]:
    """(K, M) ready and loading servers before slot 0."""
    system, initial = instance.system, instance.initial
    found = []
    for which in (initial.loading_ms == 0, initial.loading_ms > 0):
        count = np.zeros(system.holds.shape)
        which = which & (initial.model != OFF)
        np.add.at(count, (system.server_type[which], initial.model[which]), 1.0)
        found.append(count / (10 * unit_of(system)))
    return found[0], found[1]


def _filled(instance: Instance, ready: np.ndarray, demand: np.ndarray) -> np.ndarray:
    """(T, G + M) ready servers (K, M) that have work, and the share of work that is left, where
    types are filled in the order of what they serve the demand (T, C) at."""
    system = instance.system
    weights, model = system.weights, system.class_model
    rent = (system.rent_usd_per_hour * weights.rent_factor).mean(axis=0)
    on_usd = rent + weights.energy_factor * instance.price_usd_per_kwh.mean() * system.idle_kw
    able = system.usable_by & system.holds[:, model]
    servers = np.where(able, system.server_ms / system.slot_ms, np.inf)  # of a request, (K, C)
    usd = np.where(
        able,
        weights.time_usd_per_s * np.nan_to_num(system.service_s)
        + system.slot_hours * on_usd[:, None] * system.server_ms / system.slot_ms,
        np.inf,
    )
    used = np.zeros((len(demand), *ready.shape))
    left = np.ones((len(demand), ready.shape[1]))
    for m in range(ready.shape[1]):
        of_model = np.flatnonzero(model == m)
        for k in np.argsort(usd[:, of_model].mean(axis=1), kind="stable"):
            if not np.isfinite(servers[k, of_model]).all():
                continue
            whole = demand[:, of_model] @ servers[k, of_model]  # servers, were all served by k
            used[:, k, m] = np.minimum(ready[k, m], left[:, m] * whole)
            left[:, m] -= np.divide(used[:, k, m], whole, out=np.zeros(len(whole)), where=whole > 0)
    return np.concatenate([used[:, system.holds], left], axis=1)


def _waiting(instance: Instance) -> np.ndarray:
    """(C,) requests that wait before slot 0."""
    waiting: np.ndarray = instance.initial.backlog.sum(axis=(0, 2))
    return waiting / (10 * unit_of(instance.system))


def load_start_network(system: System, path: str | os.PathLike[str] | None = None) -> StartNetwork:
    """The network of a file, or of ``models/``. Raises InvalidInput unless it fits the system."""
    stem = models_folder() / NAME if path is None else find_weights(os.fspath(path))
    (network, widths), file = load_fitted(stem, (FORMAT, VERSION), system, REMEDY, _from_tensors)
    if widths != _widths(system):
        raise InvalidInput(
            f"is for other pairs of type and model than those of this system: {REMEDY}",
            file=str(file),
        )
    return network


def _from_tensors(tensors: dict[str, np.ndarray]) -> tuple[StartNetwork, tuple[int, int]]:
    """The network, and how many numbers it says and sees of a slot.

    Raises KeyError where a tensor is missing, IndexError or ValueError where shapes do not fit.
    """
    network = StartNetwork(*(tensors[name] for name in PARTS))
    seen = network.straight.shape[1]
    return network, (network(np.zeros((1, seen))).shape[1], seen)


def _widths(system: System) -> tuple[int, int]:
    """(2G, F): what a network says and sees of a slot."""
    pairs, models = int(system.holds.sum()), len(system.models)
    return 2 * pairs, 8 * len(system.classes) + 4 * pairs + 2 * models + 3


def to_tensors(network: StartNetwork) -> dict[str, np.ndarray]:
    """What a weight file of the network holds."""
    return {name: np.ascontiguousarray(getattr(network, name), np.float32) for name in PARTS}
