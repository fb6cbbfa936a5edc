"""TORTA without learning: optimal transport as the routing plan (arXiv 2507.10259, §V).

Macro layer. With μ the share of requests by origin and ν the share of capacity by region,

    P* = argmin Σ_ij C_ij P_ij  over P ≥ 0, P1 = μ, Pᵀ1 = ν
    C_ij = w1·Power_j + w2·(L_ij + Bandwidth_ij)
    Prob_{i→j} = P*_ij / Σ_k P*_ik

Here Power_j is the energy of a request in region j at full load at the price of the slot, L_ij
costs v dollars a second, and Bandwidth_ij is the transfer price, all in $ per request. Capacity is
what the servers of a region that are up could process in a slot of the expected mix of classes.
With both marginals given, w1·Σ_j Power_j·ν_j is the same for every plan: electricity prices have no
say (docs/formulations/transport.md). ``target=capacity`` is the price-aware variant: column sums
may be anything up to a share of the capacity in requests.

Data residency goes first: mass that only a forbidden pair could carry goes to the cheapest region
that its origin may use, and so do requests of classes that no region of the plan can serve.

Every class of an origin is split over regions: ``apportion`` by largest remainder, without chance;
``sample`` request by request, as in Alg. 1.

The paper's plan knows nothing of models: by it a region gets some of every class in every slot,
whatever its servers have loaded; one with fewer servers than there are models switches them back
and forth. What happens to such requests the paper does not say. Here (``reach=held``) the plan A is
fitted to each class: of all flows with the class's requests by origin as row sums, and column sums
in proportion to what servers with its model can still take of it in this slot, the one nearest to A
in relative entropy, found by scaling rows and columns in turn (``fitted``). ``leak`` lets it use
pairs that A leaves out. What is expected of the next slot is laid out likewise, and where it
exceeds the room of a region, the cheapest region with room takes the model up. ``reach=able`` is
the plan to the letter: every region whose servers could load the model gets its share.

Micro layer. Activation by Eq. (6) (``activation``), scores (7)-(10) and greedy matching of Alg. 1
(``scores``). What finds no room waits in its region, the deadline-prioritised buffer: it is matched
first by urgency in the slots after, and counts as queue in Eq. (6), which may activate servers.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from torta_opt.allocation.instance.data import OFF, System
from torta_opt.allocation.policies.base import Observation
from torta_opt.allocation.policies.dispatch import Capacity, Tables
from torta_opt.allocation.policies.layered import LayeredPolicy
from torta_opt.allocation.policies.routing import apportion, sample, send_cheapest
from torta_opt.allocation.policies.scores import (
    Recent,
    hardware_score,
    match,
    similarity,
    urgency_order,
)
from torta_opt.io import InvalidInput

SPLITS = ("apportion", "sample")
TARGETS = ("equal", "capacity")
REACHES = ("held", "able")
ROUNDS = 10  # scalings of rows and columns: more change the cost by less than 0.5 %
TINY = 1e-12
CHOICES = {"split": SPLITS, "target": TARGETS, "reach": REACHES}


@dataclass(frozen=True)
class Parameters:
    """What the paper leaves open; beside these, the shared ones of ``Settings``.

    split             how requests follow Prob: ``apportion`` or ``sample``
    target            marginals of the regions: ``equal`` to capacity shares, or up to ``capacity``
    reach             where a class is sent: by the plan fitted to servers that hold its model
                      (``held``), or by the plan itself, to any server that is ``able``
    leak              share of a row that ``held`` spreads over all regions before it is fitted
    headroom          share of the capacity that ``target=capacity`` may fill; the rest is for
                      servers that hold another model (above 0.3 queues grow on paper/abilene)
    power_weight      w1 of the cost; the paper says w1 ≫ w2, which changes nothing when ``equal``
    network_weight    w2 of the cost
    hardware_weight, load_weight, locality_weight    weights of (7)
    type_tolerance    share above the least energy up to which a type matches a class, in (8)
    queue_ms          what a request handed out adds to (9) beside its server time
    decay             λ of (10) per slot; the default halves, so that Comp_loc is at most 1
    model_similarity, class_similarity    w_m and w_c of (10)
    """

    split: str = "apportion"
    target: str = "equal"
    reach: str = "held"
    leak: float = 0.01
    headroom: float = 0.3
    power_weight: float = 1.0
    network_weight: float = 1.0
    hardware_weight: float = 1.0
    load_weight: float = 1.0
    locality_weight: float = 1.0
    type_tolerance: float = 0.25
    queue_ms: float = 0.0
    decay: float = math.log(2)
    model_similarity: float = 0.5
    class_similarity: float = 0.5

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise InvalidInput(f"must be one of {', '.join(known)}", field=name)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in CHOICES:
                continue
            number = isinstance(value, int | float) and not isinstance(value, bool)
            least = 0 if field.name != "headroom" else 1e-6
            if not (number and least <= value <= 1e9):
                rule = f"must be a number in [{least:g}, 1e+09], found {value!r:.60}"
                raise InvalidInput(rule, field=field.name)


class TortaOt(LayeredPolicy):
    """See the module; parameters are those of ``Parameters`` and ``Settings``."""

    name = "torta_ot"

    def __init__(self, **given: Any):
        own = {field.name for field in dataclasses.fields(Parameters)}
        super().__init__(**{name: value for name, value in given.items() if name not in own})
        mine = {name: value for name, value in given.items() if name in own}
        self.parameters = Parameters(**mine)

    @property
    def deterministic(self) -> bool:
        """Only ``sample`` draws lots."""
        return self.parameters.split != "sample"

    def reset(self, system: System, seed: int) -> None:
        super().reset(system, seed)
        parameters = self.parameters
        self._transport = TransportTarget(self.tables, parameters)
        hardware = hardware_score(system, parameters.type_tolerance)
        self._hardware = parameters.hardware_weight * hardware[system.server_type]
        weights = parameters.model_similarity, parameters.class_similarity
        self._similar = parameters.locality_weight * similarity(system, *weights)
        self._recent = Recent(self.tables.sizes[1], self.tables.sizes[2], parameters.decay)

    def prepare(self, observation: Observation) -> None:
        state = observation.state
        off = ~observation.up | (state.model == OFF)
        self._recent.update(state.processing, off)
        self._base = self._hardware + self._recent.score(self._similar)
        self._transport.see(observation, self.expected)
        self.share = self.shares(observation)

    def shares(self, observation: Observation) -> np.ndarray:
        """(R, R) A_t: the share of an origin's requests that each region gets."""
        return self._transport.shares(observation.arrivals.sum(axis=1))

    def route(self, c: int, requests: np.ndarray, desk: Capacity) -> np.ndarray:
        share = self._share_of(c, requests, desk)
        if desk.planning:
            return self._spill(c, apportion(requests, share), desk)
        if self.parameters.split == "apportion":
            return apportion(requests, share)
        return sample(requests, share, self.rng)

    def assign(self, c: int, wanted: np.ndarray, desk: Capacity) -> np.ndarray:
        parameters = self.parameters
        weight, queue_ms = parameters.load_weight, parameters.queue_ms
        return match(c, wanted, desk, self._base[:, c], weight, queue_ms)

    def _share_of(self, c: int, requests: np.ndarray, desk: Capacity) -> np.ndarray:
        """(R, R) the shares of class c, of which there are ``requests`` (R,)."""
        open_to = self.open_to(c)
        share = restricted(self.share, self._transport.usd, open_to)
        if self.parameters.reach == "able":
            return share
        return fitted(share, open_to, requests, self._held_room(c, desk), self.parameters.leak)

    def _held_room(self, c: int, desk: Capacity) -> np.ndarray:
        """(R,) requests of class c that servers with its model can take: in a slot to come, if they
        do nothing else; in this one, beside what waits."""
        room = desk.held_room(c)
        if desk.planning:
            return room
        waiting = self.observation.state.waiting[:, c].sum(axis=1)
        return np.maximum(room - waiting, 0)

    def _spill(self, c: int, flow: np.ndarray, desk: Capacity) -> np.ndarray:
        """A planned ``flow`` (R, R) with what finds no room sent where there is some."""
        if self.parameters.reach == "able":
            return flow
        return spilled(flow, desk.region_room(c), self.open_to(c), self._transport.usd)

    def _serve_waiting(self, waiting: np.ndarray, desk: Capacity) -> None:
        """Later, with the arrivals: by urgency."""

    def _serve_all(self, inflow: np.ndarray, waiting: np.ndarray, desk: Capacity) -> None:
        self._match(inflow, desk)

    def _route_all(self, arrivals: np.ndarray, desk: Capacity) -> np.ndarray:
        if desk.planning:
            return super()._route_all(arrivals, desk)
        regions, _, classes = self.tables.sizes
        routing = np.zeros((regions, regions, classes), np.int64)
        for c in np.flatnonzero(arrivals.any(axis=0)).tolist():
            routing[:, :, c] = self.route(c, arrivals[:, c], desk)
        self._match(routing.sum(axis=0), desk)
        return routing

    def _match(self, inflow: np.ndarray, desk: Capacity) -> None:
        """Alg. 1: what came and what waits, group by group, the most urgent first.

        A group holds the requests of one class that expire in the same slot.
        """
        waiting = self.observation.state.waiting
        groups = np.concatenate([inflow[:, :, None], waiting], axis=2)
        kind, age = np.nonzero(groups.any(axis=0))
        left = np.maximum(self.tables.system.deadline_slots[kind] - age, 0)
        for n in urgency_order(self.tables, left, kind):
            c = int(kind[n])
            desk.take(c, self.assign(c, groups[:, c, age[n]], desk))


