from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import highspy
import numpy as np
import pytest
from support.plain import make_instance, make_schedule
from support.second_opinion import by_scip_from_file
from support.sizes import examples
from support.tiny import random_feasible_schedule, random_tiny_instance

import torta_opt
from torta_opt import api, gaps, results
from torta_opt.allocation.bounds.registry import METHODS
from torta_opt.allocation.formulations.user_constraint import UserConstraint
from torta_opt.allocation.instance import Instance, save_instance
from torta_opt.allocation.schedule import Schedule, evaluate, save_schedule
from torta_opt.family import BoundMethod
from torta_opt.gaps import run as gap_run
from torta_opt.io import InvalidInput, VerificationFailed
from torta_opt.results import BoundResult

WEIGHTS = {"time_usd_per_s": 1.0, "expiry_usd": 100.0}
READY = {"model": [0]}


def instance_and_schedule(**changes: Any) -> tuple[Instance, Schedule]:
    """Three requests of 1 s on one ready server; two wait a slot of 45 s: floor 3, cost 93."""
    instance = make_instance([[[3]], [[0]]], weights=WEIGHTS, initial=READY, **changes)
    return instance, make_schedule(instance, processing=[(0, 0, 0, 1), (1, 0, 0, 2)])


def proved(value: float, source: str = "test") -> BoundResult:
    return BoundResult(value, source, True, 0.0)


class TestCompare:
    def test_both_gaps(self) -> None:
        instance, schedule = instance_and_schedule()
        result = gaps.compare(instance, "mine", schedule, proved(48.0), proved(3.0, "floor"))
        assert result.cost == 93.0
        assert result.gap == (93 - 48) / 93
        assert result.avoidable_gap == (93 - 48) / (93 - 3)

    def test_a_negative_cost_is_divided_by_its_size(self) -> None:
        instance = make_instance(
            [[[0]]], price=-1.0, idle_kw=80.0, initial=READY, weights={"time_usd_per_s": 1.0}
        )
        schedule = make_schedule(instance)
        cost = evaluate(instance, schedule).cost
        assert cost == pytest.approx(-1.0)
        result = gaps.compare(instance, "idle", schedule, proved(-3.0), proved(-5.0, "floor"))
        assert result.gap == pytest.approx(2.0)
        assert result.avoidable_gap == pytest.approx(2 / 4)

    def test_no_gap_of_a_cost_of_nothing(self) -> None:
        instance = make_instance([[[0]]])
        result = gaps.compare(
            instance, "idle", make_schedule(instance), proved(0.0), proved(0.0, "floor")
        )
        assert (result.cost, result.gap, result.avoidable_gap) == (0.0, None, None)

    def test_no_avoidable_gap_where_nothing_is_avoidable(self) -> None:
        instance = make_instance([[[3]]], weights=WEIGHTS, initial=READY)
        schedule = make_schedule(instance, processing=[(0, 0, 0, 3)])
        result = gaps.compare(instance, "best", schedule, proved(3.0), proved(3.0, "floor"))
        assert (result.cost, result.gap, result.avoidable_gap) == (3.0, 0.0, None)

    @pytest.mark.parametrize(("bound", "floor"), [(93.001, 3.0), (48.0, 93.001)])
    def test_a_schedule_below_a_bound_proves_one_of_them_wrong(
        self, bound: float, floor: float
    ) -> None:
        instance, schedule = instance_and_schedule()
        with pytest.raises(
            VerificationFailed, match=r"mine: costs 93\.0 .* one of the two is wrong"
        ):
            gaps.compare(instance, "mine", schedule, proved(bound), proved(floor, "floor"))

    def test_below_by_rounding_is_no_gap(self) -> None:
        instance, schedule = instance_and_schedule()
        result = gaps.compare(
            instance, "mine", schedule, proved(93.0 + 1e-10), proved(3.0, "floor")
        )
        assert result.gap == 0.0

    def test_a_schedule_that_breaks_rules_gets_no_number(self) -> None:
        instance, schedule = instance_and_schedule()
        broken = replace(schedule, processing=schedule.processing + 1)
        result = gaps.compare(instance, "mine", broken, proved(1.0), proved(1.0, "floor"))
        assert not result.feasible
        document = result.to_document()
        assert [document[name] for name in ("cost", "gap", "avoidable_gap")] == [None] * 3
        assert document["costs"] == document["metrics"] == {}


