"""What policies expect of the next slot."""

from __future__ import annotations

import numpy as np
import pytest

from torta_opt.allocation.policies.forecasting import Smoothing


def test_first_slot_is_expected_again():
    assert Smoothing(0.4).update(np.array([[3, 1]])).tolist() == [[3, 1]]


def test_is_a_geometric_mean_of_the_past():
    smoothing = Smoothing(0.25)
    arrivals = [8, 4, 0, 12]
    for requests in arrivals:
        expected = smoothing.update(np.array([[requests]]))
    weights = [0.75**3, 0.25 * 0.75**2, 0.25 * 0.75, 0.25]
    assert expected[0, 0] == pytest.approx(np.dot(weights, arrivals))


def test_without_smoothing_the_last_slot_is_expected():
    smoothing = Smoothing(1)
    smoothing.update(np.array([[3]]))
    assert smoothing.update(np.array([[7]])).tolist() == [[7]]


def test_arrivals_are_not_changed():
    arrivals = np.array([[3, 4]])
    smoothing = Smoothing(0.5)
    smoothing.update(arrivals)
    smoothing.update(np.array([[9, 9]]))
    assert arrivals.tolist() == [[3, 4]]
