"""Surges and outages drawn anew, given those that have begun: against exact conditional laws."""

from __future__ import annotations

import itertools

import numpy as np

from torta_opt.allocation.law.events import redraw_outages, redraw_surges

DRAWS = 4000


def within(observed: float, chance: float) -> bool:
    """Five standard deviations of a share of ``DRAWS``."""
    return abs(observed - chance) < 5 * np.sqrt(chance * (1 - chance) / DRAWS) + 1e-12


def test_surges_begun_stay_and_the_others_are_uniform_over_what_is_left():
    rng = np.random.default_rng(0)
    found = np.array([[2, 5], [1, 30]])
    drawn = np.array([redraw_surges(found, 10, 4, 40, rng) for _ in range(DRAWS)])
    assert (drawn[:, 0] == [2, 5]).all()
    assert drawn[:, 1, 1].min() == 10
    assert drawn[:, 1, 1].max() == 39
    assert within((drawn[:, 1, 1] < 20).mean(), 1 / 3)
    assert all(within((drawn[:, 1, 0] == region).mean(), 1 / 4) for region in range(4))


def test_no_surge_begins_after_the_last_that_may():
    found = np.array([[2, 5], [1, 6]])
    assert np.array_equal(redraw_surges(found, 20, 4, 10, np.random.default_rng(0)), found)


def drawing_chance(order: tuple[int, ...], share: np.ndarray) -> float:
    """That regions are drawn in this order, each with its share of what is left."""
    chance, left = 1.0, 1.0
    for region in order:
        chance *= share[region] / left
        left -= share[region]
    return chance


def test_outages_to_come_have_their_exact_conditional_law():
    """Three of four regions; the second one drawn has begun. Enumeration gives the law of the other
    two; drawing them without regard to it would be off by up to 3 %, here many deviations."""
    sizes = np.array([6.0, 3.0, 2.0, 1.0])
    share, rng = sizes / sizes.sum(), np.random.default_rng(1)
    found = np.array([[3, 50], [1, 10], [2, 60]])
    drawn = [redraw_outages(found, 20, (10, 70), sizes, rng) for _ in range(DRAWS)]
    orders = [order for order in itertools.permutations(range(4), 3) if order[1] == 1]
    chances = np.array([drawing_chance(order, share) for order in orders])
    chances /= chances.sum()
    got = [tuple(each[:, 0].tolist()) for each in drawn]
    assert all(each[1, 1] == 10 and each[1, 0] == 1 for each in drawn)
    assert set(got) <= set(orders)
    for order, chance in zip(orders, chances, strict=True):
        assert within(got.count(order) / DRAWS, chance), order


def test_outages_without_a_past_are_drawn_as_the_generator_draws():
    sizes = np.array([6.0, 3.0, 1.0])
    share, rng = sizes / sizes.sum(), np.random.default_rng(2)
    found = np.array([[0, 30], [1, 40]])
    drawn = [redraw_outages(found, 0, (10, 70), sizes, rng) for _ in range(DRAWS)]
    got = [tuple(each[:, 0].tolist()) for each in drawn]
    for order in itertools.permutations(range(3), 2):
        assert within(got.count(order) / DRAWS, drawing_chance(order, share)), order
