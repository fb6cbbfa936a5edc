"""``torta-opt assign`` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from torta_opt.cli import app as cli

PROBLEM = "1\n2 3\n1 2 3\n3 2 1\n1 1 1\n1 1 1\n2 2\n"


@pytest.fixture
def problem(tmp_path: Path) -> Path:
    (tmp_path / "small.txt").write_text(PROBLEM)
    return tmp_path / "small.txt"


def test_shows_value_and_bound(problem: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["assign", str(problem)]) == 0
    words = capsys.readouterr().out.split()
    at = words.index("small/1")
    assert words[at + 1 : at + 4] == ["2×3", "4", "4"]
    assert words[-1] == "done"


def test_prints_one_document(problem: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["assign", str(problem), str(problem), "--maximise", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["problems"]
    assert [each["value"] for each in found] == [8, 8]
    assert found[0]["bound"] == 8
    assert sorted(found[0]["agent"]) in ([0, 0, 1], [0, 1, 1])


def test_a_problem_without_an_assignment_is_infeasible(
    problem: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    problem.write_text(PROBLEM.replace("2 2\n", "1 1\n"))
    assert cli.run(["assign", str(problem), "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["problems"][0]["status"] == "infeasible"


def test_a_wrong_file_is_one_plain_line(problem: Path, capsys: pytest.CaptureFixture[str]) -> None:
    problem.write_text("1 2 three")
    assert cli.run(["assign", str(problem)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_limit_before_any_bound_is_no_proof(
    problem: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prove = "torta_opt.allocation.assignment.prove"
    monkeypatch.setattr(f"{prove}.CELLS", 0)
    monkeypatch.setattr(f"{prove}._branch", lambda *_: float("-inf"))
    assert cli.run(["assign", str(problem), "--time-limit", "1e-6"]) == 4
    assert "the limit came before an assignment was found" in capsys.readouterr().err


def test_ctrl_c_before_an_assignment_says_so(
    problem: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr("torta_opt.allocation.assignment.prove._search", interrupted)
    assert cli.run(["assign", str(problem)]) == 4
    shown = capsys.readouterr().err
    assert "interrupted" in shown
    assert "limit" not in shown
