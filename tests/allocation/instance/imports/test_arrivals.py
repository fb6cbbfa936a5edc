"""Arrival times: mean, variation, and a stationary start."""

from __future__ import annotations

import numpy as np
import pytest

from torta_opt.allocation.instance.imports.arrivals import ClientRates, renewal_times

WINDOW_S = 600.0


def client(*windows: tuple[float, float, float]) -> ClientRates:
    return ClientRates(*np.array(windows).T)


def counts(rates: ClientRates, start_s: float, end_s: float, draws: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.array(
        [renewal_times(rates, WINDOW_S, start_s, end_s, rng).size for _ in range(draws)]
    )


@pytest.mark.parametrize("cv", [0.2, 1.0, 3.0])
@pytest.mark.parametrize("end_s", [20.0, 600.0, 1200.0])
def test_the_expected_number_of_requests_is_rate_times_length(cv: float, end_s: float) -> None:
    """From the first moment on: a process that starts with a full gap would have fewer."""
    rates = client((0, 0.5, cv), (600, 0.1, cv))
    expected = rates.expected(WINDOW_S, 0, end_s)
    assert expected == pytest.approx(0.5 * min(end_s, 600) + 0.1 * max(0, end_s - 600))
    found = counts(rates, 0, end_s, 4000)
    assert found.mean() == pytest.approx(expected, abs=4 * found.std() / np.sqrt(4000))


@pytest.mark.parametrize("cv", [0.3, 1.0, 2.5])
def test_gaps_have_the_variation_asked_for(cv: float) -> None:
    rates = client(*((600 * w, 5.0, cv) for w in range(100)))
    times = renewal_times(rates, WINDOW_S, 0, 60_000, np.random.default_rng(1))
    gaps = np.diff(times)
    assert (gaps >= 0).all()
    assert gaps.mean() == pytest.approx(0.2, rel=0.03)
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.05)


def test_only_the_part_asked_for_and_only_windows_with_requests() -> None:
    rates = client((0, 1.0, 1.0), (1200, 2.0, 1.0))
    times = renewal_times(rates, WINDOW_S, 300, 1500, np.random.default_rng(2))
    assert times.min() >= 300
    assert times.max() < 1500
    assert not ((times >= 600) & (times < 1200)).any()
    assert times.size == pytest.approx(300 + 600, abs=120)


def test_a_very_bursty_client_ends() -> None:
    rates = client((0, 0.5, 1000.0))
    assert counts(rates, 0, 600, 50).mean() >= 0


def test_nothing_outside_its_windows() -> None:
    assert counts(client((0, 1.0, 1.0)), 700, 900, 3).sum() == 0
