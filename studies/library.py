"""Fill torta_opt/library/data/library.csv and write docs/library.md: make library.

    python studies/library.py [--data FOLDER] [--step-limit 60] [--names A,B] [--write]

Every step (make an instance, prove its bound, find a schedule) ends with the table written:
interrupted or killed and started again, this goes on where it ended. ``--data`` names the folder of
the traces that imported instances are made from; without it they are left as they are. ``--write``
computes nothing and writes the page.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from torta_opt.io import InvalidInput, TortaOptError
from torta_opt.library import ENTRIES, Library
from torta_opt.library.build import STEP_S, build, reconciled
from torta_opt.library.entries import BUNDLED
from torta_opt.library.page import page
from torta_opt.library.table import DEFAULT

INTERRUPTED = 130


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/library.md"))
    parser.add_argument("--table", type=Path, default=DEFAULT)
    parser.add_argument("--data", type=Path, default=os.environ.get("TORTA_DATA"))
    parser.add_argument("--step-limit", type=float, default=STEP_S, metavar="S")
    parser.add_argument("--names", help="some of them, separated by commas")
    parser.add_argument("--write", action="store_true", help="compute nothing")
    given = parser.parse_args()
    try:
        return run(given)
    except TortaOptError as error:
        print(f"library: {error}", file=sys.stderr)
        return error.exit_code


def run(given: argparse.Namespace) -> int:
    """Build what is missing, then write the page. Raises TortaOptError."""
    code = 0
    with alone(given.table):
        known = Library.read(given.table) if given.table.exists() else Library(given.table, {})
        library = reconciled(known, ENTRIES)
        library.write()
        names = [] if given.write else given.names.split(",") if given.names else in_turn(library)
        data = None if given.data is None else Path(given.data)
        try:
            build(library, names, data, given.step_limit, lambda line: print(line, flush=True))
        except KeyboardInterrupt:
            print("interrupted: what is done is kept", file=sys.stderr)
            code = INTERRUPTED
    given.output.write_text(page(Library.read(given.table)), encoding="utf-8")
    return code


@contextlib.contextmanager
def alone(table: Path) -> Iterator[None]:
    """Two runs would write over each other's rows. Raises InvalidInput for the second."""
    folder = os.open(table.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise InvalidInput("is being filled by another run", file=str(table)) from None
    finally:
        os.close(folder)


def in_turn(library: Library) -> list[str]:
    """Those whose schedules come with the library, then the shorter first: what an interruption
    leaves open are the longest."""

    def turn(name: str) -> tuple[bool, int]:
        end = name.rpartition("-t")[2]
        return name not in BUNDLED, int(end) if end.isdecimal() else 0

    return sorted(library.rows, key=turn)


if __name__ == "__main__":
    sys.exit(main())
