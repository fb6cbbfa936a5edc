from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from support.plain import make_instance, make_schedule

from torta_opt import api, gaps, results
from torta_opt.cli.tables import (
    check_table,
    facts_table,
    gap_tables,
    progress_line,
    solve_table,
)
from torta_opt.families import family_of
from torta_opt.io.text import money, number, percent
from torta_opt.results import BoundResult
from torta_opt.solvers import Progress

WEIGHTS = {"time_usd_per_s": 1.0, "expiry_usd": 100.0}
INSTANCE = make_instance([[[3]], [[0]]], weights=WEIGHTS, initial={"model": [0]})
SCHEDULE = make_schedule(INSTANCE, processing=[(0, 0, 0, 1), (1, 0, 0, 2)])
BROKEN = replace(SCHEDULE, processing=SCHEDULE.processing * 9)


def text(renderable: object) -> str:
    console = Console(width=100, markup=False, highlight=False, record=True, file=None)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([12345.678, 1.0], ["12,345.68", "1.00"]),
        ([1234.5678, 0.25], ["1,234.57", "0.25"]),
        ([0.012345678, None], ["0.012346", "-"]),
        ([0.0, None], ["0.0000", "-"]),
        ([-5.0], ["-5.0000"]),
        ([], []),
    ],
)
def test_money_has_five_digits_for_the_largest(
    values: list[float | None], shown: list[str]
) -> None:
    assert money(values) == shown


@pytest.mark.parametrize(
    ("share", "shown"),
    [(None, "-"), (0.0, "0.00 %"), (1e-6, "<0.01 %"), (0.12345, "12.35 %"), (1.0, "100.00 %")],
)
def test_percent(share: float | None, shown: str) -> None:
    assert percent(share) == shown


def test_number() -> None:
    assert [number(value) for value in (None, 1234567, 0.123456789)] == [
        "-",
        "1,234,567",
        "0.12346",
    ]


def test_gap_tables_show_gap_and_avoidable_gap_side_by_side() -> None:
    report = gaps.gap(INSTANCE, schedules={"mine": SCHEDULE}, bound_method="floor")
    shown = text(gap_tables(report))
    (row,) = [line for line in shown.splitlines() if line.lstrip().startswith("mine")][:1]
    assert row.split()[:7] == ["mine", "93.000", "0.00", "%", "96.77", "%", "100.00"]
    assert "floor 3.0000 $" in shown
    assert "by definition" in shown


def test_gap_tables_split_the_cost_beside_the_floor() -> None:
    report = gaps.gap(INSTANCE, schedules={"mine": SCHEDULE})
    lines = text(gap_tables(report)).splitlines()
    waiting = next(line for line in lines if line.lstrip().startswith("waiting"))
    assert [float(cell) for cell in waiting.split()[1:]] == [0.0, 90.0]


def test_gap_tables_stay_narrow_with_many_policies_of_long_names() -> None:
    name = "a_policy_with_quite_a_long_name"
    report = gaps.gap(INSTANCE, schedules={f"{name}_{n}": SCHEDULE for n in range(20)})
    lines = text(gap_tables(report)).splitlines()
    assert max(map(len, lines)) <= 100
    assert sum(line.lstrip().startswith("waiting") for line in lines) == 5


def test_gap_tables_keep_the_policy_in_a_narrow_terminal() -> None:
    report = gaps.gap(INSTANCE, schedules={"greedy_forecast": SCHEDULE})
    console = Console(width=80)
    with console.capture() as captured:
        console.print(gap_tables(report))
    assert " greedy_forecast " in captured.get().splitlines()[5]


WORSE = make_schedule(INSTANCE, processing=[(1, 0, 0, 3)])
BOUND = BoundResult(48.0, "lp", True, 0.0, stronger="milp")


def test_gap_tables_say_what_is_known_from_both_sides() -> None:
    own = {"worse": WORSE, "mine": SCHEDULE}
    shown = " ".join(text(gap_tables(gaps.gap(INSTANCE, schedules=own, proved=BOUND))).split())
    assert "worse 138.00 32.61 % 65.22 %" in shown
    assert "mine 93.00 0.00 % 48.39 %" in shown
    assert (
        "The best schedule costs 48.000 to 93.000 $: worse could save 32.61 % to 65.22 % of its "
        "cost, mine at most 48.39 %." in shown
    )
    assert (
        "To narrow the range: --bound milp --time-limit 300, or clairvoyant among --policies."
        in shown
    )


