"""Queues and costs of the instances of a stack, slot by slot, by the rules of ``schedule.step``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from torta_opt.allocation.learning.stacked_instances import Stack
from torta_opt.allocation.learning.stacked_policy import StackedDecision
from torta_opt.allocation.policies.base import Observation
from torta_opt.allocation.policies.dispatch import Tables
from torta_opt.allocation.schedule.data import Command, Schedule
from torta_opt.allocation.schedule.step import State, initial_state


class StackedRun:
    """N instances that are run side by side.

    state         of all servers and regions; its ``routing`` is empty
    routing       (N, R, R) requests of the slot before
    utilisation   (N, R) share of the usable server time of the slot before that was used
    """

    def __init__(self, stack: Stack):
        self.stack = stack
        self._tables = Tables(stack.system)
        self._oldest = int(stack.system.deadline_slots.max())
        weights = [each.system.weights for each in stack.instances]
        self._expiry_usd = np.stack([each.expiry_usd for each in weights])
        self._reroute_usd = np.array([each.reroute_usd for each in weights])
        self._frobenius_usd = np.array([each.frobenius_usd for each in weights])

    def begin(self) -> None:
        """The state before slot 0."""
        firsts = [initial_state(each) for each in self.stack.instances]
        self.state = _joined(firsts)
        self.routing = np.stack([first.routing for first in firsts])
        self.utilisation = np.zeros((self.stack.count, self.stack.regions))
        self.forget()

    def forget(self) -> None:
        """Leave what was decided so far out of ``schedules``."""
        self._record: list[StackedDecision] = []

    def advance(
        self, observation: Observation, decided: StackedDecision, is_last: np.ndarray
    ) -> np.ndarray:
        """Move the state on; (N, 11) costs of the slot, $ by component as ``evaluate`` names them.

        ``is_last`` (N,): the horizon ends with the slot, and what waits expires.
        """
        system, state, fleet = self.stack.system, self.state, decided.fleet
        queues = self._queues(decided, is_last)
        costs = self._costs(observation, decided, queues)
        busy = self._tables.busy_ms(decided.processing)
        count = self.stack.count
        size = count * self.stack.regions
        usable = np.bincount(system.server_region, fleet.usable_ms, size)
        worked = np.bincount(system.server_region, busy, size)
        self.utilisation = (worked / np.maximum(usable, 1)).reshape(count, -1)
        self.routing = decided.routing.sum(axis=3)
        self.state = State(
            slot=state.slot + 1,
            model=fleet.model,
            loading_ms=fleet.loading_ms_after,
            waiting=queues[1],
            processing=decided.processing,
            routing=state.routing,
        )
        self._record.append(decided)
        return costs

    def schedules(self) -> list[Schedule]:
        """What was decided since ``begin`` or ``forget``, one schedule per instance."""
        stack = self.stack
        command = np.stack([decided.command for decided in self._record])
        model = np.stack([decided.model for decided in self._record])
        routing = np.stack([decided.routing for decided in self._record])
        processing = np.stack([decided.processing for decided in self._record])
        schedules = []
        for n in range(stack.count):
            own = stack.owner == n
            schedules.append(
                Schedule(routing[:, n], command[:, own], model[:, own], processing[:, own])
            )
        return schedules

    def _queues(
        self, decided: StackedDecision, is_last: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """FIFO by age: expired (N·R, C), waiting (N·R, C, A)."""
        system, waiting = self.stack.system, self.state.waiting
        inflow = decided.routing.sum(axis=1).reshape(len(waiting), -1)
        queue = np.concatenate([inflow[:, :, None], waiting], axis=2)
        size, classes = inflow.shape
        cell = system.server_region[:, None] * classes + np.arange(classes)
        served = np.bincount(cell.ravel(), decided.processing.ravel(), size * classes)
        served = served.astype(np.int64).reshape(size, classes)
        older = queue[:, :, ::-1].cumsum(axis=2)[:, :, ::-1] - queue
        left = queue - np.clip(served[:, :, None] - older, 0, queue)
        due = np.arange(self._oldest + 1) >= system.deadline_slots[:, None]
        due = due | np.repeat(is_last, self.stack.regions)[:, None, None]
        return np.where(due, left, 0).sum(axis=2), np.where(due, 0, left)[:, :, : self._oldest]

    def _costs(
        self,
        observation: Observation,
        decided: StackedDecision,
        queues: tuple[np.ndarray, np.ndarray],
    ) -> np.ndarray:
        system, stack, state = self.stack.system, self.stack, self.state
        fleet, routing, processing = decided.fleet, decided.routing, decided.processing
        one, weights = stack.instances[0].system, system.weights
        kind, region, owner = system.server_type, system.server_region, stack.owner

        def by_instance(usd: np.ndarray) -> np.ndarray:
            return np.bincount(owner, usd, stack.count)

        hot = np.minimum(processing, system.hot_permille * state.processing // 1000)
        cold_s = np.nan_to_num(system.service_s)[kind]
        hot_s = np.nan_to_num(system.hot_service_s)[kind]
        service_s = ((processing - hot) * cold_s + hot * hot_s).sum(axis=1)
        idle_kw, peak_kw = system.idle_kw[kind], system.peak_kw[kind]
        busy_h = self._tables.busy_ms(processing) / 3.6e6
        energy_kwh = fleet.on * idle_kw * system.slot_hours + (peak_kw - idle_kw) * busy_h
        rent = fleet.on * system.rent_usd_per_hour[region, kind] * system.slot_hours
        starts, switches = decided.command == Command.START, decided.command == Command.SWITCH
        held = np.maximum(decided.model, 0)
        latency = np.where(one.allowed, one.latency_s, 0.0)
        moved, frobenius = _rerouting(routing.sum(axis=3), self.routing)
        time, loading = weights.time_usd_per_s, weights.loading_factor
        expired, waiting = queues
        waits = waiting.reshape(stack.count, -1).sum(axis=1)
        lost = expired.reshape(stack.count, stack.regions, -1).sum(axis=1)
        columns = [
            time * (routing.sum(axis=3) * latency).sum(axis=(1, 2)),
            weights.transfer_factor * (routing * one.transfer_usd).sum(axis=(1, 2, 3)),
            time * by_instance(service_s),
            time * system.slot_s * waits,
            weights.energy_factor * by_instance(energy_kwh * observation.price[region]),
            weights.rent_factor * by_instance(rent),
            loading * by_instance(np.where(starts, system.start_usd[kind, held], 0.0)),
            loading * by_instance(np.where(switches, system.switch_usd[kind, held], 0.0)),
            self._reroute_usd * moved,
            self._frobenius_usd * frobenius,
            (lost * self._expiry_usd).sum(axis=1),
        ]
        return np.stack(columns, axis=1)


def _joined(states: Sequence[State]) -> State:
    """One state of all servers and regions; ``routing`` is kept by instance, beside it."""
    return State(
        slot=0,
        model=np.concatenate([state.model for state in states]),
        loading_ms=np.concatenate([state.loading_ms for state in states]),
        waiting=np.concatenate([state.waiting for state in states]),
        processing=np.concatenate([state.processing for state in states]),
        routing=np.zeros((0, 0), np.int64),
    )


def _rerouting(now: np.ndarray, before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) re-routed requests and ‖A_t − A_{t−1}‖_F² of flows (N, R, R)."""
    total, last = now.sum(axis=2), before.sum(axis=2)
    both = (total > 0) & (last > 0)
    change = now / np.maximum(total, 1)[:, :, None] - before / np.maximum(last, 1)[:, :, None]
    change = np.where(both[:, :, None], change, 0.0)
    moved = np.minimum(total, last) * np.abs(change).sum(axis=2) / 2
    return moved.sum(axis=1), (change**2).sum(axis=(1, 2))
