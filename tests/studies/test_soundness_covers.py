"""Every formulation of the docs and every registered bound has a step of ``make soundness``."""

from __future__ import annotations

import re
from pathlib import Path

from soundness_steps import STEPS

from torta_opt.allocation.bounds.registry import METHODS
from torta_opt.placement.family import BOUNDS

DOCS = Path(__file__).parents[2] / "docs"
TRUST = (DOCS / "trust.md").read_text()
COVERED = {  # what stands in the first column of the table → steps
    what: re.findall(r"`(\w+)`", steps)
    for what, steps in re.findall(
        r"^\| (.*) \| (.*) \|$",
        TRUST[TRUST.index("| formulation or bound | step |") :].split("\n\n")[0],
        re.MULTILINE,
    )[1:]
}


def test_every_formulation_has_a_step() -> None:
    named = re.findall(r"\(formulations/(\w+)\.md\)", " ".join(COVERED))
    assert sorted(named) == sorted(path.stem for path in (DOCS / "formulations").glob("*.md"))


def test_every_bound_has_a_step() -> None:
    allocation = [row for row in COVERED if row.startswith("`")]
    placement = [row for row in COVERED if row.startswith("placement: ")]
    assert re.findall(r"`(\w+)`", " ".join(allocation)) == list(METHODS)
    assert re.findall(r"`(\w+)`", " ".join(placement)) == list(BOUNDS)


def test_the_steps_are_those_of_the_study() -> None:
    assert {step for steps in COVERED.values() for step in steps} <= STEPS.keys()
    assert all(COVERED.values())
    counted = re.findall(r"^\| `(\w+)` \|", TRUST[: TRUST.index("| formulation or bound")], re.M)
    assert set(counted) == set(STEPS)
