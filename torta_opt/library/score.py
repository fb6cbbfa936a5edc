"""How a schedule does against the best known one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torta_opt import api
from torta_opt.io import InvalidInput
from torta_opt.library.recipe import sha256_of_instance
from torta_opt.library.table import Row
from torta_opt.results import raise_if_refuted

BETTER, EQUAL, WORSE, FIRST = "better", "equal", "worse", "first"
SAME = 1e-9  # relative difference of costs that is rounding, not a better schedule


@dataclass(frozen=True)
class Score:
    """Cost of a verified schedule beside what the library knows.

    verdict   ``better`` or ``worse`` than the best known cost, ``equal``, or ``first`` where none
              is known
    gap       (cost − bound)/|cost|; None without a bound
    """

    name: str
    cost: float
    best: float | None
    bound: float | None
    verdict: str

    @property
    def gap(self) -> float | None:
        if self.bound is None or not self.cost:
            return None
        return max(self.cost - self.bound, 0.0) / abs(self.cost)

    def to_document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "cost": self.cost,
            "best_known": self.best,
            "bound": self.bound,
            "gap": self.gap,
            "verdict": self.verdict,
        }


def score(row: Row, instance: Any, schedule: Any) -> Score:
    """Verify a schedule of a library's instance, price it, compare it.

    Raises InvalidInput if the instance is another one, and VerificationFailed if the schedule
    breaks a rule or costs less than the bound.
    """
    check_same(row, instance)
    api.verify(instance, schedule).raise_if_broken("schedule")
    priced = api.evaluate(instance, schedule)
    if row.bound is not None:
        raise_if_refuted("schedule", row.name, priced.costs, row.bound, row.proved_by)
    return Score(row.name, priced.cost, row.cost, row.bound, _verdict(priced.cost, row.cost))


def check_same(row: Row, instance: Any) -> None:
    """Raise InvalidInput if ``instance`` is not that of the row."""
    if row.sha256 and sha256_of_instance(instance) != row.sha256:
        rule = f"is not the library's {row.name}: its hash differs (other data or another version)"
        raise InvalidInput(rule, field="instance")


def _verdict(cost: float, best: float | None) -> str:
    if best is None:
        return FIRST
    if math.isclose(cost, best, rel_tol=SAME):
        return EQUAL
    return BETTER if cost < best else WORSE
