"""Laws of token counts keep the figures they are made from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torta_opt.allocation.instance.imports.token_laws import (
    LONGEST_TAIL,
    histogram_law,
    quantile_law,
)

UNIFORM = (np.arange(200_000) + 0.5) / 200_000


@pytest.mark.parametrize(
    ("mean", "percentiles"),
    [(427.53, (275, 380, 4826)), (1200, (275, 380, 4826)), (300, (280, 330, 340))],
)
def test_a_law_keeps_percentiles_and_mean(mean: float, percentiles: tuple[int, ...]) -> None:
    drawn = quantile_law(mean, *percentiles).draw(UNIFORM)
    assert np.quantile(drawn, [0.5, 0.9, 0.99]) == pytest.approx(percentiles, rel=0.01)
    assert drawn.mean() == pytest.approx(mean, rel=0.01)


@given(
    p50=st.floats(0, 5000),
    above=st.tuples(st.floats(1, 20), st.floats(1, 20)),
    mean=st.floats(0, 1e6),
)
def test_any_figures_give_whole_tokens_in_order(
    p50: float, above: tuple[float, float], mean: float
) -> None:
    p90, p99 = p50 * above[0], p50 * above[0] * above[1]
    drawn = quantile_law(mean, p50, p90, p99).draw(UNIFORM[::100])
    assert drawn.dtype.kind == "i"
    assert drawn.min() >= 1
    assert (np.diff(drawn) >= 0).all()
    assert drawn.max() <= np.ceil(LONGEST_TAIL * max(p99, 1))
    assert drawn[1000] == pytest.approx(max(p50, 1), abs=1, rel=0.02)


def test_a_mean_out_of_reach_keeps_the_percentiles() -> None:
    drawn = quantile_law(10, 100, 200, 400).draw(UNIFORM)
    assert np.quantile(drawn, [0.5, 0.9, 0.99]) == pytest.approx([100, 200, 400], rel=0.01)
    assert drawn.max() == 400
    assert drawn.min() == 1


def test_a_histogram_is_drawn_by_its_shares() -> None:
    drawn = histogram_law(np.array([200, 311, 5]), np.array([1.0, 0.0, 3.0])).draw(UNIFORM)
    values, counts = np.unique(drawn, return_counts=True)
    assert values.tolist() == [5, 200]
    assert counts / drawn.size == pytest.approx([0.75, 0.25], abs=1e-4)


@pytest.mark.parametrize("shares", [[], [0.0, 0.0], [-1.0, 2.0], [np.nan, 1.0], [np.inf, 1.0]])
def test_shares_that_are_none_are_refused(shares: list[float]) -> None:
    with pytest.raises(ValueError, match="non-negative and not all 0"):
        histogram_law(np.arange(len(shares)), np.array(shares))
