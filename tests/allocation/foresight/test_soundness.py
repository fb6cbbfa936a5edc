"""Bounds for policies that cannot see ahead, against the best of them on tiny scenario trees."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from support.futures import tiny_trees
from support.optima import slack
from support.sizes import examples
from support.tree_bounds import as_scenarios, check_tree, penalised, random_penalty

from torta_opt.allocation.bounds.lp import prove
from torta_opt.allocation.foresight.inner import merged_of
from torta_opt.allocation.foresight.tree import ScenarioTree, tree_program
from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
from torta_opt.allocation.formulations.matrix import build_allocation_program


def test_no_way_of_bounding_is_above_the_best_policy() -> None:
    rng = np.random.default_rng(5)
    for tree, best in tiny_trees(1, examples(20)):
        check_tree(tree, best, rng)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(20))  # 2,000 trees, in parts that run side by side
def test_no_way_of_bounding_is_above_the_best_policy_on_many_trees(part: int) -> None:
    rng = np.random.default_rng([6, part])
    for tree, best in tiny_trees(20 + part, 100):
        check_tree(tree, best, rng)


def test_trees_of_the_allocation_program_are_bounds_too() -> None:
    for tree, best in tiny_trees(3, 6):
        programs = [with_knapsack_rows(build_allocation_program(leaf)) for leaf in tree.leaves]
        found = tree_program(as_scenarios(tree), programs)
        assert found.bound() <= best.cost + slack(best.cost)
        assert len(found.cost) < sum(len(program.cost) for program in programs)


def test_a_tree_of_one_leaf_is_its_program() -> None:
    for tree, _ in tiny_trees(4, 5):
        program = merged_of(tree.leaves[0], 1).program
        alone = ScenarioTree(tree.leaves[:1], tree.node[:1], np.ones(1))
        found = tree_program(alone, [program])
        assert (found.matrix != program.matrix).nnz == 0
        rng = np.random.default_rng(0)
        dual = rng.normal(0, 0.1, len(found.row_lower))
        assert found.prove(dual) == pytest.approx(prove(program, dual), rel=1e-12)


def test_sampled_trees_are_below_the_best_policy_on_average() -> None:
    """Two children drawn with replacement of the two of each node: every draw, equally likely."""
    for tree, best in tiny_trees(7, 8):
        if tree.leaves[0].slots != 2:
            continue
        values = []
        for pair in product(range(2), repeat=2):
            leaves = tuple(tree.leaves[n] for n in pair)
            sampled = ScenarioTree(leaves, np.array([[0, 0], [0, 1]]), np.full(2, 0.5))
            programs = [merged_of(leaf, 1).program for leaf in leaves]
            values.append(tree_program(sampled, programs).bound())
        assert np.mean(values) <= best.cost + slack(best.cost)


def test_the_penalty_of_the_exact_value_function_is_tight() -> None:
    """Every inner value is the cost of the best policy itself."""
    for tree, best in tiny_trees(8, 8):
        first = best.value(0, 0, best.brutes[0].first_state())
        assert all(best.inner(leaf) == first for leaf in range(len(tree.leaves)))


def test_the_best_policy_is_between_the_clairvoyant_and_any_other() -> None:
    """The dynamic programme itself, against brute force on every leaf."""
    from support.tiny import brute_force_optimum

    for tree, best in tiny_trees(9, 8):
        alone = [float(brute_force_optimum(leaf, 50_000).cost) for leaf in tree.leaves]
        assert np.mean(alone) <= best.cost + slack(best.cost)


def test_an_unfair_penalty_can_be_above_the_best_policy() -> None:
    """Of wrong means: what the check of fairness is for (``raise_if_unfair``)."""
    above = 0
    rng = np.random.default_rng(10)
    for tree, best in tiny_trees(10, 12):
        penalty = random_penalty(rng, tree)
        above += penalised(tree, penalty, bias=-5.0) > best.cost + 1e-6 * (1 + abs(best.cost))
    assert above > 0
