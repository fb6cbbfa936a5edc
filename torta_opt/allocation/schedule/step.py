"""One slot forward: the transition shared by the policy runner and the learning environment.

Written apart from ``evaluate``, which prices whole schedules at once; the tests hold the two to
each other and to a slow reference. A decision that breaks a rule raises ``VerificationFailed``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.instance.data import OFF, Instance, System
from torta_opt.allocation.schedule.data import Command
from torta_opt.io.errors import VerificationFailed


@dataclass(frozen=True, eq=False)
class State:
    """What the slot before left behind, at the start of slot ``slot``.

    model        (S,) model of each server, −1 if off; outages of this slot not yet applied
    loading_ms   (S,) loading time left, 0 if ready or off
    waiting      (R, C, A) requests of class c waiting in region j that arrived a+1 slots ago;
                 A = max ℓ
    processing   (S, C) requests processed in the slot before
    routing      (R, R) requests routed from i to j in the slot before
    """

    slot: int
    model: np.ndarray
    loading_ms: np.ndarray
    waiting: np.ndarray
    processing: np.ndarray
    routing: np.ndarray


@dataclass(frozen=True, eq=False)
class SlotData:
    """What the outside brings in one slot: arrivals (R, C), price $/kWh (R,), up (S,)."""

    slot: int
    arrivals: np.ndarray
    price: np.ndarray
    up: np.ndarray
    is_last: bool


@dataclass(frozen=True, eq=False)
class Decision:
    """Everything decided in one slot; shapes as one slot of a ``Schedule``."""

    routing: np.ndarray
    command: np.ndarray
    command_model: np.ndarray
    processing: np.ndarray


@dataclass(frozen=True, eq=False)
class Fleet:
    """The servers of one slot once outages and commands are applied.

    model             (S,) model that is ready or loading, −1 if off or down
    on                (S,) bool, draws power and pays rent
    usable_ms         (S,) time for processing
    loading_ms_after  (S,) loading time left at the end of the slot
    """

    model: np.ndarray
    on: np.ndarray
    usable_ms: np.ndarray
    loading_ms_after: np.ndarray


@dataclass(frozen=True, eq=False)
class StepResult:
    """The next state, the slot's cost by component in $, requests served and expired (R, C)."""

    state: State
    costs: dict[str, float]
    served: np.ndarray
    expired: np.ndarray

    @property
    def cost(self) -> float:
        return sum(self.costs.values())


def initial_state(instance: Instance) -> State:
    """The state before slot 0."""
    initial, system = instance.initial, instance.system
    oldest = int(system.deadline_slots.max())
    waiting = np.zeros((len(system.regions), len(system.classes), oldest), np.int64)
    waiting[:, :, : initial.backlog.shape[2]] = initial.backlog[:, :, :oldest]
    return State(
        slot=0,
        model=initial.model,
        loading_ms=initial.loading_ms,
        waiting=waiting,
        processing=initial.processing,
        routing=initial.routing,
    )


def slot_data(instance: Instance, t: int) -> SlotData:
    """What slot t of an instance brings."""
    return SlotData(
        slot=t,
        arrivals=instance.arrivals[t],
        price=instance.price_usd_per_kwh[t],
        up=instance.up[t],
        is_last=t == instance.slots - 1,
    )


def apply_commands(
    system: System, state: State, up: np.ndarray, command: np.ndarray, command_model: np.ndarray
) -> Fleet:
    """Outages first, then commands. Raises VerificationFailed on an illegal command."""
    model = np.where(up, state.model, OFF)
    loading = np.where(up, state.loading_ms, 0)
    _check_commands(system, state.slot, up, model, loading, command, command_model)
    kind = system.server_type
    loads = (command == Command.START) | (command == Command.SWITCH)
    target = np.where(loads, command_model, 0)
    start, switch = system.start_ms[kind, target], system.switch_ms[kind, target]
    loading = np.where(command == Command.START, start, loading)
    loading = np.where(command == Command.SWITCH, switch, loading)
    model = np.where(loads, target, np.where(command == Command.STOP, OFF, model))
    on = model != OFF
    lost = np.minimum(loading, system.slot_ms)
    return Fleet(
        model=model,
        on=on,
        usable_ms=np.where(on, system.slot_ms - lost, 0),
        loading_ms_after=loading - lost,
    )


