"""What the package returns: one class of each kind, for every problem family.

    gap           = (cost − bound) / |cost|           None if the cost is 0
    gap at least  = (cost − cheapest) / |cost|        None if the cost is 0
    avoidable gap = (cost − bound) / (cost − floor)   None if the cost is the floor

where *cheapest* is the cost of the cheapest schedule of the run. The distance of a schedule from
the optimum, as a share of its cost, lies between gap at least and gap. The avoidable gap leaves out
the part of the cost that no schedule avoids: a small gap can hide that most of the rest is
avoidable. Costs are in the unit of the family: dollars for allocation, seconds for placement.
"""

from torta_opt.results.bounds import BoundResult, LiftCheck, raise_if_refuted
from torta_opt.results.gap_report import GapReport, GapResult, cheapest_of
from torta_opt.results.numbers import ROUNDING, Schedule, relative_gap
from torta_opt.results.parts import Attribution, Foresight, Split
from torta_opt.results.referee import Check, Evaluation, Verification, Violation
from torta_opt.results.schedules import Found, Result

__all__ = [
    "ROUNDING",
    "Attribution",
    "BoundResult",
    "Check",
    "Evaluation",
    "Foresight",
    "Found",
    "GapReport",
    "GapResult",
    "LiftCheck",
    "Result",
    "Schedule",
    "Split",
    "Verification",
    "Violation",
    "cheapest_of",
    "raise_if_refuted",
    "relative_gap",
]
