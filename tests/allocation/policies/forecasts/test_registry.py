"""The table of forecasters, and what the documentation says of it."""

from __future__ import annotations

import re
from pathlib import Path

from torta_opt.allocation.law import LAWS
from torta_opt.allocation.policies.forecasts import PATH_FORECASTERS

DOC = (Path(__file__).parents[4] / "docs" / "forecasts.md").read_text()


def test_the_documentation_says_what_each_knows() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (.*) \|$", DOC, re.MULTILINE)
    entries = {name: (e.information, e.summary) for name, e in PATH_FORECASTERS.items()}
    assert {name: tuple(rest) for name, *rest in rows} == entries


def test_the_documentation_has_every_law() -> None:
    assert set(LAWS) == set(re.findall(r"^\| `(\w+)` \| [a-z]", DOC, re.MULTILINE))
