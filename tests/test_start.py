"""Ctrl-C from the first moment to the last: a line, never a traceback.

The processes are real, and so are the signals. Moments are told by what is being imported, which
is the same on a slow machine; those told by the clock take what they hit.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support.begun import AT_TIME

from torta_opt import start
from torta_opt.allocation.instance import save_instance
from torta_opt.allocation.instance.generate import generate

# Sends itself signal NUMBER when MODULE is about to be imported, or DELAY seconds after.
AT_IMPORT = """
import os, signal, sys, threading
number, module, delay, *arguments = sys.argv[1:]
sys.argv = ["torta-opt", *arguments]

def press():
    print("PRESSED", file=sys.stderr, flush=True)
    os.kill(os.getpid(), int(number))

def watch(event, values):
    if event == "import" and values[0] == module and not pressed:
        pressed.append(True)
        threading.Timer(float(delay), press).start() if float(delay) else press()

pressed = []
sys.addaudithook(watch)
from torta_opt.start import main
main()
"""

METHODS = ("methods", "--json")
SOLVE = ("solve", "{}", "--method", "round_robin", "--json")
BOUND = ("bound", "{}", "--method", "lp", "--json")
CODES = {
    0: "it was done, or had something to show",
    4: "interrupted before there was a result",
    -signal.SIGINT: "while Python itself was ending",
}


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("start") / "i.json"
    save_instance(generate("small/loading"), path)
    return path


def arguments(command: tuple[str, ...], instance: Path) -> list[str]:
    return [each.format(instance) for each in command]


def check(code: int, out: str, err: str) -> None:
    """No traceback; a code that says what happened; on stdout one JSON document or nothing."""
    assert "Traceback" not in err, err
    assert "Error" not in err, err
    assert code in CODES, (code, err)
    if out:
        assert isinstance(json.loads(out), dict)


@pytest.mark.parametrize(
    ("command", "module", "number"),
    [
        (METHODS, "torta_opt.cli.app", signal.SIGINT),
        (METHODS, "typer", signal.SIGTERM),
        (METHODS, "torta_opt.io.errors", signal.SIGINT),
        (SOLVE, "torta_opt.api", signal.SIGTERM),
        (SOLVE, "numpy._core._multiarray_umath", signal.SIGINT),
        (SOLVE, "torta_opt.allocation.policies.runner", signal.SIGINT),
        (BOUND, "scipy.sparse", signal.SIGINT),
        (BOUND, "highspy", signal.SIGINT),
        (BOUND, "highspy._core", signal.SIGINT),
    ],
)
def test_while_a_module_is_loaded(
    command: tuple[str, ...], module: str, number: int, instance: Path
) -> None:
    process = [
        sys.executable,
        "-c",
        AT_IMPORT,
        str(int(number)),
        module,
        "0",
        *arguments(command, instance),
    ]
    done = subprocess.run(process, capture_output=True, text=True, timeout=120)
    assert "PRESSED\n" in done.stderr
    check(done.returncode, done.stdout, done.stderr.replace("PRESSED\n", ""))
    assert json.loads(done.stdout)["status"] == "interrupted"
    assert "interrupted" in done.stderr


@pytest.mark.parametrize("delay", [0.001, 0.004, 0.016])
@pytest.mark.parametrize("module", ["numpy", "highspy._core"])
def test_a_little_later(module: str, delay: float, instance: Path) -> None:
    """In the middle of an extension, where the interruption may come out as an ImportError."""
    process = [
        sys.executable,
        "-c",
        AT_IMPORT,
        "2",
        module,
        str(delay),
        *arguments(BOUND, instance),
    ]
    done = subprocess.run(process, capture_output=True, text=True, timeout=120)
    check(done.returncode, done.stdout, done.stderr.replace("PRESSED\n", ""))


def at_time(command: tuple[str, ...], instance: Path, seconds: float) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", AT_TIME, *arguments(command, instance)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "BEGUN\n"
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    check(process.returncode, out, err)


@pytest.mark.parametrize("seconds", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("command", [METHODS, SOLVE, BOUND], ids=lambda command: command[0])
def test_at_some_moments(command: tuple[str, ...], seconds: float, instance: Path) -> None:
    at_time(command, instance, seconds)


@pytest.mark.slow
@pytest.mark.parametrize("command", [METHODS, SOLVE, BOUND], ids=lambda command: command[0])
def test_at_every_moment(command: tuple[str, ...], instance: Path) -> None:
    for step in range(100):
        at_time(command, instance, 0.02 * step)


def test_an_error_of_ours_stays_one_without_ctrl_c() -> None:
    """Only what follows Ctrl-C is taken for it."""
    script = (
        "import sys; sys.argv = ['torta-opt', 'methods']\n"
        "from torta_opt import start\n"
        "from torta_opt.cli import app as cli\n"
        "cli.run = lambda *_: 1 // 0\n"
        "start.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


def test_a_shell_that_has_ctrl_c_ignored_keeps_it_so(instance: Path) -> None:
    """As for a job in the background of a shell without job control."""
    process = [sys.executable, "-c", AT_IMPORT, "2", "typer", "0", *arguments(METHODS, instance)]
    done = subprocess.run(
        process,
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert done.returncode == 0
    assert "policy" in json.loads(done.stdout)


# As when Ctrl-C comes while a dataclass is made: it runs code that is given as text.
IN_CODE_OF_TEXT = """
from torta_opt import start
from torta_opt.cli import app as cli

def main():
    try:
        exec("raise KeyboardInterrupt")
    except KeyboardInterrupt:
        raise SystemExit(4) from None

cli.main = main
start.main()
"""


def test_the_exit_code_stands_after_ctrl_c_in_code_of_text(tmp_path: Path) -> None:
    (tmp_path / "begin.py").write_text(IN_CODE_OF_TEXT)
    process = [sys.executable, "-m", "begin"]
    done = subprocess.run(process, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (4, "")


def test_ctrl_c_while_the_signals_are_set_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes once the handler is that of commands, before any command runs."""

    def left(*_: object) -> None:
        raise SystemExit(start.NOTHING_FOUND)

    def pressed(handler: Any) -> None:
        if getattr(handler, "__name__", "") == "interrupt":
            handler()

    monkeypatch.setattr(start._CtrlC, "leave", left)
    monkeypatch.setattr(start, "_on_signals", pressed)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    with pytest.raises(SystemExit) as ended:
        start.main()
    assert ended.value.code == start.NOTHING_FOUND