def restricted(share: np.ndarray, usd: np.ndarray, open_to: np.ndarray) -> np.ndarray:
    """(..., R, R) ``share`` on regions ``open_to`` a class; for origins that have none of it there,
    the cheapest of these."""
    if open_to.all():
        return share
    part = np.where(open_to, share, 0.0)
    total = part.sum(axis=-1, keepdims=True)
    cheapest = np.eye(share.shape[-1])[np.where(open_to, usd, np.inf).argmin(axis=-1)]
    return np.where(total > 0, part / np.where(total > 0, total, 1.0), cheapest)


def fitted(
    share: np.ndarray, open_to: np.ndarray, requests: np.ndarray, room: np.ndarray, leak: float
) -> np.ndarray:
    """(..., R, R) shares near ``share`` that fill regions in proportion to their ``room`` (..., R).

    With supply a = requests and demand b = room·Σa/Σroom, the fixed point of ``ROUNDS`` scalings
    (Deming and Stephan 1940; Sinkhorn) is

        argmin_F Σ_ij F_ij log(F_ij / (a_i·A_ij))    F1 = a, Fᵀ1 = b

    of which the rows hold exactly, the columns nearly. Origins that reach no room keep their share.
    """
    supply = requests + 1e-6
    total = room.sum(axis=-1, keepdims=True)
    demand = room * (supply.sum(axis=-1, keepdims=True) / np.where(total > 0, total, 1))
    base = np.where(open_to, share + leak / share.shape[-1], 0.0)
    flow = base * supply[..., None]
    for _ in range(ROUNDS):
        flow = flow * (demand / np.maximum(flow.sum(axis=-2), TINY))[..., None, :]
        flow = flow * (supply / np.maximum(flow.sum(axis=-1), TINY))[..., None]
    sent = flow.sum(axis=-1, keepdims=True)
    return np.where(sent > TINY, flow / np.maximum(sent, TINY), share)


