"""A bound: the better of two that torta-opt computes itself."""

from __future__ import annotations

from torta_opt.allocation.bounds.registry import compute
from torta_opt.allocation.instance import Instance
from torta_opt.family import BoundMethod, Request
from torta_opt.results import BoundResult


def best_of_two(instance: Instance, request: Request) -> BoundResult:
    """Keeps the certificate of the better one; without a certificate a bound is not certified."""
    found = [compute(instance, method, request) for method in ("floor", "merged")]
    return max(found, key=lambda each: each.value)


BEST_OF_TWO = BoundMethod("the better of floor and merged", best_of_two)
