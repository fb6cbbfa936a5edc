"""TORTA's macro layer as a learning environment: the action is A_t, all else is the micro layer.

``BatchedMacro`` steps N instances at once (numpy only); ``MacroEnv`` is the Gymnasium environment
of one. State and action are those of ``policies.macro_state``. The reward is

    paper   −‖A_t − P_t‖_F² − λ1‖A_t − A_{t−1}‖_F² − λ2 ‖Q_t‖₁ / Q_max       (3) of arXiv 2507.10259
    cost    −(cost of the slot in $) / ``cost_unit_usd``

P_t is row-stochastic here (the paper's P* is a joint mass, which A_t cannot be compared with), and
Q_max the requests that all servers could process in a slot. ``cost_unit_usd`` is the floor of an
average slot's service, so that rewards are of order one.

Costs are not modelled: every slot is decided by the policy's own micro layer and priced by the
rules of ``schedule``; ``evaluate`` of the recorded ``schedule`` gives the same number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np

from torta_opt.allocation.instance.data import OFF, Instance
from torta_opt.allocation.learning.stacked_instances import Stack
from torta_opt.allocation.learning.stacked_policy import StackedMicro
from torta_opt.allocation.policies.base import Observation
from torta_opt.allocation.policies.dispatch import Tables
from torta_opt.allocation.policies.forecasters import forecaster
from torta_opt.allocation.policies.macro_state import (
    HISTORY,
    FleetView,
    feature_count,
    features,
    last_shares,
    request_scale,
    row_shares,
)
from torta_opt.allocation.policies.torta_ot import Parameters, TransportTarget
from torta_opt.allocation.schedule.data import Command, Schedule
from torta_opt.allocation.schedule.step import Fleet, State, initial_state
from torta_opt.io import InvalidInput

REWARDS = ("cost", "paper")


@dataclass(frozen=True)
class Task:
    """What is to be learned.

    reward          ``cost`` or ``paper``
    smooth_weight   λ1 of (3)
    queue_weight    λ2 of (3)
    episode_slots   slots of an episode; None: the whole horizon
    settle_slots    an episode that begins later than slot 0 is preceded by so many slots under
                    A_t = P_t, so that it does not begin with a cold fleet
    forecaster      a name of ``policies.forecasters``; the micro layer plans by it
    micro           parameters of ``torta_ot`` for the micro layer
    """

    reward: str = "cost"
    smooth_weight: float = 1.0
    queue_weight: float = 1.0
    episode_slots: int | None = None
    settle_slots: int = 10
    forecaster: str = "smoothed"
    micro: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.reward not in REWARDS:
            raise InvalidInput(f"must be one of {', '.join(REWARDS)}", field="reward")
        for name in ("smooth_weight", "queue_weight"):
            if not 0 <= getattr(self, name) <= 1e6:
                raise InvalidInput("must be a number in [0, 1e6]", field=name)
        if self.episode_slots is not None and self.episode_slots < 1:
            raise InvalidInput("must be at least 1", field="episode_slots")
        if self.settle_slots < 0:
            raise InvalidInput("must be at least 0", field="settle_slots")


class BatchedMacro:
    """N instances, stepped together; see the module."""

    def __init__(self, instances: Sequence[Instance], task: Task | None = None, seed: int = 0):
        self.task = task or Task()
        self.stack = Stack.of(instances)
        self.rng = np.random.default_rng(seed)
        self._micro = StackedMicro(**self.task.micro)
        self._oldest = int(self.stack.system.deadline_slots.max())
        self._scale = np.array([request_scale(each.system) for each in instances])
        self._know_the_outside()
        self.slots = self.stack.instances[0].slots
        length = self.task.episode_slots or self.slots
        self.episode_slots = min(length, self.slots)

    @property
    def count(self) -> int:
        return self.stack.count

    @property
    def regions(self) -> int:
        return self.stack.regions

    @property
    def feature_count(self) -> int:
        system = self.stack.system
        return feature_count(self.regions, len(system.classes), len(system.models))

    def reset(self, start: np.ndarray | None = None) -> np.ndarray:
        """(N, F) states at slot ``start`` (N,), drawn at random unless whole horizons are run.

        The fleet begins as in slot 0, wherever the episode does, and then has ``settle_slots``.
        """
        if start is None:
            start = self.rng.integers(0, self.slots - self.episode_slots + 1, self.count)
        settle = min(self.task.settle_slots, int(start.min()))
        self.start, self.k = start, -settle
        self._micro.begin(self.stack, int(self.rng.integers(2**31)))
        firsts = [initial_state(each) for each in self.stack.instances]
        self._state = State(
            slot=0,
            model=np.concatenate([first.model for first in firsts]),
            loading_ms=np.concatenate([first.loading_ms for first in firsts]),
            waiting=np.concatenate([first.waiting for first in firsts]),
            processing=np.concatenate([first.processing for first in firsts]),
            routing=np.zeros((0, 0), np.int64),
        )
        self._routing = np.stack([first.routing for first in firsts])  # (N, R, R)
        self._utilisation = np.zeros((self.count, self.regions))
        self._last = last_shares(self._routing, self.target)
        self._record: list[tuple[np.ndarray, ...]] = []
        for _ in range(settle):
            self.step(self.target)
        self._record.clear()
        return self._features()

    @property
    def t(self) -> np.ndarray:
        """(N,) the slot of each instance."""
        return np.minimum(self.start + self.k, self.slots - 1)

    @property
    def target(self) -> np.ndarray:
        """(N, R, R) P_t"""
        return self._target[np.arange(self.count), self.t]

    @property
    def last(self) -> np.ndarray:
        """(N, R, R) A_{t−1}"""
        return self._last

    def step(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool, dict[str, Any]]:
        """States (N, F), rewards (N,), whether the episode is over, and ``info``.

        ``info``: costs (N, 11) $ by component as ``evaluate`` names them, share (N, R, R) A_t,
        target (N, R, R) P_t, queue (N,) requests waiting, change (N,) ‖A_t − A_{t−1}‖_F²,
        terminal: the horizon is over and not only the episode.
        """
        stack, every, t = self.stack, np.arange(self.count), self.t
        target, before = self.target, self._last
        share = row_shares(action, self._allowed, target)
        arrivals = stack.arrivals[every, t]
        up = stack.up[t[stack.owner], np.arange(len(stack.owner))]
        observation = Observation(
            slot=self._state.slot,
            arrivals=arrivals.reshape(-1, arrivals.shape[2]),
            up=up,
            past_arrivals=np.zeros((0, 0, 0)),
            past_up=np.zeros((0, 0)),
            price_ahead=stack.price[every, t].reshape(1, -1),
            state=self._state,
        )
        expected = self._expected[every, t].reshape(-1, arrivals.shape[2])
        fleet, command, model, routing, processing = self._micro.decide_shares(
            observation, share, self._usd[every, t], expected
        )
        costs = self._advance(observation, fleet, command, model, routing, processing)
        self._record.append((command, model, routing, processing))
        self._last = share
        self.k += 1
        queue = self._state.waiting.reshape(self.count, -1).sum(axis=1)
        change = ((share - before) ** 2).sum(axis=(1, 2))
        info = {
            "costs": costs,
            "share": share,
            "target": target,
            "queue": queue,
            "change": change,
            "terminal": bool((t == self.slots - 1).all()),
        }
        over = self.k >= self.episode_slots
        return self._features(), self._reward(info), over, info

    def schedules(self) -> list[Schedule]:
        """What was decided since ``reset``, one schedule per instance."""
        stack = self.stack
        command, model, routing, processing = (
            np.stack(part) for part in zip(*self._record, strict=True)
        )
        schedules = []
        for n in range(self.count):
            own = stack.owner == n
            schedules.append(
                Schedule(routing[:, n], command[:, own], model[:, own], processing[:, own])
            )
        return schedules

    def _reward(self, info: dict[str, Any]) -> np.ndarray:
        if self.task.reward == "cost":
            return -info["costs"].sum(axis=1) / self.cost_unit_usd
        return self.paper_reward(info)

    def paper_reward(self, info: dict[str, Any]) -> np.ndarray:
        """(N,) reward (3) of a slot."""
        away = ((info["share"] - info["target"]) ** 2).sum(axis=(1, 2))
        queue = info["queue"] / (self._scale * self.regions)
        return -away - self.task.smooth_weight * info["change"] - self.task.queue_weight * queue

    def _know_the_outside(self) -> None:
        """Forecasts, targets and costs of the transport: nothing in them depends on actions."""
        expected: list[np.ndarray] = []
        target: list[np.ndarray] = []
        usd: list[np.ndarray] = []
        units: list[float] = []
        parameters = self._micro.parameters
        known: dict[int, int] = {}  # the same instance may stand here several times
        for n, instance in enumerate(self.stack.instances):
            twin = known.setdefault(id(instance), n)
            if twin < n and self.task.forecaster != "corrupted":
                for each in (expected, target, usd):
                    each.append(each[twin])
                units.append(units[twin])
                continue
            system, tables = instance.system, Tables(instance.system)
            macro = TransportTarget(tables, parameters)
            future = forecaster(
                self.task.forecaster,
                self._micro.settings.smoothing,
                future=instance.arrivals,
                rng=np.random.default_rng(n),
            )
            forecasts = [future.update(arrivals) for arrivals in instance.arrivals]
            targets, dollars = _targets(instance, macro, forecasts)
            expected.append(np.stack(forecasts))
            target.append(targets)
            usd.append(dollars)
            seconds = np.nanmin(system.service_s, axis=0)
            arrived = instance.arrivals.sum(axis=(0, 1))
            units.append(system.weights.time_usd_per_s * (arrived * seconds).sum() / instance.slots)
        self._expected, self._target, self._usd = map(np.stack, (expected, target, usd))
        self.cost_unit_usd = np.maximum(np.array(units), 1e-9)
        self._allowed = self.stack.instances[0].system.allowed
        self._fleet = FleetView(Tables(self.stack.system), self.count)
        weights = [each.system.weights for each in self.stack.instances]
        self._expiry_usd = np.stack([each.expiry_usd for each in weights])
        self._reroute_usd = np.array([each.reroute_usd for each in weights])
        self._frobenius_usd = np.array([each.frobenius_usd for each in weights])

    def _features(self) -> np.ndarray:
        stack, every, t = self.stack, np.arange(self.count), self.t
        back = t[:, None] - np.arange(HISTORY)
        arrivals = stack.arrivals[every[:, None], np.maximum(back, 0)].sum(axis=3)
        history = np.where((back >= 0)[:, :, None], arrivals, 0)
        up = stack.up[t[stack.owner], np.arange(len(stack.owner))]
        return features(
            self._utilisation,
            self._state.waiting.sum(axis=(1, 2)).reshape(self.count, -1),
            history,
            self._expected[every, t].sum(axis=2),
            stack.price[every, t],
            self._fleet.see(up, np.where(up, self._state.model, OFF)),
            self._last,
            self.target,
            self._scale,
        )

    def _advance(
        self,
        observation: Observation,
        fleet: Fleet,
        command: np.ndarray,
        model: np.ndarray,
        routing: np.ndarray,
        processing: np.ndarray,
    ) -> np.ndarray:
        """Move the state on; (N, 11) costs of the slot."""
        system, state, count = self.stack.system, self._state, self.count
        expired, waiting = self._queues(routing, processing)
        costs = self._costs(observation, fleet, command, model, routing, processing)
        waits = waiting.reshape(count, -1).sum(axis=1)
        costs[:, 3] = system.weights.time_usd_per_s * system.slot_s * waits
        lost = expired.reshape(count, self.regions, -1).sum(axis=1)
        costs[:, 10] = (lost * self._expiry_usd).sum(axis=1)
        busy = self._micro.tables.busy_ms(processing)
        size = count * self.regions
        usable = np.bincount(system.server_region, fleet.usable_ms, size)
        worked = np.bincount(system.server_region, busy, size)
        self._utilisation = (worked / np.maximum(usable, 1)).reshape(count, -1)
        self._routing = routing.sum(axis=3)
        self._state = State(
            slot=state.slot + 1,
            model=fleet.model,
            loading_ms=fleet.loading_ms_after,
            waiting=waiting,
            processing=processing,
            routing=state.routing,
        )
        return costs

    def _queues(self, routing: np.ndarray, processing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """FIFO by age, as in ``schedule.step``: expired (N·R, C), waiting (N·R, C, A)."""
        system, waiting = self.stack.system, self._state.waiting
        inflow = routing.sum(axis=1).reshape(len(waiting), -1)
        queue = np.concatenate([inflow[:, :, None], waiting], axis=2)
        size, classes = inflow.shape
        cell = system.server_region[:, None] * classes + np.arange(classes)
        served = np.bincount(cell.ravel(), processing.ravel(), size * classes)
        served = served.astype(np.int64).reshape(size, classes)
        older = queue[:, :, ::-1].cumsum(axis=2)[:, :, ::-1] - queue
        left = queue - np.clip(served[:, :, None] - older, 0, queue)
        due = np.arange(self._oldest + 1) >= system.deadline_slots[:, None]
        last = np.repeat(self.t == self.slots - 1, self.regions)[:, None, None]
        due = due | last
        return np.where(due, left, 0).sum(axis=2), np.where(due, 0, left)[:, :, : self._oldest]

    def _costs(
        self,
        observation: Observation,
        fleet: Fleet,
        command: np.ndarray,
        model: np.ndarray,
        routing: np.ndarray,
        processing: np.ndarray,
    ) -> np.ndarray:
        """(N, 11) $ as ``schedule.step`` prices a slot; waiting and expiry still 0."""
        system, stack, state = self.stack.system, self.stack, self._state
        one, weights = stack.instances[0].system, system.weights
        kind, region, owner = system.server_type, system.server_region, stack.owner

        def by_instance(usd: np.ndarray) -> np.ndarray:
            return np.bincount(owner, usd, self.count)

        hot = np.minimum(processing, system.hot_permille * state.processing // 1000)
        cold_s = np.nan_to_num(system.service_s)[kind]
        hot_s = np.nan_to_num(system.hot_service_s)[kind]
        service_s = ((processing - hot) * cold_s + hot * hot_s).sum(axis=1)
        idle_kw, peak_kw = system.idle_kw[kind], system.peak_kw[kind]
        busy_h = self._micro.tables.busy_ms(processing) / 3.6e6
        energy_kwh = fleet.on * idle_kw * system.slot_hours + (peak_kw - idle_kw) * busy_h
        rent = fleet.on * system.rent_usd_per_hour[region, kind] * system.slot_hours
        starts, switches = command == Command.START, command == Command.SWITCH
        held = np.maximum(model, 0)
        latency = np.where(one.allowed, one.latency_s, 0.0)
        moved, frobenius = _rerouting(routing.sum(axis=3), self._routing)
        time, loading = weights.time_usd_per_s, weights.loading_factor
        none = np.zeros(self.count)
        columns = [
            time * (routing.sum(axis=3) * latency).sum(axis=(1, 2)),
            weights.transfer_factor * (routing * one.transfer_usd).sum(axis=(1, 2, 3)),
            time * by_instance(service_s),
            none,
            weights.energy_factor * by_instance(energy_kwh * observation.price[region]),
            weights.rent_factor * by_instance(rent),
            loading * by_instance(np.where(starts, system.start_usd[kind, held], 0.0)),
            loading * by_instance(np.where(switches, system.switch_usd[kind, held], 0.0)),
            self._reroute_usd * moved,
            self._frobenius_usd * frobenius,
            none,
        ]
        return np.stack(columns, axis=1)


class MacroEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """One instance as a Gymnasium environment: observation (F,), action (R·R,) in [0, 1]."""

    def __init__(self, instance: Instance, task: Task | None = None):
        self._batch = BatchedMacro([instance], task)
        size = self._batch.regions**2
        shape = (self._batch.feature_count,)
        self.observation_space = gymnasium.spaces.Box(-10.0, 10.0, shape, np.float32)
        self.action_space = gymnasium.spaces.Box(0.0, 1.0, (size,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self._batch.rng = np.random.default_rng(seed)
        return self._batch.reset()[0], {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        regions = self._batch.regions
        state, reward, over, info = self._batch.step(np.reshape(action, (1, regions, regions)))
        ended = bool(over and info["terminal"])
        facts = {"cost": float(info["costs"].sum()), "costs": info["costs"][0]}
        return state[0], float(reward[0]), ended, over and not ended, facts

    @property
    def target(self) -> np.ndarray:
        """(R, R) P_t, as a first guess for an action."""
        return self._batch.target[0]

    def schedule(self) -> Schedule:
        """What was decided since ``reset``."""
        return self._batch.schedules()[0]


def _targets(
    instance: Instance, macro: TransportTarget, forecasts: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """(T, R, R) row-stochastic targets and the transport costs they come from."""
    state = initial_state(instance)  # whatever it is: the transport looks at the outside only
    targets, usd = [], []
    for t, expected in enumerate(forecasts):
        seen = Observation(
            slot=t,
            arrivals=instance.arrivals[t],
            up=instance.up[t],
            past_arrivals=instance.arrivals[:t],
            past_up=instance.up[:t],
            price_ahead=instance.price_usd_per_kwh[t : t + 1],
            state=state,
        )
        macro.see(seen, expected)
        targets.append(macro.shares(instance.arrivals[t].sum(axis=1)))
        usd.append(macro.usd)
    return np.stack(targets), np.stack(usd)


def _rerouting(now: np.ndarray, before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) re-routed requests and ‖A_t − A_{t−1}‖_F² of flows (N, R, R)."""
    total, last = now.sum(axis=2), before.sum(axis=2)
    both = (total > 0) & (last > 0)
    change = now / np.maximum(total, 1)[:, :, None] - before / np.maximum(last, 1)[:, :, None]
    change = np.where(both[:, :, None], change, 0.0)
    moved = np.minimum(total, last) * np.abs(change).sum(axis=2) / 2
    return moved.sum(axis=1), (change**2).sum(axis=(1, 2))


__all__ = ["REWARDS", "BatchedMacro", "MacroEnv", "Parameters", "Task"]
