"""Instances × policies × seeds: one row per run in a table that only grows.

    compare, bounds        run policies on instances, prove bounds of them   runs.py
    read_table             the rows of a table                               table.py
    units, distinct        which instances are independent draws             units.py
    comparison, interval   means, paired differences, intervals              statistics.py

A row says what was run (hash of the instance, policy, seed, version of torta-opt), what it cost,
and its metrics; a row of a second kind holds a bound of an instance. Started again, ``compare``
runs only what the table does not hold. Rows are written as runs finish, so after an interruption
everything finished is there.

Independent draws are instances, so the unit of every interval is the instance. Instances that share
demand, as cuts of one day that overlap do, are one unit.
"""

from torta_opt.allocation.policies.experiment.runs import (
    bounds,
    compare,
    raise_if_failed,
    runs_once,
)
from torta_opt.allocation.policies.experiment.statistics import (
    Comparison,
    Interval,
    comparison,
    differences,
    interval,
    ratios,
    seed_spread,
    summary,
    unit_means,
    with_gaps,
)
from torta_opt.allocation.policies.experiment.table import Row, read_table
from torta_opt.allocation.policies.experiment.units import distinct, system_count, units

__all__ = [
    "Comparison",
    "Interval",
    "Row",
    "bounds",
    "compare",
    "comparison",
    "differences",
    "distinct",
    "interval",
    "raise_if_failed",
    "ratios",
    "read_table",
    "runs_once",
    "seed_spread",
    "summary",
    "system_count",
    "unit_means",
    "units",
    "with_gaps",
]
