"""Run schedules, compare them with a bound, report how far from the optimum they are.

    report = gap(instance, ["round_robin", "greedy_forecast"])
    report.results[0].gap

The path of an instance: the family is looked up (``families``); its bound is proved and checked by
its certificate; ``solve`` of every policy or method gives a schedule; ``verify`` checks it against
every rule; ``evaluate`` prices it; ``raise_if_refuted`` compares the cost with bound and floor;
``holds`` lifts the schedule into the relaxation that the bound was computed over; ``GapResult`` has
the gaps; the cheapest schedule gives the gap at least; the report is printed.
"""

from torta_opt.gaps.evaluator import GapEvaluator, compare
from torta_opt.gaps.parts import with_parts
from torta_opt.gaps.run import SENSITIVITY, default_methods, gap

__all__ = ["SENSITIVITY", "GapEvaluator", "compare", "default_methods", "gap", "with_parts"]
