"""Run the benchmarks one after another and write their output to docs/performance.md.

    python benchmarks/run_all.py [-o docs/performance.md] [NAME ...]

NAMEs are benchmarks to run again (``fig5`` for bench_fig5.py); the sections of the others stay.
Every benchmark runs alone, in a separate process. Those with ``--curves`` leave their seconds in
benchmarks/results/ and their pictures in docs/images/.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"
RESULTS, IMAGES = HERE / "results", HERE.parent / "docs" / "images"
HAVE_CURVES = ("growth", "multi_slot")
PACKAGES = ("highspy", "pyomo", "cvxpy", "pot", "numpy", "scipy", "torch")
HEAD = """# Performance

*`make bench` writes this page: the output of every `benchmarks/bench_*.py`, each run alone
unless its section says otherwise.*

Times can be compared within a table. On another machine times differ; ratios differ less. Seconds
are processor seconds unless a section says otherwise. Terms are in the [glossary](glossary.md).
"""


def names() -> list[str]:
    return sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))


def about(name: str) -> str:
    """The first line of a benchmark's docstring, and the paragraph that explains its table."""
    text = (HERE / f"bench_{name}.py").read_text(encoding="utf-8")
    title, _usage, columns, *_ = text.split('"""', 2)[1].strip().split("\n\n")
    return f"{title} (`python benchmarks/bench_{name}.py`)\n\n{columns}"


def section(name: str) -> str:
    """The output of one benchmark, as a section of the page."""
    script = HERE / f"bench_{name}.py"
    print(f"== {script.name}", file=sys.stderr, flush=True)
    command = [sys.executable, script]
    if name in HAVE_CURVES:
        for earlier in RESULTS.glob(f"{name}*.json"):
            earlier.unlink()  # the picture is to show the run of the table
        command += ["--curves", RESULTS]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    lines = "\n".join(line.rstrip() for line in done.stdout.strip("\n").splitlines())
    pictures = "".join(f"\n{picture(file)}\n" for file in sorted(RESULTS.glob(f"{name}*.json")))
    return f"## {name}\n\n{about(name)}\n\n```\n{lines}\n```\n{pictures}"


def picture(file: Path) -> str:
    """Draw the curves of ``file`` into docs/images/; a link to the picture, for the page."""
    from torta_opt.report.figures import draw, style

    growth = json.loads(file.read_text(encoding="utf-8"))
    with style.themed():
        content = style.encode(draw("growth", growth=growth), ".svg")
    (IMAGES / f"{file.stem}.svg").write_bytes(content)
    return f"![Processor seconds: {growth['title']}](images/{file.stem}.svg)"


def machine() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {packages}.\n"


def sections_of(page: Path) -> dict[str, str]:
    """Sections of an existing page, by name."""
    if not page.exists():
        return {}
    parts = re.split(r"^(?=## )", page.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {part.split(maxsplit=2)[1]: part for part in parts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[[], *names()], metavar="NAME")
    parser.add_argument("-o", "--output", type=Path, default=PAGE)
    chosen = parser.parse_args()
    known = sections_of(chosen.output)
    for name in chosen.names or names():
        known[name] = section(name).rstrip() + "\n\n"
        kept = "".join(known[each] for each in names() if each in known)
        text = f"{HEAD}\n{machine()}\n{kept}".rstrip() + "\n"
        chosen.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
