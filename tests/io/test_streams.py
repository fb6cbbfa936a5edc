"""Output that cannot be written ends in a plain line or quietly, never in a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
CLOSED = "standard output: cannot be written: Bad file descriptor"
NO_SPACE = "standard output: cannot be written: No space left on device"

COMMANDS = {
    "table": ["methods"],
    "json": ["schema"],
    "help": ["solve", "--help"],
    "version": ["--version"],
}


def shell(line: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """``line`` in a shell in which "$@" is torta-opt with ``arguments``."""
    command = [sys.executable, "-m", "torta_opt", *map(str, arguments)]
    return subprocess.run(
        ["sh", "-c", line, "sh", *command], capture_output=True, text=True, timeout=120
    )


@needs_full
@pytest.mark.parametrize("case", COMMANDS)
def test_a_full_disk_behind_stdout(case: str) -> None:
    done = shell('"$@" > /dev/full', *COMMANDS[case])
    assert (done.returncode, done.stderr) == (2, f"torta-opt: {NO_SPACE}\n")


@pytest.mark.parametrize("case", COMMANDS)
def test_stdout_closed(case: str) -> None:
    done = shell('"$@" >&-', *COMMANDS[case])
    assert (done.returncode, done.stderr) == (2, f"torta-opt: {CLOSED}\n")


@pytest.mark.parametrize("case", COMMANDS)
def test_a_reader_that_has_gone_ends_it_quietly(case: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "torta_opt", *COMMANDS[case]]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=120)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("where", ["2>&-", pytest.param("2>/dev/full", marks=needs_full)])
def test_stderr_closed_or_full_changes_no_exit_code(where: str) -> None:
    assert shell(f'"$@" {where}', "methods").returncode == 0
    done = shell(f'"$@" {where}', "nonsense")
    assert (done.returncode, done.stdout) == (2, "")


def test_all_closed() -> None:
    assert shell('"$@" <&- >&- 2>&-', "methods").returncode == 2


def test_with_stdout_closed_the_file_is_whole(tmp_path: Path) -> None:
    """Without a stand-in, the file would become standard output and receive the table too."""
    done = shell('"$@" >&- 2>&-', "generate", "small/outage", "-o", tmp_path / "made.json")
    assert done.returncode == 2
    assert json.loads((tmp_path / "made.json").read_text())["name"] == "small/outage"


def test_a_broken_rule_outweighs_lost_output(tmp_path: Path) -> None:
    done = shell('"$@" >&-', "describe", tmp_path / "none.json")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"torta-opt: {tmp_path / 'none.json'}: cannot be read: No such file or directory"
    ]


@pytest.mark.parametrize("extra", [[], ["--json"]])
def test_a_file_to_standard_output_stands_there_alone(extra: list[str], tmp_path: Path) -> None:
    """The report goes to stderr, also where stdout is a file, which is added to.

    By /dev/fd/1, where nothing can be renamed to, should /dev/stdout ever be replaced again.
    """
    command = ("generate", "small/outage", "-o", "/dev/fd/1", *extra)
    done = shell('"$@"', *command)
    assert done.returncode == 0
    assert json.loads(done.stdout)["name"] == "small/outage"
    assert "small/outage" in done.stderr
    kept = tmp_path / "kept"
    shell(f'echo first > {kept}; "$@" >> {kept}', *command)
    assert kept.read_text() == "first\n" + done.stdout


def test_ctrl_c_after_the_reader_has_gone() -> None:
    """What says that it was interrupted finds no reader either."""
    script = (
        "import sys, torta_opt.cli.app as cli\n"
        "def interrupted(*_, **__): return cli.INTERRUPTED_CODE\n"
        "cli.command_line = lambda: interrupted\n"
        "sys.argv = ['torta-opt', 'methods', '--json']\n"
        "cli.main()\n"
    )
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", script],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    os.close(writing)
    assert "Traceback" not in done.stderr
    assert done.returncode == 141
