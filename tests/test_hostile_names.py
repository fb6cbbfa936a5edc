"""Names out of files stay names: in the terminal, on the page, in tables, and as names of files."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import torta_opt
from torta_opt.allocation.instance.imports.tables import load_tables, save_tables
from torta_opt.cli import app as cli
from torta_opt.io.text import as_cell, from_cell, harmless

SCRIPT = "<img src=x onerror=alert(1)></script><script>alert(1)</script>"
FORMULA = '=HYPERLINK("http://x","y")'
PATH = "../../../tmp/out"
ERASE, REVERSE = "\x1b[2J", "\u202e"


def renamed(instance: Any, **names: str) -> str:
    """The file of an instance whose first region, model, class, type or server has another name."""
    text = json.dumps(instance_document(instance))
    for kind, name in names.items():
        old = getattr(instance.system, kind)[0]
        text = text.replace(json.dumps(old), json.dumps(name))
    return text


def instance_document(instance: Any) -> dict[str, Any]:
    from torta_opt.allocation.instance.document import instance_to_document

    return instance_to_document(instance)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An instance with such names, beside one of its schedules."""
    folder = tmp_path_factory.mktemp("hostile")
    names = {"regions": PATH, "models": SCRIPT, "classes": FORMULA, "types": "@SUM(1)"}
    text = renamed(torta_opt.generate("small/loading"), **names, servers="-1+1|cmd")
    (folder / "i.json").write_text(text)
    code = cli.run(
        ["solve", str(folder / "i.json"), "--method", "round_robin", "-o", str(folder / "s.json")]
    )
    assert code == 0
    return folder


# --- the terminal -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "char", ["\x1b", "\r", "\x07", "\x9b", "\u202e", "\u2066", "\u2028", "\ud800"]
)
def test_what_moves_the_cursor_or_turns_the_line_is_replaced(char: str) -> None:
    assert harmless(f"a{char}b\nc") == "a\N{REPLACEMENT CHARACTER}b\nc"


def test_text_that_people_read_stays() -> None:
    for text in ("São Paulo", "東京", "λ₁ = 0.5 %", "a\u00a0b", "─ ≤ 5\n", "שלום", "💥"):
        assert harmless(text) == text


