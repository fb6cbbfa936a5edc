"""Forecasters with a spread, by name. A forecaster is a class and one line of the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.law.base import DemandLaw, Path
from torta_opt.allocation.law.registry import law_of
from torta_opt.allocation.policies.forecasts.base import PathForecaster
from torta_opt.allocation.policies.forecasts.from_law import FromLaw, FromStates
from torta_opt.allocation.policies.forecasts.from_past import LastSlot, MeanReverting, Seasonal
from torta_opt.allocation.policies.forecasts.from_statsforecast import StatsForecast
from torta_opt.allocation.policies.forecasts.from_truth import Corrupted, Perfect
from torta_opt.io.errors import InvalidInput

DAY_MS = 86_400_000


@dataclass(frozen=True, eq=False)
class Given:
    """What forecasters are made from; each takes what it needs.

    instance  whose arrivals it will be shown; those that know the law or the future look into it
    law       None: the law of the instance
    season    slots; None: a day
    """

    instance: Instance
    law: DemandLaw | None = None
    season: int | None = None
    accuracy: float = 0.9

    @cached_property
    def known_law(self) -> DemandLaw:
        return law_of(self.instance) if self.law is None else self.law

    @property
    def path(self) -> Path:
        return self.known_law.path(self.instance)

    @property
    def future(self) -> np.ndarray:
        return self.instance.arrivals

    @property
    def slots_of_season(self) -> int:
        return self.season or max(1, round(DAY_MS / self.instance.system.slot_ms))


@dataclass(frozen=True)
class Entry:
    """information  what the forecaster knows, one of ``INFORMATION``"""

    information: str
    summary: str
    make: Callable[[Given], PathForecaster]


PATH_FORECASTERS: dict[str, Entry] = {
    "law": Entry(
        "law",
        "the law of demand, and what the arrivals so far say about its hidden states",
        lambda given: FromLaw(given.known_law, given.path),
    ),
    "law_states": Entry(
        "states",
        "the law of demand and its hidden states, as futures drawn from a slot on know them",
        lambda given: FromStates(given.known_law, given.path),
    ),
    "mean_reverting": Entry(
        "past",
        "back from recent arrivals to their mean, as fast as the past has shown",
        lambda given: MeanReverting(),
    ),
    "seasonal": Entry(
        "past",
        "the slot one season before; the last slot while there is none",
        lambda given: Seasonal(given.slots_of_season),
    ),
    "last": Entry("past", "the last slot again", lambda given: LastSlot()),
    "statsforecast": Entry(
        "past",
        "exponential smoothing by region, as the package statsforecast chooses it (an extra)",
        lambda given: StatsForecast(),
    ),
    "perfect": Entry("future", "the truth", lambda given: Perfect(given.future)),
    "corrupted": Entry(
        "future",
        "the truth with errors of a given prediction accuracy",
        lambda given: Corrupted(given.future, given.accuracy),
    ),
}


def path_forecaster(name: str, given: Given) -> PathForecaster:
    """The forecaster of that name. Raises InvalidInput."""
    if name not in PATH_FORECASTERS:
        known = ", ".join(PATH_FORECASTERS)
        raise InvalidInput(f"must be one of {known}, found {name!r:.40}", field="forecaster")
    return PATH_FORECASTERS[name].make(given)
