"""`futures` and `law`, in process."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from torta_opt import api
from torta_opt.allocation.instance.generate import generate
from torta_opt.cli.app import run


@pytest.fixture
def file(tmp_path: Path) -> str:
    instance = generate("paper/abilene", seed=3, slots=40, gpu_counts={"A100": 6, "T4": 4})
    api.save_instance(instance, tmp_path / "a.json.gz")
    return str(tmp_path / "a.json.gz")


def test_futures_are_written_and_go_on(file: str, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "futures"
    asked = ["futures", file, "-n", "2", "-o", str(folder), "--start", "9", "--json"]
    assert run(asked) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["law"] == "generated"
    assert [Path(each).name for each in document["files"]] == ["a~0.json.gz", "a~1.json.gz"]
    past = api.open_instance(file).arrivals
    one, two = (api.open_instance(each).arrivals for each in document["files"])
    assert np.array_equal(one[:9], past[:9])
    assert np.array_equal(two[:9], past[:9])
    assert not np.array_equal(one, two)
    again = ["futures", document["files"][0], "-o", str(folder / "more"), "--start", "20"]
    assert run(again) == 0
    assert np.array_equal(api.open_instance(folder / "more/a~0~0.json.gz").arrivals[:20], one[:20])


def test_law_of_a_generated_instance_and_a_fitted_one(file: str, capsys) -> None:
    assert run(["law", file, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["law"], found["burst_memory"]) == ("generated", 0.9)
    assert run(["law", file, "--law", "fitted"]) == 0
    shown = capsys.readouterr().out
    assert "residuals of" in shown
    assert "llama-2-7b/short" in shown


def test_forecasts_are_scored(file: str, capsys) -> None:
    assert run(["law", file, "--forecasts"]) == 2  # 36 slots with requests are too few
    assert "has 36 slots with requests; scores take more than 40" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--law", "x"], "law: 'x' is not a law; known: generated, fitted"),
        (["--start", "40"], "start: must lie in [0, 39], found 40"),
    ],
)
def test_bad_input_is_one_line(file: str, tmp_path: Path, capsys, arguments, complaint) -> None:
    assert run(["futures", file, "-o", str(tmp_path / "f"), *arguments]) == 2
    line = capsys.readouterr().err
    assert complaint in line
    assert line.count("\n") == 1


def test_too_short_to_fit_is_one_line(tmp_path: Path, capsys) -> None:
    api.save_instance(generate("small/loading"), tmp_path / "s.json")
    assert run(["law", str(tmp_path / "s.json")]) == 2
    assert "arrivals are too few to fit a law to: 4 slots with 7" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("gap {} --foresight 99999999999999", "--foresight"),
        ("bound {} --method nonanticipative --scenarios 1", "--scenarios"),
        ("compare {} --seeds 99999999999999 -o {}.jsonl", "--seeds"),
    ],
)
def test_numbers_of_runs_that_fill_the_memory_are_refused_at_once(words, option, tmp_path, capsys):
    path = tmp_path / "i.json"
    assert run(words.format(path, path).split()) == 2
    assert f"Invalid value for '{option}'" in capsys.readouterr().err
