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
from typing import Any

import gymnasium
import numpy as np

from torta_opt.allocation.instance.data import OFF, Instance
from torta_opt.allocation.learning.outside import Outside
from torta_opt.allocation.learning.stacked_instances import Stack
from torta_opt.allocation.learning.stacked_policy import StackedMicro
from torta_opt.allocation.learning.stacked_run import StackedRun
from torta_opt.allocation.learning.task import Task
from torta_opt.allocation.policies.base import Observation
from torta_opt.allocation.policies.dispatch import Tables
from torta_opt.allocation.policies.macro_state import (
    HISTORY,
    FleetView,
    feature_count,
    features,
    last_shares,
    request_scale,
    row_shares,
)
from torta_opt.allocation.schedule.data import Schedule


class BatchedMacro:
    """N instances, stepped together; see the module."""

    def __init__(self, instances: Sequence[Instance], task: Task | None = None, seed: int = 0):
        self.task = task or Task()
        self.stack = Stack.of(instances)
        self.rng = np.random.default_rng(seed)
        self._micro = StackedMicro(**self.task.micro)
        self._run = StackedRun(self.stack)
        self._scale = np.array([request_scale(each.system) for each in instances])
        parameters, smoothing = self._micro.parameters, self._micro.settings.smoothing
        self._outside = Outside.stacked(instances, self.task, parameters, smoothing)
        self._allowed = self.stack.instances[0].system.allowed
        self._fleet = FleetView(Tables(self.stack.system), self.count)
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
    def cost_unit_usd(self) -> np.ndarray:
        """(N,) the floor of an average slot's service."""
        return self._outside.cost_unit_usd

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
        self._run.begin()
        self._last = last_shares(self._run.routing, self.target)
        for _ in range(settle):
            self.step(self.target)
        self._run.forget()
        return self.features()

    @property
    def t(self) -> np.ndarray:
        """(N,) the slot of each instance."""
        return np.minimum(self.start + self.k, self.slots - 1)

    @property
    def target(self) -> np.ndarray:
        """(N, R, R) P_t"""
        return self._outside.target[np.arange(self.count), self.t]

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
            slot=self._run.state.slot,
            arrivals=arrivals.reshape(-1, arrivals.shape[2]),
            up=up,
            past_arrivals=np.zeros((0, 0, 0)),
            past_up=np.zeros((0, 0)),
            price_ahead=stack.price[every, t].reshape(1, -1),
            state=self._run.state,
        )
        expected = self._outside.expected[every, t].reshape(-1, arrivals.shape[2])
        decided = self._micro.decide_shares(
            observation, share, self._outside.usd[every, t], expected
        )
        costs = self._run.advance(observation, decided, t == self.slots - 1)
        self._last = share
        self.k += 1
        queue = self._run.state.waiting.reshape(self.count, -1).sum(axis=1)
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
        return self.features(), self._reward(info), over, info

    def schedules(self) -> list[Schedule]:
        """What was decided since ``reset``, one schedule per instance."""
        return self._run.schedules()

    def _reward(self, info: dict[str, Any]) -> np.ndarray:
        if self.task.reward == "cost":
            return -info["costs"].sum(axis=1) / self.cost_unit_usd
        return self.paper_reward(info)

    def paper_reward(self, info: dict[str, Any]) -> np.ndarray:
        """(N,) reward (3) of a slot."""
        away = ((info["share"] - info["target"]) ** 2).sum(axis=(1, 2))
        queue = info["queue"] / (self._scale * self.regions)
        return -away - self.task.smooth_weight * info["change"] - self.task.queue_weight * queue

    def features(self) -> np.ndarray:
        """(N, F) the states, as the networks see them."""
        stack, every, t = self.stack, np.arange(self.count), self.t
        back = t[:, None] - np.arange(HISTORY)
        arrivals = stack.arrivals[every[:, None], np.maximum(back, 0)].sum(axis=3)
        history = np.where((back >= 0)[:, :, None], arrivals, 0)
        up = stack.up[t[stack.owner], np.arange(len(stack.owner))]
        return features(
            self._run.utilisation,
            self._run.state.waiting.sum(axis=(1, 2)).reshape(self.count, -1),
            history,
            self._outside.expected[every, t].sum(axis=2),
            stack.price[every, t],
            self._fleet.see(up, np.where(up, self._run.state.model, OFF)),
            self._last,
            self.target,
            self._scale,
        )


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
