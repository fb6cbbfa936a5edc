"""The command line: parses, calls ``api``, prints.

With --json a command prints one JSON document on stdout and nothing else; everything meant for
people goes to stderr or the terminal. Exit codes: 0 done (also after Ctrl-C), 2 invalid input,
3 infeasible, 4 a limit or Ctrl-C ended the command before it had a result, 5 verification failed,
141 the reader of stdout has gone (as after ``| head``). Where ``-o`` names standard output, the
report goes to stderr.
"""

from __future__ import annotations

import contextlib
import functools
import os
import resource
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
import typer.main

from torta_opt import __version__
from torta_opt.cli.answers import bound, solve
from torta_opt.cli.assign import assign
from torta_opt.cli.carbon import carbon
from torta_opt.cli.catalogue import doctor, methods, schema
from torta_opt.cli.checks import export, verify
from torta_opt.cli.compare import compare
from torta_opt.cli.console import complain, print_json
from torta_opt.cli.futures import futures, law
from torta_opt.cli.gap import gap
from torta_opt.cli.instances import describe, generate, import_, tables
from torta_opt.cli.library import library
from torta_opt.cli.pictures import plot, report
from torta_opt.cli.plan import plan
from torta_opt.cli.provenance import WORDS
from torta_opt.cli.replay import replay
from torta_opt.cli.simulate import simulate
from torta_opt.cli.site import build, new, profile
from torta_opt.cli.tour import tour
from torta_opt.cli.train import train
from torta_opt.io import LimitReached, TortaOptError
from torta_opt.io.streams import ReaderGone, flush_output, guard_streams

INTERRUPTED_CODE = 130  # what typer answers to Ctrl-C

app = typer.Typer(
    name="torta-opt",
    help="How far is a geo-distributed GPU-inference schedule from the best possible one?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS: dict[str, Callable[..., None]] = {  # in the order of the help
    "tour": tour,
    "new": new,
    "profile": profile,
    "build": build,
    "generate": generate,
    "import": import_,
    "tables": tables,
    "carbon": carbon,
    "describe": describe,
    "law": law,
    "futures": futures,
    "methods": methods,
    "solve": solve,
    "plan": plan,
    "bound": bound,
    "gap": gap,
    "export": export,
    "verify": verify,
    "plot": plot,
    "report": report,
    "simulate": simulate,
    "assign": assign,
    "replay": replay,
    "train": train,
    "compare": compare,
    "library": library,
    "doctor": doctor,
    "schema": schema,
}
for _name, _command in COMMANDS.items():
    app.command(_name)(_command)


@functools.cache
def command_line() -> Any:
    """The commands with their options. Typer would build them anew, in 0.05 s, for every run."""
    return typer.main.get_command(app)


def main() -> None:
    """Entry point of ``torta-opt``."""
    guard_streams()
    code = _with_all_written(run(sys.argv[1:]))
    _leave_at_once_if_a_solver_runs(code)
    sys.exit(code)


def _with_all_written(code: int) -> int:
    """``code``, or another where the last of the output cannot be written."""
    code, complaint = flush_output(code)
    return complain(complaint, code) if complaint else code


def _leave_at_once_if_a_solver_runs(code: int) -> None:
    """End without the exit handlers of C++, which abort while HiGHS still works."""
    running = sys.modules.get("torta_opt.solvers.running")
    if running is None or not running.is_left_behind():
        return
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code)


def _survives_lost_output(command: Callable[[Sequence[str]], int]) -> Callable[..., int]:
    """Also after Ctrl-C, when the reader of stdout is often gone first."""

    @functools.wraps(command)
    def guarded(arguments: Sequence[str]) -> int:
        try:
            return command(arguments)
        except ReaderGone as error:
            return error.exit_code
        except TortaOptError as error:
            return complain(str(error), error.exit_code)
        except Exception as error:
            if short := _out_of_memory(error):
                return complain(short, LimitReached.exit_code)
            from torta_opt import plugins

            failed = plugins.failure_of(error)
            if failed is None:  # a fault of our own: its traceback says where
                raise
            return complain(str(failed), failed.exit_code)

    return guarded


# What Python's threads and torch say where there is no memory left.
_NO_MEMORY = ("start new thread", "can't allocate memory", "not enough memory")
# Address space, in MB, below which libraries wait for ever for memory while they are loaded.
_LEAST_MB = {"train": 1400}  # a small training takes 1,260
_LEAST_OF_OTHERS_MB = 400
_NEEDS_LITTLE = ("methods", "schema", "doctor")


def _check_address_space(arguments: Sequence[str]) -> None:
    """Raise LimitReached where a limit (``ulimit -v``) would make a command hang, not fail."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    command = arguments[0] if arguments else ""
    if allowed == resource.RLIM_INFINITY or command not in COMMANDS or command in _NEEDS_LITTLE:
        return
    least = _LEAST_MB.get(command, _LEAST_OF_OTHERS_MB)
    if allowed < least << 20:
        raise LimitReached(
            f"not enough memory: {command} needs {least} MB of address space, and a limit allows "
            f"{allowed >> 20} MB (ulimit -v)"
        )


def _out_of_memory(error: Exception) -> str:
    """A line for an error that means that the machine, or a limit on the process, gives no more."""
    lacking = isinstance(error, MemoryError)
    lacking |= isinstance(error, ImportError) and "map segment" in str(error)
    lacking |= isinstance(error, RuntimeError) and any(told in str(error) for told in _NO_MEMORY)
    detail = " ".join(str(error).split())
    return f"not enough memory{detail and ': '}{detail}" if lacking else ""


@_survives_lost_output
def run(arguments: Sequence[str]) -> int:
    """Run one command; errors that a user can meet become one plain line and an exit code."""
    WORDS.set(tuple(arguments))
    try:
        _check_address_space(arguments)
        code = command_line()(list(arguments), prog_name="torta-opt", standalone_mode=False)
    except LimitReached as error:
        return _nothing(arguments, "limit", str(error))
    except typer.TyperException as error:
        message = " ".join(error.format_message().split())
        if not message:  # nothing was asked for: the help stands on stdout already
            return 2
        return complain(f"{message} (torta-opt --help lists commands and options)", 2)
    if code == INTERRUPTED_CODE:
        return _nothing(arguments, "interrupted", "interrupted before there was a result")
    return code or 0


def _nothing(arguments: Sequence[str], status: str, line: str) -> int:
    """A limit or Ctrl-C came before anything was found: nothing is written, and that is said."""
    if "--json" in arguments:
        print_json({"status": status, "message": line})
    return complain(line, LimitReached.exit_code)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="print the version")] = False,
) -> None:
    if version:
        print(f"torta-opt {__version__}")
