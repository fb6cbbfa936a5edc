"""``torta-opt library``: lists, makes an instance by name, scores a schedule."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from torta_opt import api
from torta_opt.cli import app as cli
from torta_opt.library import Library


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.run(["library", *arguments])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "list", "--json")
    every = json.loads(out)["instances"]
    assert code == 0
    assert len(every) >= 100
    code, out, _ = call(capsys, "--unsolved", "--json")
    unsolved = {row["name"] for row in json.loads(out)["instances"]}
    assert {row["name"] for row in every if row["gap"] is None} < unsolved
    assert "placement-tiny" not in unsolved
    _, out, _ = call(capsys)
    assert "small-hot" in out
    assert "certified" in out


def test_make_and_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, mine = str(tmp_path / "i.json.gz"), str(tmp_path / "s.json.gz")
    assert call(capsys, "make", "small-hot", "-o", file)[0] == 0
    best = str(Library.read().schedule_path("small-hot"))
    code, out, _ = call(capsys, "score", "small-hot", best)
    assert code == 0
    assert "equals the best known" in out
    instance = api.open_instance(file)
    api.save_schedule(api.solve(instance, "greedy_forecast").schedule, instance, mine)
    code, out, _ = call(capsys, "score", "small-hot", mine)
    assert code == 0
    assert "above the best known" in out
    assert json.loads(call(capsys, "score", "small-hot", mine, "--json")[1])["verdict"] == "worse"


def test_a_better_schedule_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = Library.read()
    row = known.rows["small-hot"]
    text = known.path.read_text().replace(repr(row.cost), repr(1.5 * (row.cost or 0.0)))
    table = tmp_path / "library.csv"
    table.write_text(text)
    best = str(known.schedule_path("small-hot"))
    code, out, _ = call(capsys, "score", "small-hot", best, "--library", str(table))
    assert code == 0
    assert "BEATS the best known" in out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["frob"], "library: 'frob' must be list, make, score"),
        (["make", "small-hot"], "--output: is required: the file to write"),
        (["make", "-o", "x.json"], "library make: takes NAME"),
        (["score", "small-hot"], "library score: takes NAME and SCHEDULE"),
        (["list", "small-hot"], "library list: takes nothing else"),
        (["score", "small-hot", "s.json", "-o", "x"], "--output: is only for library make"),
        (["score", "small-hott", "s.json"], "is not in the library; similar names: small-hot"),
        (["score", "small-hot", "no.json"], "no.json: cannot be read"),
        (["list", "--library", "no.csv"], "no.csv: cannot be read"),
    ],
)
def test_what_is_wrong_is_one_line(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = call(capsys, *arguments)
    assert code == 2
    assert line in err
    assert err.count("\n") == 1


def test_data_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TORTA_DATA", raising=False)
    code, _, err = call(capsys, "make", "import-mooncake", "-o", str(tmp_path / "i.json"))
    assert code == 2
    assert "--data: is needed: a folder with mooncake_fast25/" in err