def step(system: System, state: State, data: SlotData, decision: Decision) -> StepResult:
    """Apply one slot's decisions; the cost of the slot and the state it leaves."""
    fleet = apply_commands(system, state, data.up, decision.command, decision.command_model)
    _check_routing(system, data, decision.routing)
    _check_processing(system, state.slot, fleet, decision.processing)
    waiting, served, expired = _queues(system, state, data, decision)
    following = State(
        slot=state.slot + 1,
        model=fleet.model,
        loading_ms=fleet.loading_ms_after,
        waiting=waiting,
        processing=decision.processing,
        routing=decision.routing.sum(axis=2),
    )
    costs = _costs(system, state, data, decision, fleet, waiting, expired)
    return StepResult(following, costs, served, expired)


def _queues(
    system: System, state: State, data: SlotData, decision: Decision
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """FIFO by age: what waits at the end of the slot by age (R, C, A), served, expired (R, C)."""
    regions, classes, oldest = state.waiting.shape
    queue = np.zeros((regions, classes, oldest + 1), np.int64)  # by age, 0 = just arrived
    queue[:, :, 0] = decision.routing.sum(axis=0)
    queue[:, :, 1:] = state.waiting
    served = np.zeros((regions, classes), np.int64)
    np.add.at(served, system.server_region, decision.processing)
    short = served > queue.sum(axis=2)
    if short.any():
        j, c = np.argwhere(short)[0]
        _fail(
            state.slot,
            f"region {system.regions[j]!r} serves {served[j, c]} requests of class "
            f"{system.classes[c]!r}, only {queue[j, c].sum()} wait there",
        )
    older = queue[:, :, ::-1].cumsum(axis=2)[:, :, ::-1] - queue  # strictly older requests
    left = queue - np.clip(served[:, :, None] - older, 0, queue)
    ages = np.arange(oldest + 1)
    due = (ages[None, :] >= system.deadline_slots[:, None]) | data.is_last
    expired = np.where(due, left, 0).sum(axis=2)
    return np.where(due, 0, left)[:, :, :oldest], served, expired


def _costs(
    system: System,
    state: State,
    data: SlotData,
    decision: Decision,
    fleet: Fleet,
    waiting: np.ndarray,
    expired: np.ndarray,
) -> dict[str, float]:
    weights, kind, region = system.weights, system.server_type, system.server_region
    flow = decision.routing
    latency = np.where(system.allowed, system.latency_s, 0.0)
    hot = np.minimum(decision.processing, system.hot_permille * state.processing // 1000)
    cold_s, hot_s = np.nan_to_num(system.service_s), np.nan_to_num(system.hot_service_s)
    busy_h = (decision.processing * system.server_ms[kind]).sum(axis=1) / 3.6e6
    idle_kw, peak_kw = system.idle_kw[kind], system.peak_kw[kind]
    energy_kwh = fleet.on * idle_kw * system.slot_hours + (peak_kw - idle_kw) * busy_h
    rent = fleet.on * system.rent_usd_per_hour[region, kind] * system.slot_hours
    started, switched = decision.command == Command.START, decision.command == Command.SWITCH
    target = np.where(started | switched, decision.command_model, 0)
    moved, frobenius = _rerouting(flow.sum(axis=2), state.routing)
    service_s = ((decision.processing - hot) * cold_s[kind] + hot * hot_s[kind]).sum()
    time = weights.time_usd_per_s
    return {
        "network": float(time * (flow.sum(axis=2) * latency).sum()),
        "transfer": float(weights.transfer_factor * (flow * system.transfer_usd).sum()),
        "service": float(time * service_s),
        "waiting": float(time * system.slot_s * waiting.sum()),
        "energy": float(weights.energy_factor * (energy_kwh * data.price[region]).sum()),
        "rent": float(weights.rent_factor * rent.sum()),
        "starts": float(weights.loading_factor * system.start_usd[kind, target][started].sum()),
        "switches": float(weights.loading_factor * system.switch_usd[kind, target][switched].sum()),
        "rerouting": float(weights.reroute_usd * moved),
        "frobenius": float(weights.frobenius_usd * frobenius),
        "expiry": float((expired * weights.expiry_usd).sum()),
    }


def _rerouting(now: np.ndarray, before: np.ndarray) -> tuple[float, float]:
    """Re-routed requests and ‖A_t − A_{t−1}‖_F² of two flow matrices (R, R)."""
    total, last = now.sum(axis=1), before.sum(axis=1)
    both = (total > 0) & (last > 0)
    change = now[both] / total[both, None] - before[both] / last[both, None]
    moved = (np.minimum(total, last)[both] * np.abs(change).sum(axis=1)).sum() / 2
    return float(moved), float((change**2).sum())


def _check_commands(
    system: System,
    slot: int,
    up: np.ndarray,
    model: np.ndarray,
    loading: np.ndarray,
    command: np.ndarray,
    command_model: np.ndarray,
) -> None:
    told = command != Command.NONE
    loads = (command == Command.START) | (command == Command.SWITCH)
    ready = (model != OFF) & (loading == 0)
    named = (command_model >= 0) & (command_model < len(system.models))
    held = system.holds[system.server_type, np.where(named, command_model, 0)]
    known = (command >= Command.NONE) & (command <= Command.SWITCH)
    broken = {
        "gets an unknown command": ~known,
        "is down and gets a command": told & ~up,
        "is started but is not off": (command == Command.START) & (model != OFF),
        "is stopped but is not ready": (command == Command.STOP) & ~ready,
        "is switched but is not ready": (command == Command.SWITCH) & ~ready,
        "is switched to the model it has": (command == Command.SWITCH) & (command_model == model),
        "names a model exactly when it loads one": loads != (command_model != OFF),
        "loads a model its type cannot hold": loads & ~(named & held),
    }
    for rule, where in broken.items():
        if where.any():
            _fail(slot, f"server {system.servers[int(np.argmax(where))]!r} {rule}")


def _check_routing(system: System, data: SlotData, routing: np.ndarray) -> None:
    if (routing < 0).any():
        _fail(data.slot, "routes a negative number of requests")
    if np.any(routing, axis=2)[~system.allowed].any():
        _fail(data.slot, "routes requests over a forbidden pair")
    # no single route may exceed the arrivals, so that their sum cannot overflow to the right number
    beyond = (routing > data.arrivals[:, None, :]).any(axis=1)
    wrong = beyond | (routing.sum(axis=1) != data.arrivals)
    if wrong.any():
        i, c = np.argwhere(wrong)[0]
        routed = sum(routing[i, :, c].tolist())
        _fail(
            data.slot,
            f"region {system.regions[i]!r} routes {routed} requests of class "
            f"{system.classes[c]!r}, {data.arrivals[i, c]} arrived",
        )


def _check_processing(system: System, slot: int, fleet: Fleet, processing: np.ndarray) -> None:
    if (processing < 0).any():
        _fail(slot, "processes a negative number of requests")
    work_ms = system.server_ms[system.server_type]
    fits = (system.class_model == fleet.model[:, None]) & (work_ms > 0)
    if (processing[~fits] > 0).any():
        s, c = np.argwhere((processing > 0) & ~fits)[0]
        _fail(
            slot,
            f"server {system.servers[s]!r} cannot process class {system.classes[c]!r} as it is",
        )
    # compared class by class first, so that the sum of products below cannot overflow
    beyond = processing > fleet.usable_ms[:, None] // np.maximum(work_ms, 1)
    busy = np.where(beyond, 0, processing * work_ms).sum(axis=1)
    over = beyond.any(axis=1) | (busy > fleet.usable_ms)
    if over.any():
        s = int(np.argmax(over))
        _fail(
            slot,
            f"server {system.servers[s]!r} works for more than its {fleet.usable_ms[s]} usable ms",
        )


def _fail(slot: int, message: str) -> None:
    raise VerificationFailed(f"slot {slot}: {message}")
