"""plot and report on files: what they write, and one plain line for what they cannot use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import torta_opt
from torta_opt.cli.app import run


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An instance, its schedule, a report and a result, by kind; no test changes them."""
    folder = tmp_path_factory.mktemp("files")
    instance = torta_opt.generate("small/loading")
    result = torta_opt.solve(instance, "greedy_forecast")
    paths = {kind: str(folder / f"{kind}.json") for kind in ("instance", "schedule", "report")}
    torta_opt.save_instance(instance, paths["instance"])
    torta_opt.save_schedule(result.schedule, instance, paths["schedule"])
    report = torta_opt.gap(instance, "greedy_forecast", bound_method="floor")
    Path(paths["report"]).write_text(json.dumps(report.to_document()))
    curve = {"name": "a way", "sizes": [10, 20], "seconds": [1.0, 3.0]}
    growth = {"growth": "bench", "title": "t", "size": "slots", "machine": {}, "curves": [curve]}
    paths["growth"] = str(folder / "growth.json")
    Path(paths["growth"]).write_text(json.dumps(growth))
    paths["result"] = str(folder / "result.json")
    Path(paths["result"]).write_text(json.dumps(torta_opt.solve(instance, "optimal").to_document()))
    return paths


@pytest.mark.parametrize(
    ("kind", "needs"),
    [
        ("servers", ("instance", "schedule")),
        ("costs", ("report",)),
        ("run", ("result",)),
        ("growth", ("growth",)),
    ],
)
def test_plot_writes_the_picture(
    kind: str, needs: tuple[str, ...], files: dict[str, str], tmp_path: Path
) -> None:
    picture = tmp_path / "picture.svg"
    assert run(["plot", kind, *(files[each] for each in needs), "-o", str(picture)]) == 0
    assert picture.read_text().lstrip().startswith("<?xml")


def test_report_takes_schedules_or_a_printed_report(files: dict[str, str], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    both = [files["instance"], files["schedule"], "--bound", "floor"]
    for given in (both, [files["report"]]):
        assert run(["report", *given, "-o", str(page)]) == 0
        assert "greedy_forecast" in page.read_text() or "schedule.json" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["plot", "pie", "instance", "-o", "x.svg"], "is not a picture"),
        (["plot", "servers", "instance", "-o", "x.svg"], "servers needs schedule"),
        (["plot", "demand", "instance", "-o", "x.gif"], "must end in .svg, .png, .pdf"),
        (
            ["plot", "servers", "instance", "schedule", "--slot", "1", "-o", "x.svg"],
            "--slot: is not used",
        ),
        (["report", "instance", "-o", "x.html"], "needs a schedule beside the instance"),
        (["report", "schedule", "-o", "x.html"], "needs its instance"),
        (["report", "instance", "instance", "-o", "x.html"], "is a second instance"),
        (["report", "result", "-o", "x.html"], "needs an instance and its schedules"),
    ],
)
def test_what_cannot_be_used_is_one_plain_line(
    arguments: list[str],
    complaint: str,
    files: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [arguments[0], *(files.get(word, word) for word in arguments[1:])]
    given[-1] = str(tmp_path / given[-1])
    assert run(given) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert complaint in lines[0]
    assert not Path(given[-1]).exists()


@pytest.mark.parametrize("place", ["/dev/stdout", "/dev/fd/1"])
def test_a_page_is_not_mixed_with_the_document_of_json(
    place: str, files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["gap", files["instance"], "--json", "--report", place]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "--report: is where --json writes" in said.err
