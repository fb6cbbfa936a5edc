"""Folders that take no file, too little memory, several processes at work on one file."""

from __future__ import annotations

import multiprocessing
import shutil
from pathlib import Path

import pytest

import torta_opt
from torta_opt.cli import app as cli
from torta_opt.io.files import read_object, write_document

NOWHERE = Path("/proc")  # takes no file, not even from root


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("faults") / "i.json"
    torta_opt.save_instance(torta_opt.generate("small/loading"), path)
    return str(path)


@pytest.mark.skipif(not NOWHERE.is_dir(), reason="needs /proc")
@pytest.mark.parametrize(
    "command",
    [
        "generate small/outage -o {}/x.json",
        "solve {i} --method round_robin -o {}/x.json",
        "bound {i} --method floor -o {}/x.json",
        "export {i} -o {}/x.mps",
        "compare {i} --policies round_robin --bound floor -o {}/x.jsonl",
        "tables {i} -o {}/x",
        "plot demand {i} -o {}/x.svg",
    ],
    ids=lambda command: command.split()[0],
)
def test_a_folder_that_takes_no_file_is_one_plain_line(
    command: str, instance: str, capfd: pytest.CaptureFixture[str]
) -> None:
    words = command.format(NOWHERE, i=instance).split()
    assert cli.run(words) == 2
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1, said
    assert "/proc/x" in said[0]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "not enough memory"),
        (MemoryError("Unable to allocate 9 GiB"), "not enough memory: Unable to allocate 9 GiB"),
        (RuntimeError("can't start new thread"), "not enough memory: can't start new thread"),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp] can't allocate memory: 5 bytes"),
            "not enough memory: [enforce fail at alloc_cpu.cpp] can't allocate memory",
        ),
        (ImportError("a.so: failed to map segment from shared object"), "not enough memory: a.so"),
    ],
)
def test_memory_that_ends_in_a_command(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(cli, "command_line", lambda: failing)
    assert cli.run(["methods"]) == 4
    assert capsys.readouterr().err.startswith(f"torta-opt: {said}")


@pytest.mark.parametrize(
    ("megabytes", "command", "refused"),
    [
        (300, "solve", True),
        (1200, "train", True),
        (1400, "train", False),
        (500, "solve", False),
        (300, "methods", False),
    ],
)
def test_a_limit_under_which_libraries_hang_is_refused(
    megabytes: int,
    command: str,
    refused: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cli.resource, "getrlimit", lambda _: (megabytes << 20, -1))
    monkeypatch.setattr(cli, "command_line", lambda: lambda *_, **__: 0)
    assert cli.run([command]) == (4 if refused else 0)
    said = capsys.readouterr().err
    assert (f"a limit allows {megabytes} MB" in said) == refused


def test_other_errors_of_ours_stay_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object, **__: object) -> None:
        raise ImportError("No module named 'torta_opt.nothing'")

    monkeypatch.setattr(cli, "command_line", lambda: failing)
    with pytest.raises(ImportError):
        cli.run(["methods"])


def write_often(path: str, name: str) -> None:
    for size in range(40):
        write_document(path, {"format": name, "filling": [name] * (size * 200)})


def test_processes_that_write_one_file_leave_it_whole(tmp_path: Path) -> None:
    """At every moment the file is that of one of them, and nothing else is left in the end."""
    path, context = tmp_path / "same.json", multiprocessing.get_context("fork")
    writers = [context.Process(target=write_often, args=(str(path), name)) for name in "abc"]
    for writer in writers:
        writer.start()
    seen = 0
    while any(writer.is_alive() for writer in writers):
        if path.exists():
            document = read_object(path)
            assert set(document["filling"]) <= {document["format"]}
            seen += 1
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert seen > 0
    assert [each.name for each in tmp_path.iterdir()] == ["same.json"]
    assert len(read_object(path)["filling"]) == 39 * 200


def test_an_empty_name_of_a_file_is_shown(
    instance: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["gap", ""], ["solve", instance, "--method", "optimal", "--start", ""]):
        assert cli.run(words) == 2
        assert capsys.readouterr().err.startswith("torta-opt: '': cannot be read")


def test_nothing_that_is_read_is_written_over(
    instance: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the name follows from another, or the file lies in a folder that is read."""
    table, plan = tmp_path / "library.csv", tmp_path / "plan"
    shutil.copy(Path(torta_opt.__file__).parent / "library" / "data" / "library.csv", table)
    plan.mkdir()
    shutil.copy(instance, plan / "plan.json")
    assert cli.run(["tables", instance, "-o", str(tmp_path / "tables")]) == 0
    schedule = str(tmp_path / "s.json")
    assert cli.run(["solve", instance, "--method", "round_robin", "-o", schedule]) == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for line in (
        f"import tables {tmp_path}/tables -o {tmp_path}/tables/settings.csv",
        f"library make small-hot --library {table} -o {table}",
        f"plan {plan}/plan.json {schedule} -o {plan}",
    ):
        capsys.readouterr()
        assert cli.run(line.split()) == 2, line
        assert "is read by this command" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
