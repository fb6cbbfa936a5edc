"""docs/placement.md is what its command writes, and says what its figures say."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import placement_study as study
import pytest

from torta_opt.allocation.policies.experiment import interval

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "placement.md"


def _rows(text, first_cell):
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith(f"| {first_cell}")
    ]


def _percents(cell):
    return [int(found) for found in re.findall(r"(-?\d+)%", cell)]


def test_the_page_holds_the_published_figures():
    text = PAGE.read_text()
    for (network, rate, tokens), (petals, own) in study.PUBLISHED.items():
        rows = [
            row for row in _rows(text, study.NAMES[network]) if row[1:3] == [str(rate), str(tokens)]
        ]
        assert [row[3:5] for row in rows] == [[str(petals), str(own)]] * 2  # both memory settings


def test_reductions_follow_from_the_means():
    for network in ("AboveNet", "BellCanada"):
        for row in _rows(PAGE.read_text(), network):
            if len(row) != 12:
                continue
            for petals, own, less in (row[3:6], row[6:9], row[9:12]):
                before, after = (float(cell.split(" ")[0]) for cell in (petals, own))
                share = _percents(less)[0] / 100
                assert 1 - after / before == pytest.approx(share, abs=0.012)


def test_zero_delays_leave_less_of_the_gain():
    for network in ("AboveNet", "BellCanada"):
        for row in _rows(PAGE.read_text(), network):
            if len(row) == 12:
                published, zero = (_percents(row[place])[0] for place in (8, 11))
                assert zero < published


def test_cg_bprr_is_proven_optimal_on_the_published_settings():
    text = PAGE.read_text()
    for label, count in (("AboveNet, 10 requests", 20), ("BellCanada, 10 requests", 20)):
        (row,) = _rows(text, label)
        assert row[1] == str(count)
        assert row[2] == "0.0% (0.0%)"
        assert row[3] == f"0.0% ({count} proven)"


def test_what_is_left_of_the_gaps_is_the_best_schedules():
    """No method beats the best schedule found: gaps are to the same bound."""
    rows = [row for row in _rows(PAGE.read_text(), "") if len(row) == 9 and row[1].isdigit()]
    assert len(rows) == 13
    for row in rows:
        best = float(row[2].split("%")[0])
        assert best <= 2.0
        for cell in row[3:]:
            assert cell == "infeasible" or float(cell.split("%")[0]) >= best or "infeas" in cell


def test_reductions_stand_within_their_intervals_over_draws():
    text = PAGE.read_text()
    found = [
        cell for name in ("AboveNet", "BellCanada") for row in _rows(text, name) for cell in row
    ]
    intervals = [_percents(cell) for cell in found if "[" in cell]
    assert len(intervals) == 32
    for less, low, high in intervals:
        assert low <= less <= high


def test_shares_have_intervals_over_draws():
    """Student's t of what a draw adds to the ratio of means; settings of one draw are one."""
    rng = np.random.default_rng(3)
    below = rng.uniform(1, 2, 12)
    above = 0.3 * below + rng.normal(0, 0.1, 12)
    once = study.share([(above, below)])
    assert once.mean == pytest.approx(above.mean() / below.mean())
    again = study.share([(above, below)] * 4)
    assert [again.low, again.high] == pytest.approx([once.low, once.high])
    exact = study.share([(0.3 * below, below)])
    assert exact.high - exact.low == pytest.approx(0, abs=1e-9)
    flat = study.share([(above, np.full(12, 2.0))])
    expected = interval(above / 2)
    assert [flat.low, flat.high] == pytest.approx([expected.low, expected.high])


def test_a_share_of_one_draw_has_no_interval():
    assert study.shown(study.share([(np.array([1.0]), np.array([4.0]))])) == "25%"
    two = study.share([(np.array([1.0, 1.2]), np.array([4.0, 4.0]))])
    assert study.shown(two, "**").startswith("**28%** [")


def test_schedules_are_found_and_priced() -> None:
    assert "| AboveNet | " in study.relaying(1)
    instance = study.offline_instances(1)["clustered, client apart"][0]
    least = study.floor_s(instance)
    assert study._gap_cell([instance], [least], "cg_bprr") == "0.0% (1 proven)"
    assert study._gap_cell([instance], [least / 2], "cg_bprr") == "50.0%"


@pytest.mark.slow
def test_the_command_writes_the_page():
    """The same page at few seeds: same headings, and the parts that no seed decides."""
    text, kept = study.page(2), PAGE.read_text()
    headings = [line for line in kept.splitlines() if line.startswith("#")]
    assert [line for line in text.splitlines() if line.startswith("#")] == headings
    for label in ("clustered, client apart", "measured layers", "16 |"):
        assert [row[:3] for row in _rows(text, label)] == [row[:3] for row in _rows(kept, label)]
    assert study.page(2) == text
