"""Plans: tables that add up to the evaluator's counts, a bill that adds up to its dollars."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from support.plain import make_instance, make_schedule
from support.sites import write_site
from support.sizes import examples
from support.tiny import feasible_cases

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.plan.data import Plan, Table
from torta_opt.allocation.plan.make import make_plan, server_use, site_facts
from torta_opt.allocation.plan.write import csv_bytes, plan_document, plan_files, write_plan
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.schedule.evaluate import evaluate
from torta_opt.allocation.schedule.timeline import trace_servers
from torta_opt.allocation.site.build import build_site
from torta_opt.io import InvalidInput
from torta_opt.io.errors import VerificationFailed

BILLED = ("rent_usd", "energy_usd", "transfer_usd", "overhead_usd")


@dataclasses.dataclass(frozen=True)
class Built:
    site: Path
    instance: Instance
    schedule: Schedule


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    reserved = ("usd_per_gpu_hour = 3.5", 'usd_per_gpu_hour = 3.5\nbuy = "reserved"')
    site = write_site(tmp_path_factory.mktemp("site"), reserved)
    instance, _ = build_site(site)
    return Built(site, instance, run(create("greedy_forecast"), instance).schedule)


@pytest.fixture(scope="module")
def plan(built: Built) -> Plan:
    return make_plan(built.instance, built.schedule, site_facts(built.site, built.instance))


def column(table: Table, title: str) -> list:
    return table.to_document()[title]


def paid(plan: Plan, *items: str) -> float:
    return sum(row[-1] for row in plan.bill.rows if row[0] in items)


class TestSums:
    """On random tiny instances and schedules, against the evaluator."""

    @settings(max_examples=examples(25))
    @given(feasible_cases())
    def test_bill_and_tables(self, case: tuple[Instance, Schedule]) -> None:
        check_sums(make_plan(*case))

    def test_time_is_priced_apart(self, plan: Plan) -> None:
        evaluation = evaluate(plan.instance, plan.schedule)
        priced = dict(plan.priced.rows)
        assert set(priced) <= {"network", "waiting", "service", "rerouting", "expiry"}
        assert sum(priced.values()) + paid(
            plan, "rent", "energy", "transfer", "starts", "switches"
        ) == pytest.approx(evaluation.cost, rel=1e-12)


def check_sums(plan: Plan) -> None:
    instance, metrics = plan.instance, plan.evaluation.metrics
    billed = sum(float(metrics[name]) for name in BILLED)
    assert plan.paid_usd == pytest.approx(billed, rel=1e-9, abs=1e-12)
    assert paid(plan, "energy") == pytest.approx(metrics["energy_usd"], rel=1e-9, abs=1e-12)
    servers = trace_servers(instance, plan.schedule)
    assert sum(column(plan.tables["servers"], "on")) == servers.on.sum()
    assert sum(column(plan.tables["servers"], "ready")) == (servers.usable_ms > 0).sum()
    commands = column(plan.tables["commands"], "command")
    assert commands.count("start") == metrics["starts"]
    assert commands.count("switch") == metrics["switches"]
    assert sum(column(plan.tables["routing"], "requests")) == plan.schedule.routing.sum()
    classes = plan.tables["classes"]
    for title in ("requests", "served", "expired"):
        assert sum(column(classes, title)) == metrics[title]
    check_response(plan)


def check_response(plan: Plan) -> None:
    """The mean over all requests is that of the classes, weighted by what is served."""
    metrics, classes = plan.evaluation.metrics, plan.tables["classes"].to_document()
    if not metrics["served"]:
        return
    total = sum(
        n * s for n, s in zip(classes["served"], classes["response_mean_s"], strict=True) if n
    )
    assert total / metrics["served"] == pytest.approx(metrics["response_mean_s"], rel=1e-9)
    within = sum(
        n * s for n, s in zip(classes["requests"], classes["share_within_target"], strict=True) if n
    )
    assert within / metrics["requests"] == pytest.approx(metrics["slo_share"], rel=1e-9)


class TestTables:
    def test_by_hand(self) -> None:
        """Off, started with 60 s to load in slots of 45 s, works, stops."""
        instance = make_instance(
            [[[3]], [[0]], [[0]], [[0]]],
            start_ms=60_000,
            rent_usd_per_hour=8.0,
            deadline_slots=3,
        )
        commands = [(0, 0, "start", 0), (3, 0, "stop", None)]
        schedule = make_schedule(instance, commands=commands, processing=[(1, 0, 0, 3)])
        plan = make_plan(instance, schedule, start_ms=0)
        assert column(plan.tables["servers"], "on") == [1, 1, 1]
        assert column(plan.tables["servers"], "ready") == [0, 1, 1]
        assert column(plan.tables["servers"], "time")[1] == "1970-01-01T00:00:45Z"
        assert [row[5:] for row in plan.tables["commands"].rows] == [
            ("start", instance.system.models[0], 60.0),
            ("stop", None, 0.0),
        ]
        assert column(plan.tables["utilisation"], "busy_share") == [None, 0.1, 0.0]
        assert plan.bill.rows == (
            (
                "rent",
                instance.system.regions[0],
                instance.system.types[0],
                pytest.approx(0.0375),
                "server-hours",
                pytest.approx(0.3),
            ),
        )

    def test_shares_of_an_origin_add_up_to_one(self, plan: Plan) -> None:
        routing = plan.tables["routing"].to_document()
        shares: dict[tuple, float] = {}
        for key in zip(routing["slot"], routing["origin"], routing["class"], strict=True):
            shares[key] = 0.0
        for slot, origin, kind, share in zip(
            routing["slot"], routing["origin"], routing["class"], routing["share"], strict=True
        ):
            shares[slot, origin, kind] += share
        assert all(share == pytest.approx(1, abs=1e-5) for share in shares.values())

    def test_an_invalid_schedule_has_no_plan(self, built: Built) -> None:
        schedule = dataclasses.replace(built.schedule, routing=built.schedule.routing * 2)
        with pytest.raises(VerificationFailed, match="the schedule breaks a rule"):
            make_plan(built.instance, schedule)


class TestSite:
    def test_reserved_servers_are_paid_whatever_is_done(self, built: Built, plan: Plan) -> None:
        assert paid(plan, "paid anyway") == pytest.approx(14 * 13 / 12)  # 13 slots of 5 minutes
        without = make_plan(built.instance, built.schedule)
        assert paid(without, "paid anyway") == 0
        assert "4xH100 reserved" in without.warnings[0]
        assert plan.warnings == ()

    def test_the_site_has_the_clock(self, plan: Plan) -> None:
        assert plan.time(1) == "2026-11-30T00:05:00Z"

    def test_another_site_is_refused(self, built: Built, tmp_path: Path) -> None:
        other = write_site(tmp_path)
        with pytest.raises(InvalidInput, match="it was not built from this site"):
            site_facts(other, built.instance)

    def test_use_of_servers_by_region(self, plan: Plan) -> None:
        found = server_use(plan, parts=4)
        assert all(0 < each.most <= 2 and each.least <= each.mean <= each.most for each in found)
        system = plan.instance.system
        for each in found:
            j, k = system.regions.index(each.region), system.types.index(each.type)
            course = plan.on[:12, j, k, system.models.index(each.model)]
            assert each.by_part == tuple(course.reshape(4, 3).max(axis=1).tolist())
            assert each.mean == pytest.approx(course.mean())

    def test_use_of_servers_over_all_regions(self, plan: Plan) -> None:
        total = plan.on[:12].sum(axis=1)
        for each in server_use(plan, over_regions=True):
            k = plan.instance.system.types.index(each.type)
            m = plan.instance.system.models.index(each.model)
            assert (each.least, each.most) == (total[:, k, m].min(), total[:, k, m].max())
            assert each.region == "all"


class TestFiles:
    def test_folder(self, plan: Plan, tmp_path: Path) -> None:
        written = write_plan(tmp_path / "plan", plan_files(plan, {"keda/a.yaml": b"x"}))
        names = {str(Path(each).relative_to(tmp_path / "plan")) for each in written}
        assert names == {
            *(f"{name}.csv" for name in plan.tables),
            "bill.csv",
            "priced.csv",
            "plan.json",
            "keda/a.yaml",
        }
        document = json.loads((tmp_path / "plan" / "plan.json").read_text())
        assert document == json.loads(json.dumps(plan_document(plan)))
        rows = list(csv.DictReader(io.StringIO((tmp_path / "plan" / "bill.csv").read_text())))
        assert sum(float(row["usd"]) for row in rows) == pytest.approx(plan.paid_usd)
        assert document["paid_usd"] == pytest.approx(plan.paid_usd)

    @pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x"])
    def test_text_is_no_formula(self, text: str) -> None:
        content = csv_bytes(Table(("a", "b"), ((text, -1.5),))).decode()
        ((cell, number),) = list(csv.reader(io.StringIO(content, newline="")))[1:]
        assert cell == f"'{text}"
        assert number == "-1.5"

    def test_names_of_a_site_cannot_be_formulas(self, built: Built, tmp_path: Path) -> None:
        system = dataclasses.replace(built.instance.system, regions=("=cmd()", "eu-west-1"))
        instance = dataclasses.replace(built.instance, system=system)
        schedule = dataclasses.replace(built.schedule, instance_sha256=None)
        write_plan(tmp_path / "p", plan_files(make_plan(instance, schedule)))
        for file in (tmp_path / "p").glob("*.csv"):
            for row in csv.reader(file.open(newline="")):
                assert not any(cell.startswith("=") for cell in row)


def test_slots_with_demand_leave_the_drain_out(plan: Plan) -> None:
    assert plan.slots_with_demand == 12
    assert np.flatnonzero(plan.instance.arrivals.any(axis=(1, 2))).max() == 11
