"""import log on the command line."""

from __future__ import annotations

import json

import pytest

from torta_opt import generate, load_schedule, open_instance, save_instance, verify
from torta_opt.cli.app import run


@pytest.fixture
def files(tmp_path):
    instance = generate("small/loading")
    path = tmp_path / "instance.json"
    save_instance(instance, path)
    east, west = instance.system.regions
    (model,), (chat,) = instance.system.models, instance.system.classes
    rows = [f"{t * instance.system.slot_s + 1},{east},{west},{chat}" for t in range(3)]
    (tmp_path / "q.csv").write_text("\n".join(["time_s,origin,region,class", *rows]) + "\n")
    (tmp_path / "r.csv").write_text(f"time_s,region,model,replicas\n0,{west},{model},1\n")
    return [str(tmp_path / name) for name in ("q.csv", "instance.json", "r.csv", "out.json")]


def arguments(files, *more):
    requests, instance, replicas, output = files
    options = ["--instance", instance, "--replicas", replicas, "-o", output]
    return ["import", "log", requests, *options, *more]


def test_writes_a_legal_schedule_with_cost_and_gap(files, tmp_path, capsys):
    assert run(arguments(files, "--json", "--demand", str(tmp_path / "own.json"))) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["bent"]["logged"] == 3
    result = found["gap"]["results"][0]
    assert result["policy"] == "log"
    assert result["gap"] >= 0
    instance = open_instance(tmp_path / "own.json")
    assert instance.arrivals.sum() == 3
    assert verify(instance, load_schedule(files[3], instance)).ok


def test_the_table_says_what_was_bent(files, capsys):
    assert run(arguments(files)) == 0
    text = capsys.readouterr().out
    assert "what was changed to make it legal" in text
    assert "replica slots" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: [x for x in a if x not in ("--replicas", a[6])], "--replicas: is required"),
        (lambda a: [*a, "--set", "x=1"], "--set: cannot be used with log"),
        (lambda a: [*a, "--demand", a[8]], "--demand: must name another file than -o"),
        (lambda a: ["import", "azure", *a[2:]], "--instance: can only be used with import log"),
    ],
)
def test_options_belong_to_a_kind(files, change, message, capsys):
    assert run(change(arguments(files))) == 2
    assert message in capsys.readouterr().err
