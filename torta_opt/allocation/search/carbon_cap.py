"""What a cap on CO₂ costs at least: a certified bound by prices on carbon.

For a price λ ≥ 0 in $ a tonne, the instance with λ folded into its electricity prices charges a
schedule S exactly cost(S) + λ·tonnes(S) (``instance.carbon``). A schedule within the cap of K
tonnes has λ·(tonnes(S) − K) ≤ 0, so with any lower bound B(λ) of that instance

    cost(S)  ≥  cost(S) + λ·(tonnes(S) − K)  ≥  B(λ) − λ·K                    for every λ ≥ 0

The search takes the best λ of a few: the function B(λ) − λ·K of the optimum is concave, so where a
λ proves more than both its neighbours, the best one lies between them. A certificate of the bound
of the instance with that λ is one of the capped bound, λ·K apart. If no schedule keeps the cap, the
bound grows with λ without end; then the largest λ is named.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torta_opt.allocation.bounds.registry import compute, methods
from torta_opt.allocation.instance.carbon import GRAMS_PER_TONNE, with_carbon_price
from torta_opt.allocation.instance.data import Instance
from torta_opt.family import AUTO, Request
from torta_opt.io import InvalidInput
from torta_opt.io.status import status_of
from torta_opt.results import BoundResult

FIRST_USD = 100.0  # $ a tonne: about what emission allowances cost
MOST_USD = 1e6  # what ``with_carbon_price`` takes
FACTOR = 4.0
ROUNDING = 1e-12  # share of the money: prices are rounded to 2⁻⁵³ of their size


@dataclass(frozen=True, eq=False)
class CappedBound:
    """No schedule that emits at most ``cap_kg`` costs less than ``value``.

    usd_per_tonne   λ; 0: the bound of the instance itself proved most
    instance        the instance with λ in its electricity prices, of which ``bound`` is a bound
    tried           (λ, what it proved), in order of λ
    interrupted     Ctrl-C ended the search: other prices may prove more
    limited         a limit cut one of its bounds short: likewise
    """

    value: float
    cap_kg: float
    usd_per_tonne: float
    instance: Instance
    bound: BoundResult
    tried: tuple[tuple[float, float], ...]
    interrupted: bool = False
    limited: bool = False

    @property
    def certified(self) -> bool:
        return self.bound.certified

    @property
    def status(self) -> str:
        return status_of(not self.limited, self.interrupted)

    def line(self) -> str:
        proof = "certified" if self.certified else "not certified"
        cut = "Ctrl-C" if self.interrupted else "a limit" if self.limited else ""
        how = f"at {self.usd_per_tonne:g} $ a tonne"
        if self.usd_per_tonne == 0:
            how = "the bound without a cap" + ("" if cut else ": no carbon price proves more")
        if cut:
            how += f"; {cut} ended the search for a carbon price early"
        if self.usd_per_tonne >= MOST_USD:
            how += ", the highest tried: perhaps no schedule keeps the cap"
        return (
            f"no schedule that emits at most {self.cap_kg:g} kg costs less than "
            f"{self.value:,.2f} $ ({self.bound.source}, {proof}; {how})"
        )

    def to_document(self) -> dict[str, Any]:
        return {
            "kg": self.cap_kg,
            "bound": self.value,
            "source": self.bound.source,
            "certified": self.certified,
            "usd_per_tonne": self.usd_per_tonne,
            "tried": [list(pair) for pair in self.tried],
            "status": self.status,
        }


def capped_bound(
    instance: Instance, cap_kg: float, method: str = "merged", steps: int = 12
) -> CappedBound:
    """The best of ``steps`` carbon prices; ``method`` is a bound of ``registry.METHODS``.

    After Ctrl-C no further price is tried, and the best so far is returned.

    Raises InvalidInput if the instance has no carbon intensity, the cap is no number ≥ 0, or the
    method is statistical: a mean over futures bounds no schedule. Raises KeyboardInterrupt if
    Ctrl-C came before anything was proved.
    """
    if not (math.isfinite(cap_kg) and cap_kg >= 0):
        raise InvalidInput(f"{cap_kg:g} must be a number of kg, at least 0", field="cap")
    if method != AUTO and method in (known := methods()) and known[method].statistical:
        raise _statistical(method)
    tonnes = cap_kg * 1000 / GRAMS_PER_TONNE
    found: dict[float, CappedBound] = {}

    def proved(usd: float) -> float:
        if usd not in found:
            priced = with_carbon_price(instance, usd)
            bound = compute(priced, method, Request())
            if bound.statistical:
                raise _statistical(bound.source)
            value = _below(bound.value, usd, tonnes)
            found[usd] = CappedBound(value, cap_kg, usd, priced, bound, ())
            if bound.interrupted:  # what it has proved holds; no other price is to be tried
                raise KeyboardInterrupt
        return found[usd].value

    interrupted = False
    try:
        _search(proved, steps)
    except KeyboardInterrupt:
        if not found:
            raise
        interrupted = True
    best = max(found.values(), key=lambda each: (each.value, -each.usd_per_tonne))
    return dataclasses.replace(
        best,
        tried=tuple((usd, found[usd].value) for usd in sorted(found)),
        interrupted=interrupted,
        limited=any(each.bound.limited for each in found.values()),
    )


def _statistical(method: str) -> InvalidInput:
    rule = f"{method} is statistical: it holds on average over futures, not for one schedule"
    return InvalidInput(rule, field="bound")


def _below(bound: float, usd: float, tonnes: float) -> float:
    """B − λ·K, less what rounding the prices with λ in them may have added."""
    if usd == 0:
        return bound
    charged = usd * tonnes
    return bound - charged - ROUNDING * (abs(bound) + charged)


def _search(proved: Callable[[float], float], steps: int) -> None:
    """Try prices: 0, then upwards by ``FACTOR`` while that proves more, then between."""
    low, middle, high = 0.0, FIRST_USD, FIRST_USD * FACTOR
    values = [proved(low), proved(middle), proved(high)]
    left = steps - 3
    while left > 0 and values[2] > values[1] and high < MOST_USD:
        low, middle, high = middle, high, min(high * FACTOR, MOST_USD)
        values = [values[1], values[2], proved(high)]
        left -= 1
    while left > 0 and high - low > 1e-3 * high:
        wide_left = middle - low > high - middle
        usd = (low + middle) / 2 if wide_left else (middle + high) / 2
        value = proved(usd)
        left -= 1
        if value > values[1]:
            low, middle, high = (low, usd, middle) if wide_left else (middle, usd, high)
            values = [values[0], value, values[1]] if wide_left else [values[1], value, values[2]]
        elif wide_left:
            low, values[0] = usd, value
        else:
            high, values[2] = usd, value
