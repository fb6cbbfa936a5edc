"""Writes the equations of every program into its page: python docs/write_programs.py

The text comes from the declarations in ``symbols.py``, between two marks of the page. A test checks
that the pages are up to date.
"""

from __future__ import annotations

import re
from pathlib import Path

from torta_opt.allocation.formulations.assignment_symbols import ASSIGNMENT
from torta_opt.allocation.formulations.symbols import ALLOCATION, EXACT, MERGED
from torta_opt.placement.formulations.symbols import POSITIONS, PUBLISHED

FOLDER = Path(__file__).parent / "formulations"
PROGRAMS = {
    "allocation": (ALLOCATION,),
    "merged": (MERGED,),
    "exact": (EXACT,),
    "assignment": (ASSIGNMENT,),
    "placement": (POSITIONS, PUBLISHED),
}
_MARKED = re.compile(r"<!-- program (\d) -->\n.*?<!-- end of program -->\n", re.DOTALL)


def updated(page: str) -> str:
    """The text of a page with the equations of its programs."""
    texts = PROGRAMS[page]

    def block(match: re.Match[str]) -> str:
        text = texts[int(match[1])].markdown()
        return f"<!-- program {match[1]} -->\n\n{text}\n<!-- end of program -->\n"

    return _MARKED.sub(block, (FOLDER / f"{page}.md").read_text("utf-8"))


def main() -> None:
    for page in PROGRAMS:
        (FOLDER / f"{page}.md").write_text(updated(page), "utf-8")


if __name__ == "__main__":
    main()