class TestGap:
    def test_schedules_alone_run_no_policy(self) -> None:
        instance, schedule = instance_and_schedule()
        report = gaps.gap(instance, schedules={"mine": schedule}, bound_method="floor")
        assert [result.policy for result in report.results] == ["mine"]
        assert report.floor is report.bound
        assert report.feasible

    def test_an_unknown_policy_is_refused_before_any_runs(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        instance, _ = instance_and_schedule()
        monkeypatch.setattr(
            "torta_opt.allocation.policies.runner.run", lambda *_: pytest.fail("ran")
        )
        with pytest.raises(InvalidInput, match="magic"):
            gaps.gap(instance, policies=["round_robin", "magic"])

    def test_another_bound_stands_beside_the_floor(self, monkeypatch: pytest.MonkeyPatch) -> None:
        instance, schedule = instance_and_schedule()
        method = BoundMethod("half the cost", lambda *_: results.BoundResult(46.5, "half"))
        monkeypatch.setitem(METHODS, "half", method)
        report = gaps.gap(instance, schedules={"mine": schedule}, bound_method="half")
        document = report.to_document()
        assert document["floor"] == 3.0
        assert document["bound"]["value"] == 46.5
        assert (document["bound"]["source"], document["bound"]["certified"]) == ("half", False)
        assert document["results"][0]["gap"] == 0.5
        assert document["results"][0]["avoidable_gap"] == 46.5 / 90

    def test_what_is_known_from_both_sides(self) -> None:
        """At most from the bound, at least from the cheapest schedule of the run."""
        instance, schedule = instance_and_schedule()
        worse = make_schedule(instance, processing=[(1, 0, 0, 3)])  # all wait a slot: 138
        report = gaps.gap(
            instance, schedules={"worse": worse, "mine": schedule}, proved=proved(48.0)
        )
        found = {result.policy: result for result in report.results}
        assert report.cheapest is found["mine"]
        assert [found[name].cost for name in ("worse", "mine")] == [138.0, 93.0]
        assert found["worse"].gap_at_least == (138 - 93) / 138
        assert found["worse"].gap == (138 - 48) / 138
        assert found["mine"].gap_at_least == 0.0
        entries = report.to_document()["results"]
        assert [entry["gap_at_least"] for entry in entries] == [(138 - 93) / 138, 0.0]

    def test_a_schedule_that_breaks_rules_says_nothing_about_others(self) -> None:
        instance, schedule = instance_and_schedule()
        broken = replace(schedule, processing=schedule.processing * 9)
        report = gaps.gap(
            instance, schedules={"bad": broken, "mine": schedule}, proved=proved(48.0)
        )
        bad, mine = report.results
        assert (bad.gap_at_least, mine.gap_at_least) == (None, 0.0)
        assert gaps.gap(instance, schedules={"bad": broken}, proved=proved(48.0)).cheapest is None

    def test_a_schedule_that_breaks_a_users_constraint_is_no_yardstick(self) -> None:
        instance, schedule = instance_and_schedule()
        worse = make_schedule(instance, processing=[(1, 0, 0, 3)])
        late = UserConstraint("late", lambda *_: None, lambda _, own: own.processing[0].sum())
        own = {"worse": worse, "mine": schedule}
        report = gaps.gap(instance, schedules=own, proved=proved(48.0), constraints=[late])
        found = {result.policy: result for result in report.results}
        assert (found["worse"].gap_at_least, found["mine"].gap_at_least) == (0.0, None)
        entry = found["mine"].to_document()
        assert (entry["violations"], entry["violations_by_rule"]) == (1, {"late": 1})
        assert entry["problems"] == ["late: the constraint is violated"]

    def test_the_document_says_which_rules_are_broken_where_and_how_often(self) -> None:
        instance, schedule = instance_and_schedule()
        broken = replace(schedule, processing=schedule.processing * 9)
        report = gaps.gap(
            instance, schedules={"bad": broken, "mine": schedule}, bound_method="floor"
        )
        bad, mine = report.to_document()["results"]
        assert (bad["feasible"], bad["violations"]) == (False, 1)
        assert bad["violations_by_rule"] == {"queue-empty": 1} == report.results[0].violations
        assert bad["problems"][0].startswith("queue-empty: slot 0")
        assert (mine["violations"], mine["violations_by_rule"], mine["problems"]) == (0, {}, [])

    def test_the_certified_value_stands_beside_a_bound_that_is_not(self) -> None:
        instance = torta_opt.generate("small/loading")
        found = gaps.gap(instance, "round_robin").to_document()["bound"]
        assert (found["source"], found["certified"]) == ("milp", False)
        assert 0 < found["certified_value"] < found["value"]
        assert found["why"].startswith("milp within")
        named = gaps.gap(instance, "round_robin", bound_method="lp").to_document()["bound"]
        assert named["certified_value"] == named["value"]
        assert (named["why"], named["stronger"]) == (None, "milp")
        floor = gaps.gap(instance, "round_robin", bound_method="floor").to_document()["bound"]
        assert (floor["certified_value"], floor["stronger"]) == (None, "lp")

    def test_other_weights_are_measured_in_the_same_way(self) -> None:
        report = gaps.gap(torta_opt.generate("small/loading"), "round_robin", sensitivity="x4")
        assert report.sensitivity["x4"].bound.why

    def test_the_document_is_json_whatever_the_instance(self) -> None:
        rng = np.random.default_rng(3)
        for _ in range(examples(50)):
            instance = random_tiny_instance(rng)
            schedule = random_feasible_schedule(instance, rng)
            report = gaps.gap(instance, schedules={"random": schedule})
            assert report.feasible
            json.dumps(report.to_document(), allow_nan=False)
            gap = report.results[0].gap
            assert gap is None or gap >= 0

    def test_watch_hears_of_every_step(self) -> None:
        instance, schedule = instance_and_schedule()
        steps: list[tuple[str, int, int]] = []
        gaps.gap(
            instance, ["round_robin"], {"mine": schedule}, watch=lambda *step: steps.append(step)
        )
        assert steps == [
            ("bound: auto", 0, 1),
            ("mine", 0, 1),
            ("round_robin", 1, 2),
            ("round_robin", 2, 2),
        ]


class TestSolve:
    @pytest.mark.parametrize("method", ["round_robin", "greedy_forecast"])
    def test_the_result_is_verified_and_priced(self, method: str) -> None:
        instance = torta_opt.generate("small/drain")
        result = torta_opt.solve(instance, method)
        assert torta_opt.verify(instance, result.schedule).ok
        assert result.cost == torta_opt.evaluate(instance, result.schedule).cost
        assert result.to_document()["method"] == method

    def test_the_same_seed_gives_the_same_schedule(self) -> None:
        instance = torta_opt.generate("small/drain")
        one, two = (torta_opt.solve(instance, "greedy_forecast", seed=4) for _ in range(2))
        assert np.array_equal(one.schedule.processing, two.schedule.processing)
        assert one.schedule.seed == 4


class TestFiles:
    def test_open_instance_is_load_instance(self, tmp_path: Path) -> None:
        instance, _ = instance_and_schedule()
        save_instance(instance, tmp_path / "i.json.gz")
        assert api.open_instance(tmp_path / "i.json.gz").requests == instance.requests

    def test_an_unknown_kind_names_the_known_ones(self, tmp_path: Path) -> None:
        (tmp_path / "i.json").write_text('{"format": "torta-opt/schedule", "version": 1}')
        with pytest.raises(InvalidInput, match='format: must be "torta-opt/allocation" or '):
            api.open_instance(tmp_path / "i.json")

    def test_verify_file_prices_what_is_valid(self, tmp_path: Path) -> None:
        instance, schedule = instance_and_schedule()
        save_schedule(schedule, tmp_path / "s.json")
        check = api.verify_file(instance, tmp_path / "s.json")
        assert check.ok
        assert check.to_document()["cost"] == 93.0

    def test_verify_file_counts_what_is_broken(self, tmp_path: Path) -> None:
        instance, schedule = instance_and_schedule()
        save_schedule(replace(schedule, processing=schedule.processing * 9), tmp_path / "s.json")
        document = api.verify_file(instance, tmp_path / "s.json").to_document()
        assert document["valid"] is False
        assert document["violations_by_rule"] == {"queue-empty": 1}
        assert document["problems"][0].startswith("queue-empty: slot 0")
        assert "cost" not in document


class TestDescribe:
    def test_facts(self) -> None:
        instance, _ = instance_and_schedule()
        facts = api.describe(instance)
        assert facts["requests"] == 3
        assert facts["requests_by_class"] == {"chat": 3}
        assert facts["servers_by_type"] == {"big": 1}
        assert facts["servers_on_at_start"] == 1
        assert facts["load"] == pytest.approx(3 / 90)
        assert facts["floor"] == 3.0
        json.dumps(facts, allow_nan=False)

    def test_load_is_none_where_a_class_cannot_be_served_at_all(self) -> None:
        instance, _ = instance_and_schedule(down=[(0, 0), (1, 0)])
        facts = api.describe(instance)
        assert facts["load"] is None
        assert facts["outage_server_slots"] == 2
        assert facts["warnings"]


class TestReweighted:
    def test_factor_scales_time_against_money(self) -> None:
        instance, _ = instance_and_schedule(start_usd=7.0)
        weights = api.reweighted(instance, "x0.25").system.weights
        assert (weights.time_usd_per_s, weights.expiry_usd[0]) == (0.25, 25.0)
        assert weights.loading_factor == 1.0

    def test_paper(self) -> None:
        instance, _ = instance_and_schedule()
        weights = api.reweighted(instance, "paper").system.weights
        assert (weights.time_usd_per_s, weights.rent_factor) == (1.0, 0.0)

    @pytest.mark.parametrize("factor", ["x0", "x-1", "xinf", "xnan", "x1e7"])
    def test_senseless_factors_are_refused(self, factor: str) -> None:
        instance, _ = instance_and_schedule()
        with pytest.raises(InvalidInput, match="weights: x"):
            api.reweighted(instance, factor)

    def test_a_file_whose_name_begins_with_x_is_a_file(self, tmp_path: Path) -> None:
        instance, _ = instance_and_schedule()
        path = tmp_path / "xtra.json"
        path.write_text('{"format": "torta-opt/weights", "version": 1, "reroute_usd": 5}')
        assert api.reweighted(instance, str(path)).system.weights.reroute_usd == 5.0


class TestExport:
    """A file holds the program that the bound is computed over, knapsack rows included."""

    # Of 20 s and of 14 s: 45 s take 2 or 3 whole ones, or one of each.
    INSTANCE = make_instance(
        [[[2, 2]], [[1, 3]], [[0, 0]]],
        weights=WEIGHTS,
        initial=READY,
        server_ms=[[20_000, 14_000]],
        service_s=[[20.0, 14.0]],
    )
    # Files hold all digits; a certificate rounds duals to 34 bits, which costs some 1e-8 of the
    # bound, and solvers keep rows to 1e-7.
    NEAR = 1e-6

    @staticmethod
    def by_highs(path: Path) -> float:
        solver = highspy.Highs()
        solver.setOptionValue("output_flag", False)
        assert solver.readModel(str(path)) == highspy.HighsStatus.kOk
        solver.run()
        assert solver.getModelStatus() == highspy.HighsModelStatus.kOptimal
        return float(solver.getInfo().objective_function_value)

    @pytest.mark.parametrize("name", ["p.mps", "p.lp", "p.mps.gz"])
    def test_the_relaxed_file_is_worth_what_the_bound_is(self, name: str, tmp_path: Path) -> None:
        path = tmp_path / name
        bound = api.bound(self.INSTANCE, "lp").value
        size = api.export(self.INSTANCE, path, relaxed=True)
        assert self.by_highs(path) == pytest.approx(bound, rel=self.NEAR)
        assert by_scip_from_file(path).objective == pytest.approx(bound, rel=self.NEAR)
        assert size["knapsack_rows"] > 0

    def test_without_knapsack_rows_it_is_weaker(self, tmp_path: Path) -> None:
        path = tmp_path / "p.mps"
        plain = api.export(self.INSTANCE, path, relaxed=True, plain=True)
        assert self.by_highs(path) < 0.99 * api.bound(self.INSTANCE, "lp").value
        full = api.export(self.INSTANCE, path, relaxed=True)
        assert plain["knapsack_rows"] == 0
        assert full["rows"] == plain["rows"] + full["knapsack_rows"]

    def test_servers_one_by_one_have_them_too(self, tmp_path: Path) -> None:
        path = tmp_path / "p.mps"
        assert api.export(self.INSTANCE, path, named=True)["knapsack_rows"] > 0
        assert self.by_highs(path) >= api.bound(self.INSTANCE, "lp").value * (1 - self.NEAR)


class TestPackage:
    def test_everything_promised_is_there(self) -> None:
        for name in torta_opt.__all__:
            assert callable(getattr(torta_opt, name))
            assert name in dir(torta_opt)

    def test_anything_else_is_not(self) -> None:
        with pytest.raises(AttributeError, match="has no attribute 'magic'"):
            torta_opt.magic  # noqa: B018


class TestSideBySide:
    """Methods in processes of their own give what they give one after the other."""

    NAMES = ("round_robin", "clairvoyant", "greedy_forecast")

    def rows(self, jobs: int, **more: Any) -> list[dict[str, Any]]:
        instance = torta_opt.generate("small/loading")
        seen: list[str] = []
        report = gaps.gap(
            instance, self.NAMES, watch=lambda step, *_: seen.append(step), jobs=jobs, **more
        )
        assert seen, "nothing was shown"
        rows = report.to_document()["results"]
        return [{key: row[key] for key in row if "seconds" not in key} for row in rows]

    def test_rows_are_the_same_in_the_order_of_the_names(self) -> None:
        alone, together = self.rows(1), self.rows(2)
        assert [row["policy"] for row in together] == list(self.NAMES)
        assert together == alone

    def test_a_proved_bound_goes_along(self) -> None:
        merged = torta_opt.bound(torta_opt.generate("small/loading"), "merged")
        assert self.rows(2, proved=merged) == self.rows(1, proved=merged)

    @pytest.mark.parametrize("method", ["lp", "merged", "windows"])
    def test_a_bound_from_a_file_goes_along(self, method: str, tmp_path: Path) -> None:
        instance = torta_opt.generate("small/loading")
        document = api.bound_to_document(torta_opt.bound(instance, method), instance)
        (tmp_path / "bound.json").write_text(json.dumps(document))
        loaded = torta_opt.load_bound(tmp_path / "bound.json", instance)
        assert self.rows(2, proved=loaded) == self.rows(1, proved=loaded)

    def test_what_was_judged_before_ctrl_c_stays_in_order(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(work: Any, tasks: Any, workers: int) -> Any:
            for number in (2, 1):
                yield number, work(*tasks[number])
            raise KeyboardInterrupt

        monkeypatch.setattr(gap_run, "as_finished", interrupted)
        report = gaps.gap(torta_opt.generate("small/loading"), self.NAMES, jobs=2)
        assert report.status == "interrupted"
        assert [row.policy for row in report.results] == ["round_robin", "greedy_forecast"]

    @pytest.mark.parametrize("jobs", [-1, 1.5, True, "2"])
    def test_a_number_of_jobs(self, jobs: Any) -> None:
        with pytest.raises(InvalidInput, match="jobs: must be a whole number"):
            gaps.gap(torta_opt.generate("small/loading"), "skylb", jobs=jobs)