def test_gap_tables_say_that_a_limit_ended_the_bound() -> None:
    cut = BoundResult(48.0, "lp", True, 0.0, limited=True)
    shown = " ".join(
        text(gap_tables(gaps.gap(INSTANCE, schedules={"worse": WORSE}, proved=cut))).split()
    )
    assert "To narrow the range: a higher limit, or clairvoyant among --policies." in shown


def test_gap_tables_of_one_schedule_have_a_shorter_verdict() -> None:
    close = BoundResult(92.9, "lp", True, 0.0, stronger="milp")
    shown = text(gap_tables(gaps.gap(INSTANCE, schedules={"mine": SCHEDULE}, proved=close)))
    assert "92.900 to 93.000 $: mine could save at most 0.11 % of its cost." in shown
    assert "To narrow the range" not in shown


def test_gap_tables_say_what_is_certified_and_what_auto_chose() -> None:
    beside = BoundResult(40.0, "lp", True, 0.0)
    bound = BoundResult(48.0, "milp", False, 0.0, beside=beside, why="milp within 7 nodes: so")
    shown = text(gap_tables(gaps.gap(INSTANCE, schedules={"mine": SCHEDULE}, proved=bound)))
    assert "source milp, not certified" in shown
    assert "certified bound 40.000 $ (source lp)" in shown
    assert "auto chose milp within 7 nodes: so" in shown


def test_no_verdict_where_no_schedule_is_valid() -> None:
    shown = text(gap_tables(gaps.gap(INSTANCE, schedules={"bad": BROKEN}, proved=BOUND)))
    assert "The best schedule" not in shown


def test_gap_tables_fit_80_columns() -> None:
    report = gaps.gap(INSTANCE, schedules={"greedy_forecast": SCHEDULE, "worse": WORSE})
    console = Console(width=80)
    with console.capture() as captured:
        console.print(gap_tables(report))
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith(" greedy_forecast ") for line in lines)


def test_gap_tables_say_what_is_broken() -> None:
    report = gaps.gap(INSTANCE, schedules={"[bold]mine": BROKEN})
    shown = text(gap_tables(report))
    assert "[bold]mine: queue-empty: slot 0" in shown
    assert " NO " in shown


def test_check_table() -> None:
    valid = results.Check("i", "schedule", evaluation=api.evaluate(INSTANCE, SCHEDULE))
    assert "s.json: a valid schedule, cost 93.000" in text(check_table(valid, "s.json"))
    broken = results.Check("i", "schedule", ("a: b",), {"a": 7})
    shown = text(check_table(broken, "s.json"))
    assert "7 places" in shown
    assert "and 6 more" in shown
    assert "a valid bound, 3.5" in text(
        check_table(results.Check("i", "bound", bound=3.5), "b.json")
    )


def test_solve_table() -> None:
    result = results.Result(SCHEDULE, api.evaluate(INSTANCE, SCHEDULE), 0.5, np.zeros(2))
    shown = text(solve_table(result))
    assert "93.000 $ in 0.50 s" in shown
    assert "waiting" in shown
    assert "response_p95_s" in shown


def test_a_bound_of_a_search_says_who_proved_it_and_that_no_checker_did() -> None:
    evaluation = api.evaluate(INSTANCE, SCHEDULE)
    result = results.Result(SCHEDULE, evaluation, 0.5, bound=90.0, source="merged_milp")
    assert "90.000 $ (merged_milp, not certified): gap 3.2" in text(solve_table(result))
    document = result.to_document()
    assert (document["source"], document["certified"]) == ("merged_milp", False)


def test_description_table() -> None:
    facts = api.describe(INSTANCE)
    shown = text(facts_table(facts, family_of(INSTANCE).described(facts)))
    assert "2 slots of 45 s" in shown
    assert "floor" in shown


def test_a_line_of_progress_shows_what_is_known() -> None:
    sample = Progress(3.0, 20.0, 19.0, 7, "exact program")
    line = progress_line("optimal", sample, 10.0)
    assert line == "optimal: exact program  best 20  bound 19  gap 5.00 %  3 s, 7 s left"
    assert progress_line("milp", replace(sample, incumbent=np.inf), None).endswith("bound 19  3 s")
