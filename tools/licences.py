"""Write docs/licences.md: every pinned package and its licence, as its own metadata states it.

    python tools/licences.py [--also FOLDER]     make licences

Reads the packages that are installed, and those in FOLDER (pip install --target FOLDER …). Ends
with exit code 2 if a package of constraints.txt is in neither, or states no licence.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "licences.md"
PINS = ROOT / "constraints.txt"
LONGEST = 60  # some packages put the whole text of a licence into the field that names it

HEAD = """# Licences of what torta-opt uses

Every package of `constraints.txt` with the licence that its own metadata states. `make licences`
writes this page; a test checks that no package is missing. Packages marked *run* are installed with
torta-opt itself; the others belong to extras, tests, documentation or notebooks. torta-opt itself
is under Apache-2.0, and its wheel contains no other package.

| package | version | licence | needed to |
|---|---|---|---|
"""


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, str]:
    """Package, as constraints.txt spells it → version."""
    lines = PINS.read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def installed(also: Iterable[str] = ()) -> dict[str, Distribution]:
    """Normalised name → distribution; an installed one is preferred to one of a folder."""
    found = {normalised(each.name): each for each in distributions(path=list(also))}
    return found | {normalised(each.name): each for each in distributions()}


def closure(names: Iterable[str], known: Mapping[str, Distribution]) -> set[str]:
    """Normalised names of packages and of all that they require, without extras, if known here."""
    done: set[str] = set()
    left = {normalised(name) for name in names}
    while left:
        name = left.pop()
        done.add(name)
        for text in (known[name].requires or []) if name in known else []:
            wanted = Requirement(text)
            if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
                left |= {normalised(wanted.name)} - done
    return done & set(known)


def licence(distribution: Distribution) -> str:
    """What the metadata of a package says of its licence, else the title of its licence file."""
    meta = distribution.metadata
    classifiers = [
        each.rsplit(" :: ", 1)[-1]
        for each in meta.get_all("Classifier") or []
        if each.startswith("License ::")
    ]
    field = (meta.get("License") or "").strip()
    if field == "UNKNOWN" or "\n" in field or len(field) > LONGEST:
        field = ""
    return meta.get("License-Expression") or ", ".join(classifiers) or field or _title(distribution)


def _title(distribution: Distribution) -> str:
    """The first line of the licence file; empty if there is none."""
    for name in distribution.metadata.get_all("License-File") or []:
        text = distribution.read_text(f"licenses/{name}") or ""
        return next((line.strip() for line in text.splitlines() if line.strip()), "")
    return ""


def page(known: Mapping[str, Distribution]) -> str:
    """The page. Ends the program if a package or its licence is not known."""
    run = closure(["torta-opt"], known)
    rows, missing = [], []
    for name, version in pins().items():
        package = known.get(normalised(name))
        if package is None or package.version.split("+")[0] != version or not licence(package):
            missing.append(f"{name}=={version}")
            continue
        used = "run" if normalised(name) in run else ""
        rows.append(f"| {name} | {version} | {licence(package)} | {used} |\n")
    if missing:
        print("not installed here, or without a licence:", *missing, file=sys.stderr)
        sys.exit(2)
    return HEAD + "".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--also", action="append", default=[], metavar="FOLDER")
    PAGE.write_text(page(installed(parser.parse_args().also)), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
