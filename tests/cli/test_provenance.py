"""Every printed result says which version, command, files and machine made it."""

from __future__ import annotations

import hashlib
import json
import platform
from pathlib import Path
from typing import Any

import pytest

import torta_opt
from torta_opt.cli import app as cli
from torta_opt.cli import provenance

COMMANDS = (
    "describe {i}",
    "solve {i} --method round_robin --seed 3 -o {o}/s.json",
    "verify {i} {s}",
    "bound {i} --method floor -o {o}/b.json",
    "gap {i} --policies round_robin --bound floor",
    "compare {i} --policies round_robin --bound floor -o {o}/t.jsonl",
    "generate small/outage -o {o}/g.json",
    "tables {i} -o {o}/tables",
    "export {i} -o {o}/x.mps",
    "plan {i} {s} -o {o}/plan",
    "library score small-loading {s}",
)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("inputs")
    instance = torta_opt.generate("small/loading")
    torta_opt.save_instance(instance, folder / "i.json")
    schedule = torta_opt.solve(instance, "round_robin").schedule
    torta_opt.save_schedule(schedule, instance, folder / "s.json")
    return {"i": str(folder / "i.json"), "s": str(folder / "s.json")}


@pytest.mark.parametrize("line", COMMANDS, ids=lambda line: line.split()[0])
def test_a_result_names_what_made_it(
    line: str, inputs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*line.format(**inputs, o=tmp_path).split(), "--json"]
    assert cli.run(words) == 0
    found = json.loads(capsys.readouterr().out)["made_by"]
    assert found["command"] == words
    assert found["torta_opt"] == torta_opt.__version__
    assert found["python"] == platform.python_version()
    assert found["processor"]
    assert found["threads"] >= 1
    assert found["packages"]["highspy"]
    for word in words:
        if Path(word).is_file():
            assert found["files"][word] == hashlib.sha256(Path(word).read_bytes()).hexdigest()
    assert all(Path(name).is_file() for name in found["files"])


def test_each_of_several_reports_does(
    inputs: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["gap", inputs["i"], inputs["i"], "--policies", "round_robin", "--bound", "floor"]
    assert cli.run([*words, "--json"]) == 0
    reports = json.loads(capsys.readouterr().out)
    assert [each["made_by"]["command"][0] for each in reports] == ["gap", "gap"]


@pytest.mark.parametrize("line", ["methods", "schema"])
def test_what_is_the_same_for_everyone_does_not(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([line, "--json"]) == 0
    assert "made_by" not in json.loads(capsys.readouterr().out)


def test_a_printed_gap_becomes_a_page_all_the_same(
    inputs: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torta_opt.report.page._pictures", lambda *_: [])
    cli.run(["gap", inputs["i"], "--policies", "round_robin", "--bound", "floor", "--json"])
    (tmp_path / "g.json").write_text(capsys.readouterr().out)
    assert cli.run(["report", str(tmp_path / "g.json"), "-o", str(tmp_path / "r.html")]) == 0


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "/no/such"])
def test_words_that_are_no_files_are_none(name: str) -> None:
    assert not provenance._is_file(name)


def test_files_that_are_large_or_cannot_be_read_have_no_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"xy")
    assert provenance._sha256(str(tmp_path / "a")) == hashlib.sha256(b"xy").hexdigest()
    monkeypatch.setattr(provenance, "MOST_BYTES", 1)
    found: Any = provenance._sha256(str(tmp_path / "a"))
    assert found is None
    assert provenance._sha256(str(tmp_path / "none")) is None
