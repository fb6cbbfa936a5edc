"""Every way of bounding policies that cannot see ahead, on one tiny tree whose best one is known.

``check_tree(tree, best, rng)``: no way of bounding is above that policy.
"""

from __future__ import annotations

import numpy as np
from support.futures import Best, TinyTree, expected_on
from support.optima import slack

from torta_opt.allocation.foresight.inner import charged, merged_of, solved
from torta_opt.allocation.foresight.penalty import Errors, Penalty, size_of
from torta_opt.allocation.foresight.tree import ScenarioTree, tree_program

HORIZONS = (1, 2)


def as_scenarios(tree: TinyTree) -> ScenarioTree:
    return ScenarioTree(tree.leaves, tree.node, tree.weight)


def random_penalty(rng: np.random.Generator, tree: TinyTree) -> Penalty:
    system = tree.leaves[0].system
    size = size_of(system, HORIZONS)
    vector = rng.normal(0, rng.choice([0.01, 0.1, 1.0]), size) * (rng.random(size) < 0.5)
    return Penalty.of(system, vector, HORIZONS)


def penalised(tree: TinyTree, penalty: Penalty, bias: float = 0.0) -> float:
    """Mean inner value; ``bias`` requests are added to what is expected."""
    total = 0.0
    for leaf, instance in enumerate(tree.leaves):
        merged = merged_of(instance)
        expected = expected_on(tree, leaf, HORIZONS) + bias
        usd = charged(merged, penalty, Errors.of(instance, expected, HORIZONS))
        result = solved(merged, usd)
        assert result.row_dual is not None
        total += tree.weight[leaf] * result.objective
    return total


def check_tree(tree: TinyTree, best: Best, rng: np.random.Generator) -> None:
    """Every way of bounding, on one tree."""
    most = best.cost + slack(best.cost) + 1e-7 * (1 + abs(best.cost))  # the solver's tolerance
    merged = [merged_of(leaf, 1) for leaf in tree.leaves]
    none = float(np.mean([solved(each, 0.0).objective for each in merged]))
    assert none <= most, f"without penalty {none!r}"
    fined = penalised(tree, random_penalty(rng, tree))
    assert fined <= most, f"with a penalty {fined!r}"
    whole = tree_program(as_scenarios(tree), [each.program for each in merged]).bound()
    low, high = none - 1e-7 * (1 + abs(none)), best.cost + slack(best.cost)
    assert low <= whole <= high, f"the tree {whole!r}, without {none!r}"
