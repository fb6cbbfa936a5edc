"""What is done where a legal schedule costs less than a bound: nothing is printed."""

from __future__ import annotations

from collections.abc import Mapping

from torta_opt.io.errors import VerificationFailed

ROUNDING = 1e-9  # of a cost: what float64 sums of a million terms can be off by, and more


def raise_if_refuted(
    name: str, where: str, costs: Mapping[str, float], bound: float, source: str
) -> None:
    """VerificationFailed if a schedule costs less than a bound: then one of the two is wrong.

    name, where   of the schedule, of the instance
    costs         $ of the schedule by component
    bound         $, of ``source``
    """
    cost = sum(costs.values())
    if cost < bound - ROUNDING * max(sum(map(abs, costs.values())), abs(bound)):
        raise VerificationFailed(
            f"{name}: costs {cost!r} on {where}, less than the {source} bound {bound!r}: "
            "one of the two is wrong"
        )
