"""Horizontal Pod Autoscaler: as many replicas as bring utilisation to a target.

After the Kubernetes documentation (Horizontal Pod Autoscaling, "Algorithm details" and
"Configurable scaling behavior"). For each deployment, in every slot, with n its replicas and u
their metric:

    recommended = ⌈n·u/target⌉, or n where |u/target − 1| ≤ tolerance

Replicas that are not ready yet are set aside. Where the ready ones ask for more, those not ready
count as unused; if the ratio then lies within the tolerance or asks for fewer, nothing changes. The
number of replicas goes up at once, by at most 100 % or 4 replicas per 15 s, whichever is more. It
goes down to the highest recommendation of the last ``stabilise_s`` seconds.

What differs here: a deployment may mix server types, which the formula takes for alike; the
controller acts once a slot, not every 15 s; a deployment at zero gets one replica as soon as
requests wait for it, which is what KEDA adds to Kubernetes. ``metric=utilisation`` is the share of
the last slot in which ready replicas worked, at most 1, so that a backlog raises n by 1/target at
most; ``metric=inflight`` adds what waits (the queue-based metrics that serving guides recommend).
"""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.policies.dispatch import Tables
from torta_opt.allocation.policies.fleets.rule import FleetRule, View, slots_of
from torta_opt.allocation.policies.settings import check_number
from torta_opt.io import InvalidInput

METRICS = ("utilisation", "inflight")
PERIOD_S = 15.0  # of the default scale-up policies
ROUNDING = 1e-9  # of a number of replicas, before it is rounded up


class Hpa(FleetRule):
    """See the module.

    target       utilisation to hold, in (0, 1]
    metric       ``utilisation`` or ``inflight``
    tolerance    relative distance from the target within which nothing changes
    stabilise_s  window of the scale-down, in seconds
    grow_share, grow_replicas    most that replicas grow by in 15 s: a share of them, or a number
    minimum      least number of replicas of each deployment, as far as the region has servers
    """

    def __init__(
        self,
        target: float = 0.7,
        metric: str = "inflight",
        tolerance: float = 0.1,
        stabilise_s: float = 300.0,
        grow_share: float = 1.0,
        grow_replicas: float = 4.0,
        minimum: int = 1,
    ):
        check_number("target", target, 0.01, 1)
        check_number("tolerance", tolerance, 0, 1)
        check_number("stabilise_s", stabilise_s, 0, 1e6)
        check_number("grow_share", grow_share, 0, 1e6)
        check_number("grow_replicas", grow_replicas, 0, 1e6)
        check_number("minimum", minimum, 0, 1e6)
        if metric not in METRICS:
            raise InvalidInput(f"must be one of {', '.join(METRICS)}", field="metric")
        self.target, self.metric, self.tolerance = target, metric, tolerance
        self.stabilise_s, self.minimum = stabilise_s, int(minimum)
        self.grow_share, self.grow_replicas = grow_share, grow_replicas

    def reset(self, tables: Tables) -> None:
        super().reset(tables)
        self._stabiliser = Stabiliser(slots_of(self.stabilise_s, tables))
        self._periods = max(1, round(tables.system.slot_s / PERIOD_S))
        self._least = np.where(self.able(), self.minimum, 0)

    def levels(self, view: View) -> np.ndarray:
        now = self.by_region(view.on)
        wanted = np.maximum(self.recommended(view), self._least)
        replicas = np.minimum(self._stabiliser.settle(now, wanted), self._most(now))
        return self.place(replicas, view)

    def recommended(self, view: View) -> np.ndarray:
        """(R, M) replicas that bring the metric to its target."""
        now, ready = self.by_region(view.on), self.by_region(view.ready)
        work = view.busy_ms + (view.waiting_ms if self.metric == "inflight" else 0.0)
        used = work / self.tables.system.slot_ms  # servers' worth of work
        if self.metric == "utilisation":
            used = np.minimum(used, ready)
        ratio = used / self.target / np.maximum(ready, 1)
        damped = used / self.target / np.maximum(now, 1)  # those not ready count as unused
        grows = ratio > 1 + self.tolerance
        ratio = np.where(grows & (now > ready), np.maximum(damped, 1.0), ratio)
        close = np.abs(ratio - 1) <= self.tolerance
        wanted = np.where(close, now, np.ceil(now * ratio - ROUNDING)).astype(np.int64)
        wanted = np.where(ready > 0, wanted, now)
        return np.where((now == 0) & (view.waiting > 0), 1, wanted)

    def _most(self, now: np.ndarray) -> np.ndarray:
        """(R, M) replicas after a slot of growing as fast as allowed."""
        by_share = np.floor(now * (1 + self.grow_share) ** self._periods + ROUNDING)
        most = np.maximum(by_share, now + np.floor(self.grow_replicas * self._periods))
        return np.maximum(most, 1).astype(np.int64)


class Stabiliser:
    """Up at once; down to the highest recommendation of the last ``slots`` slots."""

    def __init__(self, slots: int):
        self._slots = slots
        self._past: list[np.ndarray] = []

    def settle(self, now: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """What to have, where ``now`` is had and ``wanted`` recommended."""
        self._past = [*self._past, wanted][-self._slots :]
        highest = np.max(self._past, axis=0)
        return np.clip(now, wanted, np.maximum(highest, wanted))