def spilled(flow: np.ndarray, room: np.ndarray, open_to: np.ndarray, usd: np.ndarray) -> np.ndarray:
    """(R, R) ``flow`` with what exceeds the ``room`` (R,) of regions moved to the cheapest
    open ones that have some; what finds none stays where it was sent."""
    inflow = flow.sum(axis=0)
    over = np.maximum(inflow - room, 0)
    if not over.any():
        return flow
    moved = apportion(over, (flow / np.maximum(inflow, 1)).T).T
    left = np.maximum(room - inflow, 0)
    found = send_cheapest(moved.sum(axis=1), left, np.where(open_to, usd, np.inf))
    stays = apportion(moved.sum(axis=1) - found.sum(axis=1), _rows_to_one(moved))
    return flow - moved + found + stays


def _rows_to_one(flow: np.ndarray) -> np.ndarray:
    total = flow.sum(axis=1, keepdims=True)
    return flow / np.maximum(total, 1)


class TransportTarget:
    """The macro layer's optimal transport, slot by slot."""

    def __init__(self, tables: Tables, parameters: Parameters):
        from torta_opt.transport.one_slot import load_pot

        load_pot()  # takes half a second: now, not in the first decision
        system, weights = tables.system, tables.system.weights
        self._tables = tables
        self._parameters = parameters
        self._latency_usd = weights.time_usd_per_s * np.nan_to_num(system.latency_s)
        able = tables.can_serve
        work_ms = np.where(able, tables.work_ms, 1)
        self._per_slot = np.where(able, system.slot_ms / work_ms, 0.0)
        peak_kw = system.peak_kw[system.server_type, None]
        self._request_kwh = np.where(able, peak_kw * work_ms / 3.6e6, 0.0)

    def see(self, observation: Observation, expected: np.ndarray) -> None:
        """Capacity, power and network costs of a slot in which ``expected`` (R, C) is the mix."""
        tables, parameters = self._tables, self._parameters
        system, weights = tables.system, tables.system.weights
        regions, _, classes = tables.sizes
        total = expected.sum()
        mix = expected.sum(axis=0) / total if total > 0 else np.full(classes, 1 / classes)
        rate = np.where(observation.up[:, None], self._per_slot, 0.0) * mix
        by_region = np.bincount(system.server_region, rate.sum(axis=1), regions)
        energy = np.bincount(system.server_region, (rate * self._request_kwh).sum(axis=1), regions)
        request_kwh = energy / np.where(by_region > 0, by_region, 1.0)
        self.capacity = by_region
        power_usd = weights.energy_factor * observation.price * request_kwh
        network_usd = self._latency_usd + weights.transfer_factor * (system.transfer_usd @ mix)
        self.usd = parameters.power_weight * power_usd + parameters.network_weight * network_usd

    def shares(self, requests: np.ndarray) -> np.ndarray:
        """(R, R) Prob for ``requests`` (R,) by origin; origins without any stay at home if they may
        and else take the cheapest region."""
        plan = self._plan(requests.astype(float))
        allowed = self._tables.system.allowed
        cheapest = np.where(allowed, self.usd, np.inf).argmin(axis=1)
        origins = np.arange(len(plan))
        forbidden = np.where(allowed, 0.0, plan).sum(axis=1)
        plan = np.where(allowed, plan, 0.0)
        plan[origins, cheapest] += forbidden
        sent = plan.sum(axis=1)
        home = np.where(np.diag(allowed), origins, cheapest)
        plan[sent <= 0, home[sent <= 0]] = 1.0
        return plan / plan.sum(axis=1, keepdims=True)

    def _plan(self, requests: np.ndarray) -> np.ndarray:
        """(R, R) P*, over forbidden pairs only where nothing else carries the marginals."""
        from torta_opt.transport.one_slot import transport

        total = requests.sum()
        capacity: np.ndarray = self.capacity
        if total == 0:
            return np.zeros((len(requests), len(requests)))
        if capacity.sum() == 0:
            capacity = np.ones(len(capacity))
        allowed = self._tables.system.allowed
        detour = 2 * sum(self.usd.shape) * np.ptp(self.usd) + 1.0
        usd = np.where(allowed, self.usd, self.usd.max() + detour)
        if self._parameters.target == "equal":
            return transport(usd, requests, capacity * (total / capacity.sum())).plan
        room = capacity * max(self._parameters.headroom, total / capacity.sum())
        return transport(usd, requests, room, "at_most").plan
