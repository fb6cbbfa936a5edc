"""Run a policy over an instance, slot by slot, showing it nothing later than the slot it decides.

What a policy sees of arrivals, availability and prices lies in buffers that are filled as time goes
on: the future is not hidden behind the arrays it holds, it is not there yet.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.instance.document import instance_sha256
from torta_opt.allocation.policies.base import PRICE_HOURS, Decision, Observation, Policy, State
from torta_opt.allocation.policies.failures import PolicyFailed, blamed_on
from torta_opt.allocation.schedule.data import MAX_FORECAST, Schedule
from torta_opt.allocation.schedule.step import initial_state, slot_data, step
from torta_opt.io.errors import VerificationFailed

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Run:
    """A schedule, the wall-clock seconds it took, and those of each decision, (T,)."""

    schedule: Schedule
    seconds: float
    slot_seconds: np.ndarray


def run(policy: Policy, instance: Instance, seed: int = 0, progress: Progress | None = None) -> Run:
    """Every slot of ``instance`` decided by ``policy``.

    ``progress`` is called with the number of slots done and of all slots. Raises PolicyFailed,
    naming policy and slot, if the policy raises or a decision breaks a rule.
    """
    begin = time.perf_counter()
    name, is_ours = _name(policy), type(policy).__module__.startswith("torta_opt.")
    system = instance.system
    tables = _empty_tables(instance)
    forecast: np.ndarray | None = None
    slot_seconds = np.zeros(instance.slots)
    memory = _Memory(instance)
    with blamed_on(name, "reset", is_ours=is_ours):
        policy.reset(system, seed)
    state = initial_state(instance)
    for t in range(instance.slots):
        observation = memory.observe(t, state)
        start = time.perf_counter()
        with blamed_on(name, f"slot {t}", is_ours=is_ours):
            decision = policy.decide(observation)
            expected = policy.forecast()
            slot_seconds[t] = time.perf_counter() - start
            decision = _as_tables(name, t, decision, tables)
            forecast = _remember(name, forecast, expected, t, instance)
        try:
            state = step(system, state, slot_data(instance, t), decision).state
        except VerificationFailed as error:
            raise PolicyFailed(name, str(error)) from None
        for field, table in tables.items():
            table[t] = getattr(decision, field)
        if progress is not None:
            progress(t + 1, instance.slots)
    schedule = Schedule(
        **tables,
        forecast=forecast,
        method=name,
        seed=seed,
        instance=instance.name,
        instance_sha256=instance_sha256(instance),
    )
    return Run(schedule, time.perf_counter() - begin, slot_seconds)


def first_observation(instance: Instance) -> Observation:
    """What a policy sees in slot 0."""
    return _Memory(instance).observe(0, initial_state(instance))


def _name(policy: Policy) -> str:
    """Name of the policy, with which its schedules are labelled."""
    kind = type(policy).__name__
    with blamed_on(kind, "name"):
        name = policy.name
    if not (isinstance(name, str) and name and name.isprintable()):
        raise PolicyFailed(kind, "its name must be text, not empty and without control characters")
    return name


class _Memory:
    """Arrivals and outages up to this slot."""

    def __init__(self, instance: Instance):
        self._instance = instance
        self._arrivals = np.zeros_like(instance.arrivals)
        self._up = np.zeros_like(instance.up)
        self._price = np.zeros_like(instance.price_usd_per_kwh)
        self._ahead = max(1, PRICE_HOURS * 3_600_000 // instance.system.slot_ms)
        self._priced = 0

    def observe(self, t: int, state: State) -> Observation:
        instance = self._instance
        self._arrivals[t] = instance.arrivals[t]
        self._up[t] = instance.up[t]
        until = min(t + self._ahead, instance.slots)
        self._price[self._priced : until] = instance.price_usd_per_kwh[self._priced : until]
        self._priced = until
        for field in fields(state):
            value = getattr(state, field.name)
            if isinstance(value, np.ndarray):
                value.setflags(write=False)
        return Observation(
            slot=t,
            arrivals=_view(self._arrivals[t]),
            up=_view(self._up[t]),
            past_arrivals=_view(self._arrivals[:t]),
            past_up=_view(self._up[:t]),
            price_ahead=_view(self._price[t:until]),
            state=state,
        )


def _view(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.setflags(write=False)
    return view


def _empty_tables(instance: Instance) -> dict[str, np.ndarray]:
    system = instance.system
    slots, regions = instance.slots, len(system.regions)
    servers, classes = len(system.servers), len(system.classes)
    return {
        "routing": np.zeros((slots, regions, regions, classes), np.int64),
        "command": np.zeros((slots, servers), np.int64),
        "command_model": np.zeros((slots, servers), np.int64),
        "processing": np.zeros((slots, servers, classes), np.int64),
    }


def _as_tables(
    policy: str, slot: int, decision: Decision, tables: dict[str, np.ndarray]
) -> Decision:
    """The decision as integer arrays of the right shape, its own copies."""
    lacking = [name for name in tables if not hasattr(decision, name)]
    if lacking:
        raise PolicyFailed(
            policy,
            f"slot {slot}: decide returned {type(decision).__name__}, which has no "
            f"{', '.join(lacking)}; it must return a Decision",
        )
    arrays = {}
    for name, table in tables.items():
        array = np.asarray(getattr(decision, name))
        if array.shape != table.shape[1:] or array.dtype.kind not in "iu":
            raise PolicyFailed(
                policy,
                f"slot {slot}: {name} must be integers of shape {table.shape[1:]}, "
                f"found {array.dtype} of shape {array.shape}",
            )
        arrays[name] = array.astype(np.int64)
    return Decision(**arrays)


def _remember(
    policy: str,
    forecast: np.ndarray | None,
    expected: np.ndarray | None,
    t: int,
    instance: Instance,
) -> np.ndarray | None:
    """Write what is expected of slot t+1; the first slot was never forecast and stays 0."""
    if expected is None:
        return forecast
    if forecast is None:
        forecast = np.zeros(instance.arrivals.shape[:2])
    expected = np.asarray(expected, float)
    within = (expected >= 0) & (expected <= MAX_FORECAST)
    if expected.shape != forecast.shape[1:] or not within.all():
        raise PolicyFailed(
            policy,
            f"slot {t}: the forecast must be {forecast.shape[1]} numbers from 0 to "
            f"{MAX_FORECAST:g}",
        )
    if t + 1 < instance.slots:
        forecast[t + 1] = expected
    return forecast
