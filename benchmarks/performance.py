"""Every benchmark in turn, what they print kept as docs/performance.md.

    python benchmarks/performance.py [-o docs/performance.md] [NAME ...]

NAMEs are benchmarks to run again (``fig5`` for bench_fig5.py); the others keep their place in the
page. Every benchmark runs alone, in a process of its own, beside its peers.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"
PACKAGES = ("highspy", "pyomo", "cvxpy", "pot", "numpy", "scipy", "torch")
HEAD = """# Performance

Written by `make bench`: what every `benchmarks/bench_*.py` prints, each run alone beside its peers.
Compare numbers of one table with each other; times of another machine differ, ratios less so.
Seconds are those of the processor unless a table says otherwise.
"""


def names() -> list[str]:
    return sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))


def title(name: str) -> str:
    text = (HERE / f"bench_{name}.py").read_text(encoding="utf-8")
    return text.split('"""', 2)[1].strip().splitlines()[0]


def section(name: str) -> str:
    """What one benchmark prints, as a section of the page."""
    script = HERE / f"bench_{name}.py"
    print(f"== {script.name}", file=sys.stderr, flush=True)
    done = subprocess.run([sys.executable, script], stdout=subprocess.PIPE, text=True, check=True)
    lines = "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())
    return (
        f"## {name}\n\n{title(name)} (`python benchmarks/bench_{name}.py`)\n\n```\n{lines}\n```\n"
    )


def machine() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {packages}.\n"


def sections_of(page: Path) -> dict[str, str]:
    """Sections of a page written before, by name."""
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
