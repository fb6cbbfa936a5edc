"""KEDA with a cron trigger: replicas by a timetable, beside a utilisation trigger.

After the KEDA documentation (scalers "Cron"). A cron trigger asks for a fixed number of replicas
between two times of the day; outside them the minimum holds. Of several triggers the one that asks
for most counts, and the number goes down as the Horizontal Pod Autoscaler lets it (``hpa``).

An operator writes the timetable from experience. Here it is learned from the past alone: the day is
cut into windows of ``window_minutes``, and for each window the timetable holds the replicas that
the busiest slot of that window needed on earlier days, at ``target``. A window that was never seen
takes the busiest window so far today: what an operator without a history would pin. Requests are
taken to be served by the nearest region that can. The timetable of a window is set when it begins,
``lead_s`` seconds early so that servers are ready in time.

``reactive=false`` leaves the utilisation trigger out. ``day_hours`` is what repeats; an instance
shorter than that never sees its timetable repeat.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from torta_opt.allocation.policies.dispatch import Tables
from torta_opt.allocation.policies.fleets.hpa import Hpa
from torta_opt.allocation.policies.fleets.rule import DAY_HOURS, View, slots_of
from torta_opt.allocation.policies.settings import check_number
from torta_opt.io import InvalidInput


class KedaCron(Hpa):
    """See the module; the other parameters are those of ``Hpa``."""

    def __init__(
        self,
        window_minutes: float = 60.0,
        day_hours: float = DAY_HOURS,
        lead_s: float = 120.0,
        reactive: bool = True,
        **given: Any,
    ):
        super().__init__(**given)
        check_number("window_minutes", window_minutes, 0.01, 1e5)
        check_number("day_hours", day_hours, 0.01, 1e5)
        check_number("lead_s", lead_s, 0, 1e6)
        if not isinstance(reactive, bool):
            raise InvalidInput(f"must be true or false, found {reactive!r:.40}", field="reactive")
        self.window_minutes, self.day_hours = window_minutes, day_hours
        self.lead_s, self.reactive = lead_s, reactive

    def reset(self, tables: Tables) -> None:
        super().reset(tables)
        self._window = slots_of(60 * self.window_minutes, tables)
        self._day = max(1, round(slots_of(3600 * self.day_hours, tables) / self._window))
        self._lead = round(self.lead_s / tables.system.slot_s)
        self._need: list[np.ndarray] = []  # (R, M) of every past slot

    def recommended(self, view: View) -> np.ndarray:
        arrivals = view.observation.past_arrivals
        if len(arrivals) > len(self._need):
            self._need.append(self.demand_ms(arrivals[-1]) / self.tables.system.slot_ms)
        timetable = self.timetable(view.observation.slot)
        if not self.reactive:
            return timetable
        return np.maximum(timetable, super().recommended(view))

    def timetable(self, slot: int) -> np.ndarray:
        """(R, M) replicas in ``slot``: of its window, or of the next if that begins soon."""
        first = self._in_window(slot // self._window)
        return np.maximum(first, self._in_window((slot + self._lead) // self._window))

    def _in_window(self, window: int) -> np.ndarray:
        """(R, M) replicas that the timetable holds for a window, by what is past."""
        seen = len(self._need) // self._window  # windows that are over
        before = [w for w in range(window % self._day, seen, self._day) if w < window]
        today = range(window - window % self._day, min(seen, window))
        peaks = [self._peak(w) for w in (before or today)]
        if not peaks:
            return np.zeros(self._least.shape, np.int64)
        return np.ceil(np.max(peaks, axis=0) / self.target - 1e-9).astype(np.int64)

    def _peak(self, window: int) -> np.ndarray:
        start = window * self._window
        return np.max(self._need[start : start + self._window], axis=0)
