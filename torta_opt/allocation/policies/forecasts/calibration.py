"""Are forecasts as sure as they should be? Coverage and CRPS of forecasters on one instance.

Forecasters see slot after slot; every ``stride`` slots their forecasts are compared with what came.
A row is one forecaster, distance and kind of sum:

    coverage_50, coverage_90   share of outcomes within the central interval of 50 and 90 %
    crps                       Σ CRPS / Σ outcome, over slots and groups

Outcomes of one instance depend on each other, so these are single values without an interval; an
interval takes several independent instances (``studies/forecasts.py``).

A law that must be fitted is fitted to the first half of the slots, and all forecasters are scored
on the other half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.law.fitted import FittedLaw
from torta_opt.allocation.law.registry import LAWS
from torta_opt.allocation.policies.forecasts.base import Forecast, summed
from torta_opt.allocation.policies.forecasts.registry import Given, path_forecaster
from torta_opt.allocation.policies.forecasts.scores import covered, crps, pit
from torta_opt.io.errors import InvalidInput

HORIZONS = (1, 4, 16)
SUMS = ("all", "class", "region")
SHARES = (0.5, 0.9)
PATHS, STRIDE, WARM_UP = 100, 4, 24
BY_DEFAULT = ("law", "law_states", "mean_reverting", "seasonal", "last")


@dataclass(frozen=True)
class Row:
    """See the module."""

    forecaster: str
    horizon: int
    of: str
    coverage_50: float
    coverage_90: float
    crps: float


@dataclass(eq=False)
class _Score:
    inside: np.ndarray
    outcomes: int
    crps: float
    requests: float

    def row(self, forecaster: str, horizon: int, of: str) -> Row:
        half, most = (self.inside / self.outcomes).tolist()
        return Row(forecaster, horizon, of, half, most, self.crps / max(self.requests, 1e-12))


def calibration(
    instance: Instance,
    forecasters: Sequence[str] = BY_DEFAULT,
    *,
    horizons: Sequence[int] = HORIZONS,
    season: int | None = None,
    seed: int = 0,
) -> list[Row]:
    """Rows by forecaster, distance and kind of sum. Raises InvalidInput if slots are too few."""
    given, first = prepared(instance, season)
    busy = busy_slots(instance)
    last = busy - max(horizons)
    if last <= first:
        raise InvalidInput(
            f"has {busy} slots with requests; scores take more than {first + max(horizons)}",
            field=instance.name,
        )
    rows: list[Row] = []
    for name in forecasters:
        rows += _scored(name, given, range(first, last + 1, STRIDE), horizons, seed)
    return rows


def prepared(instance: Instance, season: int | None = None) -> tuple[Given, int]:
    """(what forecasters are made from, the first slot that is scored)."""
    generated = LAWS["generated"].make(instance, None)
    if generated is not None:
        return Given(instance, generated, season), WARM_UP
    half = busy_slots(instance) // 2
    return Given(instance, FittedLaw(instance, learned=half), season), half


def busy_slots(instance: Instance) -> int:
    """Slots up to the last with requests; the others drain the queues."""
    asked = np.flatnonzero(instance.arrivals.any(axis=(1, 2)))
    return int(asked[-1]) + 1 if asked.size else 0


def _scored(name: str, given: Given, slots: range, horizons: Sequence[int], seed: int) -> list[Row]:
    source, rng = path_forecaster(name, given), np.random.default_rng([seed, 7])
    scores = {(h, of): _Score(np.zeros(len(SHARES)), 0, 0.0, 0.0) for h in horizons for of in SUMS}
    arrivals = given.instance.arrivals
    for t in range(slots[-1]):
        source.see(arrivals[t])
        if t + 1 not in slots:
            continue
        said = source.forecast(max(horizons), PATHS, seed)
        for (h, of), score in scores.items():
            _add(score, said, h, of, arrivals[t + h], rng)
    return [score.row(name, h, of) for (h, of), score in scores.items()]


def _add(
    score: _Score, said: Forecast, h: int, of: str, came: np.ndarray, rng: np.random.Generator
) -> None:
    """``came`` (R, C) h slots after the last that was seen."""
    paths, outcome = summed(said.paths[:, h - 1], of), summed(came, of)
    u = pit(paths, outcome, rng)
    score.inside += [covered(u, share).sum() for share in SHARES]
    score.outcomes += outcome.size
    score.crps += float(crps(paths, outcome).sum())
    score.requests += float(outcome.sum())
