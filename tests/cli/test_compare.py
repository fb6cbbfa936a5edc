"""``torta-opt compare`` from the command line: what it prints, goes on with, and refuses."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support.tiny import random_tiny_instance

from torta_opt.allocation.instance import save_instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.policies.experiment import read_table
from torta_opt.cli import app as cli

POLICIES = "round_robin,torta_ot"
SAMPLE = "torta_ot:split=sample"
LOTTERY = f"{SAMPLE},{SAMPLE}:safety=2"  # the seed changes them, so all seeds run
PLUGIN = Path(__file__).parents[1] / "support" / "plugin"


@pytest.fixture(scope="module")
def instances(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("instances")
    paths = [folder / f"{n}.json" for n in (1, 2)]
    for path in paths:
        seed = int(path.stem)
        drawn = random_tiny_instance(np.random.default_rng(seed), regions=3, slots=4)
        save_instance(drawn, path)
    return [str(path) for path in paths]


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.run(["compare", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_one_row_per_run_and_means_over_instances(instances, tmp_path, capsys):
    table = tmp_path / "t.jsonl"
    policies = f"{POLICIES},{SAMPLE}"
    arguments = [*instances, "--policies", policies, "--seeds", "2", "-o", str(table)]
    code, out, _ = call(capsys, *arguments, "--json")
    assert code == 0
    found = json.loads(out)
    rows = read_table(table)
    assert found["runs"] == len(rows) == 8
    assert (found["instances"], found["systems"], found["against"]) == (2, 2, "round_robin")
    assert found["run_once"] == POLICIES.split(",")
    costs = [row["cost"] for row in rows if row["policy"] == SAMPLE]
    lottery, steady = found["cost"][SAMPLE], found["cost"]["torta_ot"]
    assert (lottery["runs"], lottery["instances"]) == (4, 2)
    assert (steady["runs"], steady["instances"]) == (2, 2)
    assert lottery["mean"] == pytest.approx(np.mean(costs))
    assert lottery["low"] <= np.mean(costs) <= lottery["high"]
    expected = {"mean": 0.0, "low": 0.0, "high": 0.0, "instances": 2}
    assert found["difference"]["round_robin"] == expected
    for figure in ("ratio", "gap", "slo_share", "expired_share", "response_mean_s"):
        assert set(found[figure]) == {*POLICIES.split(","), SAMPLE}
    assert all(0 <= found["gap"][name]["mean"] < 1 for name in found["gap"])
    before = table.read_bytes()
    assert call(capsys, *arguments, "--json")[1] == out
    assert table.read_bytes() == before


def test_a_table_without_bounds_is_continued(instances, tmp_path, capsys):
    """As tables were before there were bounds, with a row for a seed that changes nothing."""
    table = tmp_path / "t.jsonl"
    arguments = [*instances, "--policies", POLICIES, "-o", str(table), "--json"]
    plain = json.loads(call(capsys, *arguments, "--bound", "none")[1])
    assert "gap" not in plain
    assert plain["bounds"] == []
    rows = read_table(table)
    with table.open("a") as stream:
        stream.write(json.dumps({**rows[0], "seed": 1}) + "\n")
    kept = table.read_bytes()
    found = json.loads(call(capsys, *arguments, "--bound", "lp")[1])
    assert found["cost"] == plain["cost"]
    added = table.read_bytes().removeprefix(kept).splitlines()
    assert [json.loads(line) for line in added] == found["bounds"]
    assert [row["source"] for row in found["bounds"]] == ["lp", "lp"]


def test_seeds_that_change_nothing_narrow_no_interval(instances, tmp_path, capsys, monkeypatch):
    """A policy of another package that says nothing of its seed and ignores it: each runs."""
    monkeypatch.syspath_prepend(PLUGIN)
    try:
        answers = []
        for seeds in ("1", "3"):
            table = str(tmp_path / f"{seeds}.jsonl")
            options = ("--policies", "stay_home", "--seeds", seeds, "--bound", "none", "--json")
            answers.append(json.loads(call(capsys, *instances, *options, "-o", table)[1]))
    finally:
        sys.modules.pop("torta_opt_example", None)
    one, three = (answer["cost"]["stay_home"] for answer in answers)
    assert (one["runs"], three["runs"]) == (2, 6)
    for end in ("mean", "low", "high", "instances"):
        assert three[end] == pytest.approx(one[end])


def test_one_instance_has_no_interval_whatever_its_seeds(instances, tmp_path, capsys):
    table = str(tmp_path / "t.jsonl")
    arguments = [instances[0], "--policies", f"round_robin,{SAMPLE}", "--seeds", "3", "-o", table]
    found = json.loads(call(capsys, *arguments, "--json")[1])
    for document in (found["cost"][SAMPLE], found["difference"][SAMPLE], found["ratio"][SAMPLE]):
        assert (document["low"], document["high"], document["instances"]) == (None, None, 1)
    assert found["cost"][SAMPLE]["least_seed"] <= found["cost"][SAMPLE]["mean"]
    out = call(capsys, *arguments)[1]
    assert "one instance: no interval" in out
    assert "over 3 seeds of one instance" in out
    assert "run once an instance, because the seed changes nothing: round_robin\n" in out


def test_an_instance_given_twice_counts_once(instances, tmp_path, capsys):
    table = str(tmp_path / "t.jsonl")
    again = str(shutil.copy(instances[0], tmp_path / "again.json"))
    options = ("--policies", "round_robin", "--bound", "none", "-o", table, "--json")
    code, out, err = call(capsys, *instances, again, *options)
    assert (code, json.loads(out)["instances"], json.loads(out)["runs"]) == (0, 2, 2)
    assert f"{again} is the same instance as {instances[0]}: it counts once" in err


def test_cuts_that_overlap_count_as_one(tmp_path, capsys):
    day = generate("paper/abilene", slots=12)  # requests in the first eight
    for name, part in {"a": day.cut(0, 6), "b": day.cut(3, 9)}.items():
        save_instance(part, tmp_path / f"{name}.json")
    files = [str(tmp_path / f"{name}.json") for name in ("a", "b")]
    options = ("--policies", "round_robin", "--bound", "floor", "-o", str(tmp_path / "t.jsonl"))
    code, out, err = call(capsys, *files, *options, "--json")
    found = json.loads(out)
    assert (code, found["instances"], found["runs"]) == (0, 1, 2)
    assert found["cost"]["round_robin"]["low"] is None
    assert f"{files[1]} shares demand with {files[0]}: the two count as one instance" in err


def test_the_table_shows_how_far_and_how_well(instances, tmp_path, capsys):
    options = ("--policies", POLICIES, "--against", "torta_ot", "--bound", "floor")
    code, out, _ = call(capsys, *instances, *options, "-o", str(tmp_path / "t.jsonl"))
    assert code == 0
    for title in ("gap ≤", "within", "target", "expired", "response", "against torta_ot", "ratio"):
        assert title in out
    tables = out[: out.index("2 instances, each")].splitlines()
    assert max(map(len, tables)) <= 80
    assert "2 instances, each the mean over its seeds" in out
    assert "gaps are to the bound of each instance (floor, not all certified)" in out


def test_refuses_what_it_cannot_do(instances, tmp_path, capsys):
    table = str(tmp_path / "t.jsonl")
    code, _, err = call(capsys, instances[0], "--policies", "nobody", "-o", table)
    assert (code, "is not a policy" in err) == (2, True)
    assert not Path(table).exists()
    for option, name, why in (
        ("--against", "torta_ot", "--against: 'torta_ot' is not among the policies"),
        ("--bound", "best", "--bound: 'best' is not a bound; known: floor, "),
    ):
        arguments = (instances[0], "--policies", "round_robin", "-o", table)
        code, _, err = call(capsys, *arguments, option, name)
        assert (code, why in err) == (2, True)
        assert not Path(table).exists()
    Path(table).write_text("not a table\n")
    code, _, err = call(capsys, instances[0], "--policies", "round_robin", "-o", table)
    assert (code, "line 1 is not a row" in err) == (2, True)
    assert Path(table).read_text() == "not a table\n"


@pytest.mark.slow
def test_a_pipe_keeps_no_bounds(instances, tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    code, _, err = call(capsys, *instances, "-o", str(tmp_path / "pipe"))
    assert (code, "--output: a device or a pipe keeps no table of bounds" in err) == (2, True)


# Waits once the table has two rows: a signal sent then comes in the middle of the third run.
WAITS_AFTER_TWO_ROWS = """
import sys, time
from torta_opt.allocation.policies.experiment import runs as experiment

run, runs = experiment._run, []

def waiting(*task):
    runs.append(task)
    while len(runs) > 2:
        time.sleep(0.01)
    return run(*task)

experiment._run = waiting
sys.argv = ["torta-opt", *sys.argv[1:]]
from torta_opt.start import main
main()
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_goes_on_after_it_was_ended(
    how: signal.Signals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the first start wrote stays as it is; the second does the rest."""
    save_instance(generate("paper/abilene", slots=6), tmp_path / "i.json.gz")
    table = tmp_path / "t.jsonl"
    options = ["--policies", LOTTERY, "--seeds", "3", "--bound", "floor", "-o", str(table)]
    arguments = [str(tmp_path / "i.json.gz"), *options]
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS_AFTER_TWO_ROWS, "compare", *arguments],
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (table.exists() and table.read_bytes().count(b"\n") == 2):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(how)
    _, err = process.communicate(timeout=60)
    expected = (-how, "") if how == signal.SIGKILL else (0, "interrupted\n")
    assert (process.returncode, err) == expected
    kept = table.read_bytes()
    assert kept.count(b"\n") == 2
    assert call(capsys, *arguments)[0] == 0
    assert table.read_bytes().startswith(kept)
    assert len(read_table(table)) == 6
