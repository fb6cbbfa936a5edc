"""What a cap on CO₂ costs at least: a certified bound by prices on carbon.

For a price λ ≥ 0 in $ a tonne, the instance with λ folded into its electricity prices charges a
schedule S exactly cost(S) + λ·tonnes(S) (``instance.carbon``). A schedule within the cap of K
tonnes has λ·(tonnes(S) − K) ≤ 0, so with any lower bound B(λ) of that instance

    cost(S)  ≥  cost(S) + λ·(tonnes(S) − K)  ≥  B(λ) − λ·K                    for every λ ≥ 0

The search takes the best λ of a few: the function B(λ) − λ·K of the optimum is concave, so where a
λ proves more than both its neighbours, the best one lies between them. A certificate of the bound of
the instance with that λ is one of the capped bound, λ·K apart. If no schedule keeps the cap, the
bound grows with λ without end; then the largest λ is named.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torta_opt.allocation.bounds.registry import compute
from torta_opt.allocation.instance.carbon import GRAMS_PER_TONNE, with_carbon_price
from torta_opt.allocation.instance.data import Instance
from torta_opt.family import Request
from torta_opt.io import InvalidInput
from torta_opt.results import BoundResult

FIRST_USD = 100.0  # $ a tonne: about what emission allowances cost
MOST_USD = 1e6  # what ``with_carbon_price`` takes
FACTOR = 4.0


@dataclass(frozen=True, eq=False)
class CappedBound:
    """No schedule that emits at most ``cap_kg`` costs less than ``value``.

    usd_per_tonne   λ; 0: the bound of the instance itself proved most
    instance        the instance with λ in its electricity prices, of which ``bound`` is a bound
    tried           (λ, what it proved), in order of λ
    """

    value: float
    cap_kg: float
    usd_per_tonne: float
    instance: Instance
    bound: BoundResult
    tried: tuple[tuple[float, float], ...]

    @property
    def certified(self) -> bool:
        return self.bound.certified


def capped_bound(
    instance: Instance, cap_kg: float, method: str = "merged", steps: int = 12
) -> CappedBound:
    """The best of ``steps`` carbon prices; ``method`` is a bound of ``registry.METHODS``.

    Raises InvalidInput if the instance has no carbon intensity, or the cap is no number ≥ 0.
    """
    if not (math.isfinite(cap_kg) and cap_kg >= 0):
        raise InvalidInput(f"{cap_kg:g} must be a number of kg, at least 0", field="cap")
    tonnes = cap_kg * 1000 / GRAMS_PER_TONNE
    found: dict[float, CappedBound] = {}

    def proved(usd: float) -> float:
        if usd not in found:
            priced = with_carbon_price(instance, usd)
            bound = compute(priced, method, Request())
            value = _below(bound.value, usd, tonnes)
            found[usd] = CappedBound(value, cap_kg, usd, priced, bound, ())
        return found[usd].value

    _search(proved, steps)
    best = max(found.values(), key=lambda each: (each.value, -each.usd_per_tonne))
    tried = tuple((usd, found[usd].value) for usd in sorted(found))
    return CappedBound(
        best.value, cap_kg, best.usd_per_tonne, best.instance, best.bound, tried
    )


def _below(bound: float, usd: float, tonnes: float) -> float:
    """B − λ·K, and no more than that: two roundings are taken back."""
    if usd == 0:
        return bound
    charged = math.nextafter(usd * tonnes, math.inf)
    return math.nextafter(bound - charged, -math.inf)


def _search(proved: object, steps: int) -> None:
    """Try prices: 0, then upwards by ``FACTOR`` while that proves more, then between."""
    assert callable(proved)
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
