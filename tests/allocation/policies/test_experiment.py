"""Comparison: a table that grows, resumes after a kill, and gives intervals."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import json
import os
import stat
import threading

import numpy as np
import pytest
from support.plain import make_instance
from support.tiny import random_tiny_instance

from torta_opt.allocation.bounds import registry
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.policies.experiment import (
    bounds,
    compare,
    comparison,
    differences,
    interval,
    ratios,
    read_table,
    seed_spread,
    summary,
    system_count,
    units,
    with_gaps,
)
from torta_opt.allocation.policies.experiment import runs as module
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import evaluate
from torta_opt.gaps import gap
from torta_opt.io import InvalidInput, VerificationFailed

POLICIES = ("round_robin", "torta_ot")
SAMPLE = "torta_ot:split=sample"


@pytest.fixture(scope="module")
def instances():
    return [random_tiny_instance(np.random.default_rng(n), regions=3, slots=4) for n in (1, 2)]


def test_rows_are_what_evaluate_says(instances, tmp_path):
    policies = ("round_robin", SAMPLE)
    rows = compare(instances, policies, [0, 7], tmp_path / "t.jsonl")
    ran = [(row["policy"], row["seed"]) for row in rows]
    assert ran == 2 * [("round_robin", 0), (SAMPLE, 0), (SAMPLE, 7)]
    expected = evaluate(instances[1], run(create(SAMPLE), instances[1], 7).schedule).cost
    assert rows[-1]["cost"] == expected


def test_what_is_given_twice_counts_once(instances, tmp_path):
    rows = compare([*instances, instances[0]], 2 * POLICIES, [0], tmp_path / "t.jsonl")
    assert [row["policy"] for row in rows] == list(2 * POLICIES)
    assert len(read_table(tmp_path / "t.jsonl")) == 4


def test_goes_on_after_a_kill(instances, tmp_path, monkeypatch):
    table = tmp_path / "t.jsonl"
    whole = compare(instances, POLICIES, [0], table)
    lines = table.read_bytes().splitlines(keepends=True)
    table.write_bytes(b"".join(lines[:2]) + lines[2][:20])
    ran = []
    original = module._run
    monkeypatch.setattr(module, "_run", lambda *task: ran.append(task[2]) or original(*task))
    again = compare(instances, POLICIES, [0], table)
    assert len(ran) == 2
    assert [row["cost"] for row in again] == [row["cost"] for row in whole]
    assert len(read_table(table)) == 4


def test_processes_give_the_same(instances, tmp_path):
    one = compare(instances, POLICIES, [0], tmp_path / "one.jsonl")
    two = compare(instances, POLICIES, [0], tmp_path / "two.jsonl", jobs=2)
    assert [row["cost"] for row in one] == [row["cost"] for row in two]


def test_another_version_is_run_again(instances, tmp_path):
    table = tmp_path / "t.jsonl"
    compare(instances[:1], POLICIES[:1], [0], table)
    row = json.loads(table.read_text())
    table.write_text(json.dumps({**row, "version": "0.0.0"}) + "\n")
    compare(instances[:1], POLICIES[:1], [0], table)
    assert len(read_table(table)) == 2


def test_a_strange_table_is_refused(tmp_path):
    table = tmp_path / "t.jsonl"
    table.write_text("{}\n")
    with pytest.raises(InvalidInput, match="line 1 is not a row"):
        read_table(table)


@pytest.mark.parametrize(
    "content", [b'{"instance": 3}', b'{"a": 1}\nlast line', b"\x1f\x8b\x08", b"["]
)
def test_a_file_that_is_something_else_stays_as_it_is(content, instances, tmp_path):
    table = tmp_path / "mine.json"
    table.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"mine\.json: (is not a table|line 1 is not a row)"):
        compare(instances[:1], POLICIES[:1], [0], table)
    assert table.read_bytes() == content


@pytest.mark.parametrize(
    "changed",
    [
        *('"cost": NaN', '"cost": Infinity', '"cost": 1e999', '"cost": "dear"'),
        *('"sha256": []', '"bound": "lp"', '"bound": "lp", "value": NaN'),
    ],
)
def test_a_row_with_something_else_in_it_is_refused(changed, instances, tmp_path):
    table = tmp_path / "t.jsonl"
    compare(instances[:1], POLICIES[:1], [0], table)
    table.write_text(f"{table.read_text().strip()[:-1]}, {changed}}}\n")
    with pytest.raises(InvalidInput, match="line 1 is not a row"):
        read_table(table)


def test_a_run_without_a_finite_number_is_not_written(instances, tmp_path, monkeypatch):
    original = module._run
    monkeypatch.setattr(module, "_run", lambda *task: {**original(*task), "cost": float("inf")})
    table = tmp_path / "t.jsonl"
    with pytest.raises(VerificationFailed, match="round_robin: gives no finite number on tiny"):
        compare(instances[:1], POLICIES[:1], [0], table)
    assert table.read_bytes() == b""


class TestBounds:
    def test_are_proved_once_and_stand_beside_runs(self, instances, tmp_path, monkeypatch):
        table = tmp_path / "t.jsonl"
        runs = compare(instances, POLICIES, [0], table)
        proved = bounds(instances, "lp", table)
        expected = [registry.compute(instance, "lp").value for instance in instances]
        assert [row["value"] for row in proved] == pytest.approx(expected)
        assert [row["source"] for row in proved] == ["lp", "lp"]
        assert read_table(table) == runs
        monkeypatch.setattr(module, "_prove", None)  # whoever calls it fails
        assert bounds(instances, "lp", table) == proved
        assert compare(instances, POLICIES, [0], table) == runs

    def test_another_method_is_another_bound(self, instances, tmp_path):
        table = tmp_path / "t.jsonl"
        (floor,), (lp,) = (bounds(instances[:1], name, table) for name in ("floor", "lp"))
        assert floor["value"] <= lp["value"] + 1e-9 * abs(lp["value"])
        assert table.read_bytes().count(b"\n") == 2

    def test_gaps_are_those_of_gap(self, instances, tmp_path):
        table = tmp_path / "t.jsonl"
        rows = with_gaps(compare(instances, POLICIES, [0], table), bounds(instances, "lp", table))
        for instance, row in zip((one for one in instances for _ in POLICIES), rows, strict=True):
            (found,) = gap(instance, [row["policy"]], bound_method="lp").results
            assert row["gap"] == pytest.approx(found.gap)

    def test_a_run_below_its_bound_refutes_it(self, instances, tmp_path):
        table = tmp_path / "t.jsonl"
        rows, proved = compare(instances, POLICIES, [0], table), bounds(instances, "lp", table)
        wrong = [{**row, "value": row["value"] + 1e6} for row in proved]
        with pytest.raises(VerificationFailed, match="less than the lp bound"):
            with_gaps(rows, wrong)

    def test_no_bound_or_no_cost_is_no_gap(self, instances, tmp_path):
        (row,) = compare(instances[:1], POLICIES[:1], [0], tmp_path / "t.jsonl")
        assert with_gaps([row], [])[0]["gap"] is None
        (proved,) = bounds(instances[:1], "floor", tmp_path / "t.jsonl")
        free = {**row, "cost": 0.0, "costs": {}}
        assert with_gaps([free], [{**proved, "value": 0.0}])[0]["gap"] is None


def rows_of(**costs: list[list[float]]) -> list[dict]:
    """Policy → instance → cost by seed."""
    return [
        {"policy": policy, "sha256": str(n), "seed": seed, "cost": cost, "metrics": {}}
        for policy, by_instance in costs.items()
        for n, seeds in enumerate(by_instance)
        for seed, cost in enumerate(seeds)
    ]


class TestIntervals:
    def test_student_t(self):
        found = interval([1.0, 2.0, 3.0, 4.0])
        assert found.mean == 2.5
        half = 3.182446 * np.sqrt(5 / 3) / 2  # t of 3 degrees of freedom, from a table
        assert [found.low, found.high] == pytest.approx([2.5 - half, 2.5 + half], rel=1e-6)
        assert interval([3.0, 3.0]).low == 3.0

    def test_one_value_has_none(self):
        assert interval([3.0]).to_document() == {
            **{"mean": 3.0, "low": None, "high": None, "instances": 1}
        }
        assert interval([]).to_document()["mean"] is None

    def test_seeds_that_change_nothing_do_not_count(self):
        """Nine runs of a policy that ignores its seed: three values, two degrees of freedom."""
        costs = [240.71, 273.40, 306.09]
        nine = interval([cost for cost in costs for _ in range(3)])
        assert [nine.low, nine.high] == pytest.approx([251.6, 295.2], abs=0.1)  # what is wrong
        found = summary(rows_of(steady=[3 * [cost] for cost in costs]))["steady"]
        assert [found.low, found.high] == pytest.approx([192.2, 354.6], abs=0.1)
        assert found.count == 3

    def test_the_mean_of_an_instance_comes_first(self):
        found = summary(rows_of(a=[[1.0], [2.0, 4.0, 6.0]]))["a"]
        assert (found.mean, found.count) == (2.5, 2)
        assert found.high - found.low == pytest.approx(2 * 12.7062 * 3 / 2, rel=1e-4)

    def test_policies_are_paired_by_instance(self):
        """Instances differ by hundreds, policies by one: pairing finds it, apart nobody would."""
        rows = rows_of(a=[[100.0], [200.0], [300.0]], b=[[101.0], [201.5], [300.5, 301.5]])
        found = differences(rows, "a")
        assert found["b"].mean == pytest.approx(3.5 / 3)
        assert found["b"].low > 0.4
        assert summary(rows)["b"].low < summary(rows)["a"].mean
        assert found["a"] == interval([0.0, 0.0, 0.0])
        ratio = ratios(rows, "a")["b"]
        assert ratio.mean == pytest.approx((1.01 + 1.0075 + 301 / 300) / 3)

    def test_only_instances_of_both_are_compared(self):
        rows = rows_of(a=[[1.0], [2.0]], b=[[2.0], [3.0], [1000.0]])
        assert differences(rows, "a")["b"] == interval([1.0, 1.0])
        assert ratios(rows, "a")["b"] == interval([2.0, 1.5])

    @pytest.mark.parametrize("base", [0.0, -2.0])
    def test_no_ratio_to_what_costs_nothing(self, base: float):
        rows = rows_of(a=[[base], [2.0]], b=[[2.0], [3.0]])
        assert ratios(rows, "a")["b"].count == 0
        assert differences(rows, "a")["b"].count == 2

    def test_runs_without_a_number_are_left_out(self):
        rows = [*rows_of(a=[[1.0]]), {"policy": "a", "sha256": "1", "seed": 0, "cost": None}]
        assert summary(rows)["a"].count == 1
        assert summary(rows, "expired_share") == {}

    def test_seeds_of_one_instance_are_named_as_such(self):
        rows = rows_of(a=[[1.0, 3.0, 2.0]], b=[[1.0]])
        assert seed_spread(rows) == {"a": (1.0, 3.0)}
        document = comparison(rows, "a").to_document()
        assert document["cost"]["a"] == {
            **{"mean": 2.0, "low": None, "high": None, "instances": 1, "runs": 3},
            **{"least_seed": 1.0, "greatest_seed": 3.0},
        }
        assert seed_spread(rows_of(a=[[1.0, 2.0], [1.0, 2.0]])) == {}

    def test_the_frame_says_what_the_document_says(self):
        found = comparison(rows_of(a=[[1.0], [2.0]], b=[[2.0], [4.0]]), "a")
        frame, document = found.to_frame().set_index("policy"), found.to_document()
        assert frame.loc["b", "runs"] == document["cost"]["b"]["runs"] == 2
        for title in ("cost", "difference", "ratio"):
            for name, each in document[title].items():
                for end in ("low", "high"):
                    assert frame.loc[name, f"{title}_{end}"] == pytest.approx(each[end])
                assert frame.loc[name, title] == each["mean"]


class TestUnits:
    @pytest.fixture
    def day(self):
        rng = np.random.default_rng(5)
        return make_instance(rng.integers(1, 9, (12, 2, 1)))

    def count(self, *instances) -> int:
        return len(set(units(instances).values()))

    def test_other_draws_are_other_units(self, instances, day):
        assert self.count(*instances, day) == 3

    def test_the_same_again_or_by_another_name_is_one(self, day):
        assert self.count(day, day, dataclasses.replace(day, name="again")) == 1

    def test_cuts_count_apart_only_where_they_share_nothing(self, day):
        assert self.count(day.cut(0, 6), day.cut(6, 12)) == 2
        assert self.count(day.cut(0, 6), day.cut(4, 12)) == 1
        assert self.count(day.cut(4, 12), day.cut(0, 6)) == 1
        assert self.count(day.cut(2, 5), day) == 1
        assert self.count(day.cut(0, 4), day.cut(8, 12), day.cut(2, 10)) == 1  # the third joins

    def test_the_same_demand_at_other_prices_weights_or_outages_is_one(self, day):
        dearer = dataclasses.replace(day, price_usd_per_kwh=day.price_usd_per_kwh + 1)
        down = dataclasses.replace(day, up=np.zeros_like(day.up))
        weighted = day.with_weights(dataclasses.replace(day.system.weights, time_usd_per_s=7.0))
        assert self.count(day, dearer, down, weighted) == 1
        assert system_count([day, dearer, down, weighted]) == 1

    def test_quiet_nights_make_nobody_alike(self, day):
        night = np.zeros((6, 2, 1), int)
        one = dataclasses.replace(day, arrivals=np.concatenate([day.arrivals[:6], night]))
        two = dataclasses.replace(day, arrivals=np.concatenate([night, day.arrivals[6:]]))
        assert self.count(one, two) == 2

    def test_another_fleet_is_another_system(self, day):
        other = make_instance(day.arrivals, server_region=[0, 0, 1])
        assert self.count(day, other) == 2
        assert system_count([day, other]) == 2

    def test_a_unit_is_the_mean_of_its_instances(self):
        rows = rows_of(a=[[1.0], [3.0], [10.0]])
        found = summary(rows, unit_of={"0": "0", "1": "0", "2": "2"})["a"]
        assert (found.mean, found.count) == (6.0, 2)


class TestWhereTheTableCannotGrow:
    """Disks and devices that are full: one plain line, and no part of a row."""

    def test_disk(self, tmp_path, monkeypatch):
        monkeypatch.setattr(f"{module.__package__}.table.write_fully", half_written)
        with pytest.raises(InvalidInput, match="cannot be written: No space left"):
            compare([generate("small/outage")], ["round_robin"], [0], tmp_path / "t.jsonl")
        assert (tmp_path / "t.jsonl").read_bytes() == b""

    def test_pipe(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        found = []
        reader = threading.Thread(
            target=lambda: found.append((tmp_path / "pipe").read_text()), daemon=True
        )
        reader.start()
        rows = compare([generate("small/outage")], ["round_robin"], [0], tmp_path / "pipe")
        reader.join(timeout=60)
        assert [json.loads(line) for line in found[0].splitlines()] == rows

    def test_device(self, tmp_path):
        device = tmp_path / "full"
        try:
            os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 7))
            os.close(os.open(device, os.O_WRONLY))
        except OSError:
            pytest.skip("needs the right to make and open devices")
        with pytest.raises(InvalidInput, match="full: cannot be written: No space left"):
            compare([generate("small/outage")], ["round_robin"], [0], device)
        assert stat.S_ISCHR(device.stat().st_mode)


class TestWhatAnotherProcessIsWriting:
    """A line that is being written looks like one that a kill cut short."""

    def test_a_table_is_written_by_one_process_at_a_time(self, instances, tmp_path):
        table = tmp_path / "t.jsonl"
        compare(instances[:1], POLICIES[:1], [0], table)
        kept = table.read_bytes() + table.read_bytes()[:100]
        table.write_bytes(kept)
        with table.open("ab") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            with pytest.raises(InvalidInput, match=r"t\.jsonl: is being written by another proc"):
                compare(instances[:1], POLICIES, [0], table)
            assert table.read_bytes() == kept
        assert len(compare(instances[:1], POLICIES, [0], table)) == len(POLICIES)

    def test_reading_leaves_the_line_alone(self, instances, tmp_path):
        table = tmp_path / "t.jsonl"
        compare(instances[:1], POLICIES[:1], [0], table)
        kept = table.read_bytes() + table.read_bytes()[:100]
        table.write_bytes(kept)
        assert len(read_table(table)) == 1
        assert table.read_bytes() == kept

    def test_where_there_are_no_locks_nobody_holds_one(self, instances, tmp_path, monkeypatch):
        def refused(*_):
            raise OSError(errno.ENOLCK, "no locks")

        monkeypatch.setattr(fcntl, "flock", refused)
        assert len(compare(instances[:1], POLICIES[:1], [0], tmp_path / "t.jsonl")) == 1


def half_written(handle, content):
    os.write(handle, content[: len(content) // 2])
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
