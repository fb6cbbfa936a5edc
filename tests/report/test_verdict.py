"""Sentences say at least what is certain and at most what is possible."""

from __future__ import annotations

from typing import Any

from torta_opt.report.verdict import verdict


def row(name: str, cost: float | None, least: float | None, most: float | None) -> dict[str, Any]:
    return {
        "policy": name,
        "cost": cost,
        "gap_at_least": least,
        "gap": most,
        "feasible": cost is not None,
    }


def test_shares_are_rounded_away_from_what_is_not_proved() -> None:
    rows = [row("mine", 100.0, 0.24651, 0.25141), row("best", 75.349, 0.0, 0.00652)]
    said = verdict({"results": rows})
    assert "at least 24.6 % and at most 25.2 %" in said
    assert "best with 75.349 $, is within 0.7 %" in said


def test_the_readers_own_schedule_comes_first() -> None:
    rows = [
        row("dear", 90.0, 0.2, 0.3),
        row("mine", 100.0, 0.28, 0.37),
        row("best", 72.0, 0.0, 0.1),
    ]
    assert verdict({"results": rows}, ["mine"]).startswith("mine costs 100.00 $")
    assert verdict({"results": rows}).startswith("dear costs 90.000 $")


def test_an_optimal_schedule_is_called_so() -> None:
    assert "it is optimal" in verdict({"results": [row("mine", 1.0, 0.0, 0.0)]}, ["mine"])


def test_a_cost_of_zero_has_no_gap() -> None:
    assert verdict({"results": [row("free", 0.0, None, None)]}) == (
        "The cheapest schedule is that of free."
    )


def test_broken_schedules_get_no_number() -> None:
    rows = [row("mine", None, None, None), row("other", 2.0, 0.0, 0.5)]
    said = verdict({"results": rows}, ["mine"])
    assert "No number is given for mine" in said
    assert "No schedule keeps every rule" in verdict({"results": rows[:1]})


def test_what_can_be_saved_without_seeing_ahead_is_said_beside_it() -> None:
    rows = [row("mine", 100.0, 0.2, 0.3), row("best", 80.0, 0.0, 0.1)]
    rows[0]["foresight"] = {
        "cost": {"mean": 50.0, "interval": [45.0, 55.0]},
        "difference": {"mean": 8.0, "interval": [5.0, 10.01]},
    }
    document = {"results": rows, "nonanticipative": {"scenarios": 30}}
    said = verdict(document)
    assert "at least 20.0 % and at most 30.0 %" in said
    assert "Averaged over 30 futures, at most 20.1 % of the cost of mine could" in said
    del document["nonanticipative"]
    assert "Averaged" not in verdict(document)
