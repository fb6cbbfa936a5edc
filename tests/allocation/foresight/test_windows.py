"""Trees in windows against the best policy on tiny trees, and what makes them wrong."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from support.futures import Best, TinyTree, tiny_tree, tiny_trees, unconditional
from support.optima import slack

import torta_opt
from torta_opt.allocation.foresight import sampled_windows, scenarios
from torta_opt.allocation.foresight.inner import merged_of
from torta_opt.allocation.foresight.sampled_windows import Shape, value_by_windows
from torta_opt.allocation.foresight.tree import ScenarioTree, slots_of, tree_program
from torta_opt.allocation.foresight.windows import (
    Prices,
    Span,
    charged_at,
    prices_at,
    spans,
    window_costs,
    window_program,
)
from torta_opt.allocation.formulations.program import AllocationProgram
from torta_opt.allocation.law import law_of
from torta_opt.solvers import solve_lp


class Whole:
    """The tree as one program, and its duals."""

    def __init__(self, tree: TinyTree, programs: Sequence[AllocationProgram]) -> None:
        self.programs = programs
        self.found = tree_program(ScenarioTree(tree.leaves, tree.node, tree.weight), programs)
        result = solve_lp(self.found.problem())
        assert result.row_dual is not None
        self.dual = result.row_dual
        slot = np.zeros(len(self.found.cost), np.int64)
        owner = np.full(len(slot), len(programs))
        for leaf, (program, number) in enumerate(zip(programs, self.found.column, strict=True)):
            slot[number] = slots_of(program)[0]
            owner[number] = np.minimum(owner[number], leaf)
        entries = self.found.matrix.tocoo()
        self.last = np.zeros(len(self.dual), np.int64)
        np.maximum.at(self.last, entries.row, slot[entries.col])
        at_end = slot[entries.col] == self.last[entries.row]
        self.owner = np.zeros(len(self.dual), np.int64)
        self.owner[entries.row[at_end]] = owner[entries.col[at_end]]

    def prices(self, span: Span, group: np.ndarray) -> Prices:
        of_window = (self.last >= span.first) & (self.last < span.end)
        mine = of_window & np.isin(self.owner, group)
        usd = self.found.matrix.T @ np.where(mine, self.dual, 0.0)
        leaf = int(group[0])
        program = self.programs[leaf]
        usd = usd[self.found.column[leaf]] * len(self.programs) / len(group)
        usd[slots_of(program)[0] >= span.first] = 0
        found = {}
        for name, family in program.columns.items():
            found[name] = np.zeros(family.mask.shape)
            found[name][family.mask] = usd[family.numbers]
        return found


class Windows:
    """The bound of a tiny tree by windows, every conditional mean an exact sum over its leaves.

    noise        of the prices: the bound must hold for any
    exact        prices are duals of the whole tree, with which the windows lose nothing
    first_prices every leaf gives back the prices of the first one
    looking      the prices that are paid know the future, those that are given back do not
    """

    def __init__(
        self,
        tree: TinyTree,
        window: int,
        rng: np.random.Generator,
        *,
        noise: float = 0.0,
        exact: bool = False,
        first_prices: bool = False,
        looking: bool = False,
    ) -> None:
        self.tree, self.rng, self.noise = tree, rng, noise
        self.first_prices, self.looking = first_prices, looking
        self.programs = [merged_of(leaf, 1).program for leaf in tree.leaves]
        self.spans = spans(tree.leaves[0].slots, window, self.programs[0])
        self.known: dict[tuple[int, int], Prices] = {}
        self.whole = Whole(tree, self.programs) if exact else None

    def group(self, leaf: int, first: int) -> np.ndarray:
        """The leaves with the same history before a slot."""
        node = self.tree.node
        if first == 0:
            return np.arange(len(node))
        return np.flatnonzero(node[:, first - 1] == node[leaf, first - 1])

    def prices(self, span: Span, group: np.ndarray, key: int) -> Prices:
        if (span.first, key) not in self.known:
            node = np.zeros((len(group), self.tree.node.shape[1]), np.int64)
            node[:, span.first :] = np.arange(len(group))[:, None]
            leaves = tuple(self.tree.leaves[n] for n in group)
            fan = ScenarioTree(leaves, node, np.full(len(group), 1 / len(group)))
            if self.whole is not None:
                found = self.whole.prices(span, group)
            else:
                found = prices_at(span, fan, [self.programs[n] for n in group])
            for name, usd in found.items():
                usd[: span.first] += self.rng.normal(0, self.noise, usd[: span.first].shape)
                usd[: max(span.first - span.reach, 0)] = 0
                found[name] = usd
            self.known[span.first, key] = found
        return self.known[span.first, key]

    def at(self, span: Span, leaf: int) -> Prices:
        group = self.group(leaf, span.first)
        return self.prices(span, group, int(group[0]))

    def paid(self, span: Span, leaf: int) -> Prices:
        if not self.looking:
            return self.at(span, leaf)
        alone = ScenarioTree(self.tree.leaves[leaf : leaf + 1], np.zeros((1, 3), int), np.ones(1))
        return prices_at(span, alone, self.programs[leaf : leaf + 1])

    def later(self, span: Span, leaf: int) -> list[Prices]:
        after = [each for each in self.spans if each.first >= span.end]
        return [self.at(each, 0 if self.first_prices else leaf) for each in after]

    def value(self) -> float:
        count = len(self.tree.leaves)
        total = sum(program.constant for program in self.programs) / count
        for span in self.spans:
            for first in {int(self.group(n, span.first)[0]) for n in range(count)}:
                group = self.group(first, span.first)
                leaves = tuple(self.tree.leaves[n] for n in group)
                weight = np.full(len(group), 1 / len(group))
                tree = ScenarioTree(leaves, self.tree.node[group], weight)
                programs = [self.programs[n] for n in group]
                later = [self.later(span, int(n)) for n in group]
                now = self.paid(span, first) if span.first else None
                found = window_program(span, tree, programs, now, later).bound()
                total += len(group) / count * found
        return total


def most(best: Best) -> float:
    return best.cost + slack(best.cost) + 1e-9 * (1 + abs(best.cost))


def check(tree: TinyTree, best: Best, rng: np.random.Generator) -> None:
    """Windows of any length, with good prices, wrong ones, and none."""
    window = int(rng.integers(1, tree.leaves[0].slots + 1))
    noise = float(rng.choice([0.0, 0.01, 1.0]))
    assert Windows(tree, window, rng, noise=noise).value() <= most(best)


def test_windows_are_not_above_the_best_policy() -> None:
    rng = np.random.default_rng(21)
    for tree, best in tiny_trees(21, 6):
        check(tree, best, rng)


@pytest.mark.slow
def test_windows_are_not_above_the_best_policy_on_many_trees() -> None:
    rng = np.random.default_rng(22)
    for tree, best in tiny_trees(22, 2_000):
        check(tree, best, rng)


def test_what_breaks_the_proof_is_caught() -> None:
    """Futures that do not follow the history; prices of another history; prices that look ahead
    on one side. All with the best prices that there are, on trees where that shows."""
    above = dict.fromkeys(("unconditional", "first_prices", "looking"), 0)
    for n in (3, 9, 33):
        tree = tiny_tree(31, n, slots=3)
        rng, best = np.random.default_rng(0), Best(tree, 400)
        right = Windows(tree, 1, rng, exact=True).value()
        assert right <= most(best)
        found = {
            "unconditional": Windows(unconditional(tree), 1, rng, exact=True).value(),
            "first_prices": Windows(tree, 1, rng, exact=True, first_prices=True).value(),
            "looking": Windows(tree, 1, rng, exact=True, looking=True).value(),
        }
        for name, value in found.items():
            above[name] += value > best.cost + 1e-4
    assert min(above.values()) > 0, above


def test_windows_lose_nothing_with_the_duals_of_the_whole_tree() -> None:
    for n in range(6):
        windows = Windows(tiny_tree(29, n), 1, np.random.default_rng(0), exact=True)
        assert windows.whole is not None
        whole = windows.whole.found.bound()
        assert windows.value() == pytest.approx(whole, rel=1e-6, abs=1e-7)


def test_one_window_over_the_horizon_is_the_tree() -> None:
    for tree in (tiny_tree(26, n) for n in range(4)):
        slots = tree.leaves[0].slots
        windows = Windows(tree, slots, np.random.default_rng(0))
        whole = tree_program(
            ScenarioTree(tree.leaves, tree.node, tree.weight), windows.programs
        ).bound()
        assert windows.value() == pytest.approx(whole, rel=1e-7, abs=1e-9)


def test_sampled_windows_are_below_the_best_policy_on_average() -> None:
    """Two children drawn with replacement of the two of the root: every draw, equally likely."""
    for tree, best in tiny_trees(27, 4, slots=2):
        values = []
        for pair in product(range(2), repeat=2):
            drawn = TinyTree(tuple(tree.leaves[n] for n in pair), np.array([[0, 0], [0, 1]]))
            values.append(Windows(drawn, 1, np.random.default_rng(0), noise=0.1).value())
        assert np.mean(values) <= most(best)


def test_prices_cancel_between_the_windows_of_one_future() -> None:
    """What all windows charge a schedule adds up to its cost, whatever the prices."""
    rng = np.random.default_rng(28)
    for tree in (tiny_tree(28, n) for n in range(4)):
        windows = Windows(tree, 1, rng, noise=1.0)
        program = windows.programs[0]
        vector = rng.random(len(program.cost)) * program.upper
        total = 0.0
        for span in windows.spans:
            now = windows.at(span, 0) if span.first else None
            total += window_costs(span, program, now, windows.later(span, 0)) @ vector
        assert total == pytest.approx(program.cost @ vector, rel=1e-9, abs=1e-9)


# --- on a generated instance --------------------------------------------------------------------


def test_a_scenario_by_windows_is_the_same_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampled_windows, "FAN", 2)
    instance = torta_opt.generate(
        "paper/abilene", seed=3, slots=8, gpu_counts={"A100": 3, "T4": 3}, load=0.5
    )
    law = law_of(instance)
    future = law.sample(instance, 1)
    shape = Shape(4, (0,), 2)
    first, second = (value_by_windows(future, scenarios._draw(law), shape, 5) for _ in range(2))
    assert first == second
    assert value_by_windows(future, scenarios._draw(law), shape, 6) != first
    run = sampled_windows._Windows(future, scenarios._draw(law), shape, 5)
    assert [(each.first, each.end) for each in run.spans] == [(0, 4), (4, 8)]
    prices = run.prices(run.spans[1], future)
    charged = charged_at(run.program(future), prices)
    assert np.isfinite(charged).all()
    assert charged.any()
