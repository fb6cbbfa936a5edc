"""The value of one scenario by trees in windows, with sampled futures and prices.

    B(ω) = k(ω) + Σ_k ( B_k − mean_l part_k(ω_l) + part_k(ω) )

k(ω) is the constant of the program of ω, B_k the value of the tree of window k (``windows.py``),
whose leaves ω_l all have the law of ω given the history before the window, ω among them. part_k(·)
is what the clairvoyant's schedule of a leaf costs in the window, prices included. It cancels on
average, since leaves and ω have the same law, and takes away most of the noise of the prices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.foresight.inner import merged_of, solved
from torta_opt.allocation.foresight.tree import (
    Draw,
    ScenarioTree,
    raise_if_outages_differ,
    sample_tree,
)
from torta_opt.allocation.foresight.windows import (
    Prices,
    Span,
    prices_at,
    spans,
    window_costs,
    window_program,
)
from torta_opt.allocation.formulations.program import AllocationProgram
from torta_opt.allocation.instance.data import Instance
from torta_opt.solvers import Limits

FAN = 8  # futures that a price is made of
AHEAD = 48  # slots of each of them


@dataclass(frozen=True)
class Shape:
    """window: slots; branches: slots after the beginning of a window at which its tree parts."""

    window: int
    branches: tuple[int, ...]
    children: int
    limits: Limits | None = None


def value_by_windows(future: Instance, draw: Draw, shape: Shape, seed: int) -> float:
    """B of one future. Raises LimitReached, KeyboardInterrupt."""
    run = _Windows(future, draw, shape, seed)
    terms = [run.program(future).constant, *(run.gain(k) for k in range(len(run.spans)))]
    return math.fsum(terms)


class _Windows:
    def __init__(self, future: Instance, draw: Draw, shape: Shape, seed: int) -> None:
        self.future, self.draw, self.shape = future, draw, shape
        self.rng = np.random.default_rng([seed, 11])
        self._programs: dict[bytes, AllocationProgram] = {}
        self._schedules: dict[bytes, np.ndarray] = {}
        self._prices: dict[tuple[int, bytes], Prices] = {}
        self.spans = spans(future.slots, shape.window, self.program(future))

    def gain(self, k: int) -> float:
        """B_k − mean_l part_k(ω_l) + part_k(ω)."""
        span = self.spans[k]
        branches = [span.first + after for after in self.shape.branches]
        branches = [slot for slot in branches if slot < span.end]
        fresh = int(self.rng.integers(2**32))
        tree = sample_tree(self.future, self.draw, branches, self.shape.children, fresh)
        raise_if_outages_differ(tree.leaves)
        programs = [self.program(leaf) for leaf in tree.leaves]
        now = self.prices(span, self.future) if k > 0 else None
        later = [self._later(span, leaf) for leaf in tree.leaves]
        found = window_program(span, tree, programs, now, later).bound(self.shape.limits)
        parts = [
            float((window_costs(span, program, now, own) * self.schedule(leaf)).sum())
            for leaf, program, own in zip(tree.leaves, programs, later, strict=True)
        ]
        return found - float(tree.weight @ np.array(parts)) + parts[0]

    def _later(self, span: Span, leaf: Instance) -> list[Prices]:
        """Prices of the windows after this one that have columns of it."""
        touching = [each for each in self.spans if span.end <= each.first < span.end + each.reach]
        return [self.prices(each, leaf) for each in touching]

    def prices(self, span: Span, leaf: Instance) -> Prices:
        """Of the futures that may follow the history of a leaf before a window: one draw of them
        for each history."""
        key = span.first, _key(leaf, span.first)
        if key not in self._prices:
            futures = [
                self.draw(leaf, int(self.rng.integers(2**62)), span.first) for _ in range(FAN)
            ]
            raise_if_outages_differ([leaf, *futures])
            end = min(span.first + max(AHEAD, span.end - span.first), leaf.slots)
            if end < leaf.slots:
                futures = [each.cut(0, end) for each in futures]
            node = np.zeros((FAN, end), np.int64)
            node[:, span.first :] = np.arange(FAN)[:, None]
            fan = ScenarioTree(tuple(futures), node, np.full(FAN, 1 / FAN))
            programs = [merged_of(each, 1).program for each in futures]
            self._prices[key] = prices_at(span, fan, programs, self.shape.limits)
        return self._prices[key]

    def program(self, leaf: Instance) -> AllocationProgram:
        key = _key(leaf, leaf.slots)
        if key not in self._programs:
            self._programs[key] = merged_of(leaf, 1).program
        return self._programs[key]

    def schedule(self, leaf: Instance) -> np.ndarray:
        """(columns,) what a clairvoyant does on a leaf."""
        key = _key(leaf, leaf.slots)
        if key not in self._schedules:
            result = solved(merged_of(leaf, 1), 0.0, self.shape.limits)
            assert result.x is not None
            self._schedules[key] = result.x
        return self._schedules[key]


def _key(leaf: Instance, slots: int) -> bytes:
    return leaf.arrivals[:slots].tobytes() + leaf.up[:slots].tobytes()