@pytest.mark.parametrize("isatty", [False, True], ids=["piped", "terminal"])
@pytest.mark.parametrize("char", [ERASE, REVERSE])
def test_names_in_tables_and_lines_change_nothing_on_the_terminal(
    char: str, isatty: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.table import Table

    from torta_opt.cli.console import print_table, say

    table = Table(title=f"title {char}")
    table.add_column(f"column {char}", style="red")
    table.add_row(f"name {char}")
    monkeypatch.setattr("sys.stdout.isatty", lambda: isatty, raising=False)
    print_table(table)
    print_table(f"a line {char}")
    say(f"a complaint {char}")
    captured = capsys.readouterr()
    shown = captured.out + captured.err
    assert char not in shown
    assert "name \N{REPLACEMENT CHARACTER}" in shown
    assert "a line \N{REPLACEMENT CHARACTER}" in shown
    assert "a complaint \N{REPLACEMENT CHARACTER}" in shown


def test_a_placement_with_such_names_is_described_harmlessly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    instance = torta_opt.generate("placement/tiny")
    torta_opt.save_instance(instance, tmp_path / "i.json")
    text = (tmp_path / "i.json").read_text()
    hostile = json.dumps(f"tiny{ERASE}{REVERSE}")
    (tmp_path / "i.json").write_text(text.replace(json.dumps(instance.name), hostile))
    assert cli.run(["describe", str(tmp_path / "i.json")]) == 0
    captured = capsys.readouterr()
    assert "tiny\N{REPLACEMENT CHARACTER}" in captured.out + captured.err
    assert ERASE not in captured.out + captured.err
    assert REVERSE not in captured.out + captured.err


def test_a_profile_with_such_a_model_is_shown_harmlessly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = (
        "model,isl,osl,concurrency,ttft,tpot,request_latency,seq/s,num_total_gpus,backend,system"
    )
    row = f"m{ERASE}{REVERSE},4000,500,56,327.317,28.635,14616.2,3.831,4,vllm,h100_sxm"
    (tmp_path / "a.csv").write_text(f"{columns}\n{row}\n")
    cli.run(["profile", "aiconfigurator", str(tmp_path / "a.csv"), "-o", str(tmp_path / "p.json")])
    captured = capsys.readouterr()
    assert "m\N{REPLACEMENT CHARACTER}" in captured.out + captured.err
    assert ERASE not in captured.out + captured.err
    assert REVERSE not in captured.out + captured.err


# --- the page -----------------------------------------------------------------------------------


def test_a_page_holds_no_script_of_a_name(
    hostile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torta_opt.report.page._pictures", lambda *_: [])  # seconds to draw
    page = tmp_path / "r.html"
    files = [str(hostile / "i.json"), str(hostile / "s.json")]
    assert cli.run(["report", *files, "-o", str(page)]) == 0
    text = page.read_text()
    assert "onerror=alert" in text  # the name is there, as text or data
    own = re.sub(r"(?s)<script>.*?</script>", "", text)  # plotly and the explorer
    data = re.search(r'(?s)<script type="application/json" id="data">(.*?)</script>', own)
    assert data is not None
    assert json.loads(data[1])
    rest = own.replace(data[0], "")
    assert "<img src=x" not in rest
    assert "<script" not in rest
    assert "<" not in data[1]


# --- tables -------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(st.text(alphabet="'=+-@\t\ra1", max_size=4))
def test_a_cell_is_no_formula_and_comes_back(text: str) -> None:
    assert not as_cell(text).startswith(("=", "+", "-", "@", "\t", "\r"))
    assert from_cell(as_cell(text)) == text


def cells(folder: Path) -> list[str]:
    found = []
    for file in folder.rglob("*.csv"):
        with file.open(newline="") as stream:
            found += [cell for row in csv.reader(stream) for cell in row]
    return found


def is_formula(cell: str) -> bool:
    """Whether a spreadsheet computes it: numbers stay numbers."""
    try:
        float(cell)
    except ValueError:
        return cell.startswith(("=", "+", "-", "@"))
    return False


def test_tables_hold_no_formulas_and_read_back(hostile: Path, tmp_path: Path) -> None:
    instance = torta_opt.open_instance(hostile / "i.json")
    save_tables(instance, tmp_path / "tables")
    assert not [cell for cell in cells(tmp_path / "tables") if is_formula(cell)]
    again = load_tables(tmp_path / "tables")
    assert instance_document(again) == instance_document(instance)


@pytest.mark.parametrize("export", ["csv", "hpa", "skyserve"])
def test_a_plan_writes_only_below_its_folder_and_no_formulas(
    export: str, hostile: Path, tmp_path: Path
) -> None:
    files = [str(hostile / "i.json"), str(hostile / "s.json")]
    target = tmp_path / "a" / "b" / "c" / "d"
    assert cli.run(["plan", *files, "-o", str(target), "--export", export]) == 0
    assert os.listdir(tmp_path) == ["a"]
    assert [each.name for each in target.parents[0].iterdir()] == ["d"]
    assert not [cell for cell in cells(target) if is_formula(cell)]
    written = [file.relative_to(target) for file in (target / export).iterdir()]
    assert written
    for file in written:
        assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", file.name), file


def test_requests_of_a_simulation_hold_no_formulas(tmp_path: Path) -> None:
    from torta_opt.placement.online import play

    instance = torta_opt.generate("placement/tiny")
    torta_opt.save_instance(instance, tmp_path / "i.json")
    text = (tmp_path / "i.json").read_text()
    name = json.dumps(instance.clients.names[0])
    (tmp_path / "i.json").write_text(text.replace(name, json.dumps(FORMULA)))
    changed = torta_opt.open_instance(tmp_path / "i.json")
    played = play.play(changed, "cg_bprr", requests=3, rate_per_s=0.1)
    play.save_requests(played, changed, tmp_path / "requests.csv")
    found = list(csv.reader(io.StringIO((tmp_path / "requests.csv").read_text())))
    assert any(FORMULA in row[1] for row in found)
    assert not [cell for row in found for cell in row if is_formula(cell)]
