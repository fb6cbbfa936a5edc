"""``make soundness``: every step runs, goes on where it was, and notices a wrong answer."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import pytest
import scipy.sparse as sparse
import soundness
import soundness_answers
import soundness_steps

from torta_opt.solvers import Problem, solve_milp


def run(*arguments: object, monkeypatch: pytest.MonkeyPatch) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["soundness.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        soundness.main()
    return ended.value.code


def test_every_step_agrees_and_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parts, whole = tmp_path / "parts", tmp_path / "whole"
    for folder, count in ((parts, 1), (parts, 2), (whole, 2)):
        assert run("--count", count, "-o", folder, monkeypatch=monkeypatch) == 0
    for name in soundness_steps.STEPS:
        one, two = (json.loads((each / f"{name}.json").read_text()) for each in (parts, whole))
        assert one["counts"] == two["counts"]
        assert one["following"] == two["following"] >= 2
        assert one["disagreements"] == []
    assert capsys.readouterr().out.count("all agree") == 3 * len(soundness_steps.STEPS)
    assert "seed: is 1, not 2" in str(
        run("--seed", 2, "--count", 1, "-o", whole, monkeypatch=monkeypatch)
    )


def test_a_wrong_optimum_is_told_kept_as_a_program_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def dearer(problem: Problem, *arguments: object) -> object:
        found = solve_milp(problem, *arguments)
        return dataclasses.replace(found, objective=found.objective + 0.01)

    with monkeypatch.context() as patch:
        patch.setattr(soundness_answers, "solve_milp", dearer)
        assert run("single_slot", "--count", 2, "-o", tmp_path, monkeypatch=monkeypatch) == 5
    said = capsys.readouterr()
    assert "2 DISAGREE" in said.out
    assert "single_slot [1, 0]: by task: HiGHS optimal" in said.err
    assert len(list(tmp_path.glob("single_slot-1-*.mps"))) == 2
    arguments = ("single_slot", "--count", 2, "--again", "-o", tmp_path)
    assert run(*arguments, monkeypatch=monkeypatch) == 0
    assert json.loads((tmp_path / "single_slot.json").read_text())["disagreements"] == []


@pytest.mark.parametrize("name", ["equal", "at_most"])
def test_both_solvers_wrong_alike_is_noticed_by_brute_force(name: str) -> None:
    """As where the program itself is wrong."""
    problem = Problem(sparse.csr_array((0, 1)), [], [], [0.0], [1.0], [1.0])
    with pytest.raises(soundness_answers.Disagreement, match="brute force"):
        getattr(soundness_answers, name)(1.1, 1.0, "a program", problem)
