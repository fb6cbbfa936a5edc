"""What the runs in a table say: means, paired differences and ratios, with intervals.

    x[p,u]        mean of a figure over the runs of policy p on unit u
    summary       mean of x[p,u] over u               ± t·s/√n
    differences   mean of x[p,u] − x[a,u] over u      ± t·s/√n      a: the policy compared with
    ratios        mean of x[p,u]/x[a,u] over u        ± t·s/√n

with n units, s the standard deviation over them and t of n − 1 degrees of freedom (95 %). Further
seeds of a policy make x[p,u] more exact; they are no further units. One unit has no interval.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from torta_opt.allocation.policies.experiment.table import Row
from torta_opt.results import raise_if_refuted

if TYPE_CHECKING:
    import pandas as pd

Means = dict[str, dict[str, float]]  # policy → unit → value

SHOWN = ("slo_share", "expired_share", "response_mean_s")  # metrics beside the cost


@dataclass(frozen=True)
class Interval:
    """A mean and its confidence interval (Student's t) over ``count`` independent values."""

    mean: float
    low: float
    high: float
    count: int

    def to_document(self) -> dict[str, float | int | None]:
        """Null for what does not exist: the interval of one instance, the mean of none."""
        ends = {"mean": self.mean, "low": self.low, "high": self.high}
        finite = {name: value if math.isfinite(value) else None for name, value in ends.items()}
        return {**finite, "instances": self.count}


@dataclass(frozen=True)
class Comparison:
    """What a table of runs says about its policies, each by name.

    against      the policy that the others are compared with
    runs         how many there are of each
    cost         means over units
    difference, ratio    of costs to those of ``against``, paired
    figures      further means: ``gap`` and ``SHOWN``
    seeds        least and greatest cost over the seeds of one instance (``seed_spread``)
    """

    against: str
    runs: dict[str, int]
    cost: dict[str, Interval]
    difference: dict[str, Interval]
    ratio: dict[str, Interval]
    figures: dict[str, dict[str, Interval]]
    seeds: dict[str, tuple[float, float]]

    def to_document(self) -> dict[str, Any]:
        return {
            "against": self.against,
            "cost": {name: self._cost_document(name) for name in self.cost},
            "difference": _documents(self.difference),
            "ratio": _documents(self.ratio),
            **{name: _documents(found) for name, found in self.figures.items()},
        }

    def to_frame(self) -> pd.DataFrame:
        """One row for each policy: number of runs, means, and the ends of 95 % intervals.

        ``difference`` and ``ratio`` are to ``against``, paired by instance.
        """
        import pandas as pd

        tables = {"cost": self.cost, "difference": self.difference, "ratio": self.ratio}
        rows = []
        for name in self.cost:
            row: dict[str, Any] = {"policy": name, "runs": self.runs[name]}
            for title, table in {**tables, **self.figures}.items():
                if name in table:
                    row[title] = table[name].mean
                    row |= {f"{title}_low": table[name].low, f"{title}_high": table[name].high}
            rows.append(row)
        return pd.DataFrame(rows)

    def _cost_document(self, name: str) -> dict[str, Any]:
        spread = self.seeds.get(name)
        seeds = {} if spread is None else {"least_seed": spread[0], "greatest_seed": spread[1]}
        return {**self.cost[name].to_document(), "runs": self.runs[name], **seeds}


def _documents(found: Mapping[str, Interval]) -> dict[str, Any]:
    return {name: each.to_document() for name, each in found.items()}


def comparison(
    rows: Sequence[Row], against: str, unit_of: Mapping[str, str] | None = None
) -> Comparison:
    """All that the runs in ``rows`` say; ``gap`` where they have one (``with_gaps``)."""
    shown = ("gap", *SHOWN) if any("gap" in row for row in rows) else SHOWN
    return Comparison(
        against=against,
        runs=dict(Counter(row["policy"] for row in rows)),
        cost=summary(rows, "cost", unit_of),
        difference=differences(rows, against, "cost", unit_of),
        ratio=ratios(rows, against, "cost", unit_of),
        figures={name: summary(rows, name, unit_of) for name in shown},
        seeds=seed_spread(rows),
    )


def with_gaps(rows: Iterable[Row], proved: Iterable[Row]) -> list[Row]:
    """The runs with ``gap``, (cost − bound)/|cost|, null where no gap exists.

    Raises VerificationFailed if a run costs less than the bound: then one of the two is wrong.
    """
    by_instance = {row["sha256"]: row for row in proved}
    return [{**row, "gap": _gap(row, by_instance.get(row["sha256"]))} for row in rows]


def _gap(row: Row, proved: Row | None) -> float | None:
    cost = _number(row, "cost")
    if cost is None or proved is None:
        return None
    raise_if_refuted(
        row["policy"], row["instance"], row["costs"], proved["value"], proved["source"]
    )
    return max(cost - proved["value"], 0.0) / abs(cost) if cost else None


def unit_means(
    rows: Iterable[Row], value: str = "cost", unit_of: Mapping[str, str] | None = None
) -> Means:
    """Policy → unit → mean of ``value`` (a field, or a metric): over the runs on an instance
    first, then over instances of a unit (``units``; else every instance is one)."""
    runs: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        number = _number(row, value)
        if number is not None:
            sha256 = row["sha256"]
            unit = (unit_of or {}).get(sha256, sha256)
            runs.setdefault((row["policy"], unit, sha256), []).append(number)
    instances: dict[str, dict[str, list[float]]] = {}
    for (policy, unit, _), values in runs.items():
        instances.setdefault(policy, {}).setdefault(unit, []).append(float(np.mean(values)))
    return {
        policy: {unit: float(np.mean(values)) for unit, values in by_unit.items()}
        for policy, by_unit in instances.items()
    }


def _number(row: Row, value: str) -> float | None:
    """A field or a metric of a run; None where it has none."""
    number = row[value] if value in row else (row.get("metrics") or {}).get(value)
    return None if number is None else float(number)


def summary(
    rows: Iterable[Row], value: str = "cost", unit_of: Mapping[str, str] | None = None
) -> dict[str, Interval]:
    """Policy → mean of ``value`` over units, with its 95 % interval."""
    means = unit_means(rows, value, unit_of)
    return {policy: interval(list(by_unit.values())) for policy, by_unit in means.items()}


def differences(
    rows: Iterable[Row],
    against: str,
    value: str = "cost",
    unit_of: Mapping[str, str] | None = None,
) -> dict[str, Interval]:
    """Policy → mean over units of its ``value`` less that of ``against`` on the same unit."""
    pairs = _pairs(rows, against, value, unit_of)
    return {policy: interval([x - y for x, y in both]) for policy, both in pairs.items()}


def ratios(
    rows: Iterable[Row],
    against: str,
    value: str = "cost",
    unit_of: Mapping[str, str] | None = None,
) -> dict[str, Interval]:
    """Policy → mean over units of its ``value`` divided by that of ``against`` on the same unit.

    None of a policy where that of ``against`` is not above 0 on every one: no ratio says anything.
    """
    pairs = _pairs(rows, against, value, unit_of)
    return {
        policy: interval([x / y for x, y in both] if all(y > 0 for _, y in both) else [])
        for policy, both in pairs.items()
    }


def _pairs(
    rows: Iterable[Row], against: str, value: str, unit_of: Mapping[str, str] | None
) -> dict[str, list[tuple[float, float]]]:
    """Policy → its value and that of ``against`` on every unit that has both."""
    means = unit_means(rows, value, unit_of)
    base = means.get(against, {})
    return {
        policy: [(number, base[unit]) for unit, number in by_unit.items() if unit in base]
        for policy, by_unit in means.items()
    }


def seed_spread(rows: Iterable[Row], value: str = "cost") -> dict[str, tuple[float, float]]:
    """Policy → least and greatest ``value`` over its seeds, where it ran on one instance alone with
    several: no interval of a comparison, but all that can be said."""
    found: dict[str, list[tuple[str, float]]] = {}
    for row in rows:
        number = _number(row, value)
        if number is not None:
            found.setdefault(row["policy"], []).append((row["sha256"], number))
    return {
        policy: (min(number for _, number in runs), max(number for _, number in runs))
        for policy, runs in found.items()
        if len(runs) > 1 and len({sha256 for sha256, _ in runs}) == 1
    }


def interval(values: Sequence[float], share: float = 0.95) -> Interval:
    """Mean and Student's t interval, mean ± t·s/√n; a single value has no interval, NaN."""
    from scipy.stats import t

    array = np.asarray(values, float)
    if array.size < 2:
        mean = float(array[0]) if array.size else math.nan
        return Interval(mean, math.nan, math.nan, int(array.size))
    mean = float(array.mean())
    spread = float(array.std(ddof=1))
    half = float(t.ppf((1 + share) / 2, array.size - 1)) * spread / math.sqrt(array.size)
    return Interval(mean, mean - half, mean + half, int(array.size))
