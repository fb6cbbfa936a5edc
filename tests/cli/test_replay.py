"""replay on the command line."""

from __future__ import annotations

import json

import pytest

from torta_opt import generate, save_instance, save_schedule, solve
from torta_opt.cli.app import run


@pytest.fixture
def files(tmp_path):
    instance = generate("small/loading")
    paths = str(tmp_path / "instance.json"), str(tmp_path / "schedule.json")
    save_instance(instance, paths[0])
    save_schedule(solve(instance).schedule, instance, paths[1])
    return paths


def test_json_has_all_classes_and_loads(files, capsys):
    assert run(["replay", *files, "--json", "--seed", "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    for part in ("by_class", "by_load"):
        assert sum(each["requests"] for each in found[part].values()) == 4  # three expire
    assert found["all"]["requests"] == 4
    gap = found["all"]["replayed_mean_s"] - found["all"]["modelled_mean_s"]
    assert found["all"]["difference_mean_s"] == pytest.approx(gap)


def test_the_table_is_for_people(files, capsys):
    assert run(["replay", *files]) == 0
    text = capsys.readouterr().out
    assert "modelled" in text
    assert "replayed" in text
    assert max(map(len, text.splitlines())) <= 100


def test_bad_times_are_one_plain_line(files, tmp_path, capsys):
    (tmp_path / "t.csv").write_text("time_s\n1\n")
    assert run(["replay", *files, "--times", str(tmp_path / "t.csv")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "lacks the column origin" in error
