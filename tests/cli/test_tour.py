"""tour runs the three commands that the README shows, and tells how to go on by hand."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from torta_opt.cli.app import command_line, run
from torta_opt.cli.tour import steps_into

README = (Path(__file__).parents[2] / "README.md").read_text()
SHORT = ("--slots", "0:1")


def test_it_leads_to_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "my tour"
    assert run(["tour", str(folder), *SHORT]) == 0
    said = capsys.readouterr().out
    assert (folder / "site" / "site.toml").exists()
    assert "greedy_forecast" in (folder / "report.html").read_text()
    steps = steps_into(folder, SHORT[1])
    for step in steps:
        assert f"\n   {step.by_hand}\n" in said
        assert step.then in said
    assert said.endswith("".join(f"   {step.by_hand}\n" for step in steps[1:]))


def test_its_json_is_one_document_with_what_each_command_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["tour", str(tmp_path / "t"), *SHORT, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert Path(found["report"]).exists()
    new, build, gap = (step["answer"] for step in found["steps"])
    assert Path(new["site"]).exists()
    assert Path(build["output"]).exists()
    assert [row["policy"] for row in gap["results"]] == ["greedy_forecast", "hpa"]


def test_its_commands_are_those_of_the_readme() -> None:
    block = re.search(r"^```sh\n(torta-opt new .*?)^```", README, re.M | re.S)
    assert block is not None
    shown = [shlex.split(line)[1:] for line in block[1].splitlines()]
    names = {"fleet": "t/site", "fleet/site.toml": "t/site/site.toml"}
    names |= {"fleet.json.gz": "t/fleet.json.gz", "fleet.html": "t/report.html"}
    ours = [list(step.words) for step in steps_into(Path("t"))]
    assert [[names.get(word, word) for word in line] for line in shown] == ours
    for name, *words in ours:
        command_line().commands[name].make_context(name, words)


@pytest.mark.parametrize("taken", ["file", "folder"])
def test_it_overwrites_nothing(
    taken: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "t"
    kept = target if taken == "file" else target / "report.html"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("mine")
    assert run(["tour", str(target)]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "name a new folder" in said.err
    assert kept.read_text() == "mine"
    assert list(tmp_path.rglob("*")) == ([target] if taken == "file" else [target, kept])


def test_ctrl_c_leaves_what_is_done_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def press(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("torta_opt.gaps.gap", press)
    assert run(["tour", str(tmp_path / "t")]) == 4
    err = capsys.readouterr().err
    steps = steps_into(tmp_path / "t")
    assert f"interrupted; go on with:\n   {steps[-1].by_hand}\n" in err
    assert "Traceback" not in err
    assert sorted(each.name for each in (tmp_path / "t").iterdir()) == ["fleet.json.gz", "site"]


def test_slots_that_are_none_are_refused_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["tour", str(tmp_path / "t"), "--slots", "x"]) == 2
    assert "--slots: 'x' must be A:B" in capsys.readouterr().err
    assert not (tmp_path / "t").exists()


def test_a_folder_whose_name_looks_like_an_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told: list[tuple[str, ...]] = []
    monkeypatch.setattr("torta_opt.cli.tour._run", lambda _, step, __: told.append(step.words))
    assert run(["tour", "--", "-x"]) == 0
    assert not [word for words in told for word in words[1:] if word.startswith("-x")]
    assert told[0] == ("new", str(tmp_path / "-x" / "site"))
