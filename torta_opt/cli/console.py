"""Output of commands, and checks of the files they write."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torta_opt.cli.provenance import with_origin
from torta_opt.io import InvalidInput
from torta_opt.io.text import harmless
from torta_opt.io.writing import descriptor_of

if TYPE_CHECKING:
    from rich.console import Console

    from torta_opt.allocation.instance import Instance
    from torta_opt.family import SolverWatch, Watch
    from torta_opt.results import BoundResult, Result


PIPED_WIDTH = 100


def show(json_: bool, document: Any, table: Callable[[], Any], is_result: bool = True) -> None:
    """``document`` as JSON, or what ``table()`` gives for people.

    A result says where it comes from; what is the same for everyone does not.
    """
    with beside_the_file(document):
        if json_:
            return print_json(with_origin(document) if is_result else document)
        print_table(table())


@contextlib.contextmanager
def beside_the_file(document: Any) -> Iterator[None]:
    """If a file was written to standard output, print everything else to stderr."""
    output = document.get("output") if isinstance(document, dict) else None
    if isinstance(output, str) and descriptor_of(output) == 1:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    else:
        yield


def print_json(document: Any) -> None:
    sys.stdout.write(json.dumps(document, allow_nan=False, indent=2) + "\n")
    sys.stdout.flush()


def print_table(table: Any) -> None:
    """A terminal at its own width; anything else gets plain text of at most 100 columns.

    Lines of text keep their length: a path that is broken in two can no longer be copied. Names
    out of files cannot move the cursor (``harmless``).
    """
    if isinstance(table, str):
        return print(harmless(table))
    is_terminal = sys.stdout.isatty()
    console = _harmless_console(None if is_terminal else PIPED_WIDTH)
    if is_terminal:
        return console.print(table)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        print(line.rstrip())


def _harmless_console(width: int | None) -> Console:
    """A console whose own colours work, and in which those of a name do not."""
    from rich.console import Console
    from rich.segment import Segment

    class Harmless(Console):
        def render(self, renderable: Any, options: Any = None) -> Iterator[Segment]:
            for part in super().render(renderable, options):
                yield part if part.control else Segment(harmless(part.text), part.style)

    return Harmless(width=width, markup=False, highlight=False, emoji=False)


@contextlib.contextmanager
def watching() -> Iterator[Watch | None]:
    """A progress bar on stderr, where stderr is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        tasks: dict[str, Any] = {}

        def watch(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = progress.add_task(escape(step), total=total)
            progress.update(tasks[step], completed=done)

        yield watch


@contextlib.contextmanager
def watching_solver(name: str, time_limit: float | None) -> Iterator[SolverWatch | None]:
    """Incumbent, bound, gap and time left of a solver's run, on a line of stderr."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.status import Status

    from torta_opt.cli.tables import progress_line

    with Status(name, console=Console(stderr=True)) as status:
        yield lambda sample: status.update(progress_line(name, sample, time_limit))


def warn_about(instance: Instance) -> None:
    """Print warnings of values that are legal but unusual."""
    from torta_opt.families import family_of

    for warning in family_of(instance).warnings(instance):
        say(f"warning: {warning}")


def how_it_ended(found: Result | BoundResult) -> str:
    """``interrupted``, or ``limit`` and why."""
    if found.status == "interrupted" or not found.stopped:
        return found.status
    return f"{found.status}: {found.stopped}"


def say(line: str) -> None:
    print(harmless(line), file=sys.stderr, flush=True)


def complain(line: str, code: int) -> int:
    say(f"torta-opt: {line}")
    return code


def make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"cannot be made: {error.strerror}", file=str(folder)) from None


def check_writable(output: str, *inputs: str | None) -> None:
    """Complain before the work is done, not after; never write over what is read.

    Of an input that is a folder, every file in it counts as read.
    """
    if descriptor_of(output) is not None:
        return
    path = Path(output)
    check_not_read(path, *inputs)
    if path.is_dir():
        raise InvalidInput("is a folder, not a file to write", file=output)
    if not path.parent.is_dir():
        raise InvalidInput("cannot be written: there is no such folder", file=output)
    if path.exists() and not os.access(path, os.W_OK):
        raise InvalidInput("cannot be written: Permission denied", file=output)


def check_not_read(path: Path, *inputs: str | None) -> None:
    """Raises InvalidInput if ``path`` is one of the files, or lies in one of the folders."""
    if not path.exists():
        return
    for each in (Path(name) for name in inputs if name and Path(name).exists()):
        if path.samefile(each) or (each.is_dir() and each.resolve() in path.resolve().parents):
            raise InvalidInput("is read by this command: write to another file", file=str(path))
