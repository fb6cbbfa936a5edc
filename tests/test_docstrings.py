"""Docstrings of the public names: every section that applies, and examples that run."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType

import pytest

import torta_opt

MODULES = [
    "torta_opt",
    "torta_opt.api",
    "torta_opt.gaps.run",
    "torta_opt.gaps.parts",
    "torta_opt.families",
    "torta_opt.family",
    "torta_opt.results.bounds",
    "torta_opt.results.gap_report",
    "torta_opt.results.parts",
    "torta_opt.results.referee",
    "torta_opt.results.schedules",
    "torta_opt.io.errors",
    "torta_opt.solvers.problem",
    "torta_opt.allocation.instance.data",
    "torta_opt.allocation.schedule.data",
    "torta_opt.allocation.formulations.user_constraint",
]
FUNCTIONS = [name for name in torta_opt.__all__ if inspect.isfunction(getattr(torta_opt, name))]
CLASSES = [name for name in torta_opt.__all__ if inspect.isclass(getattr(torta_opt, name))]
ERRORS = [name for name in CLASSES if issubclass(getattr(torta_opt, name), Exception)]
HEADING = re.compile(r"^([A-Z][A-Za-z ]+)\n-{3,}$", re.MULTILINE)


def sections(name: str) -> dict[str, str]:
    """Heading → text of the docstring of a public name."""
    text = inspect.getdoc(getattr(torta_opt, name))
    assert text
    _, *parts = HEADING.split(text)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def described(text: str) -> set[str]:
    """The names that a section explains: its lines without indent."""
    lines = re.findall(r"^(\w[\w, ]*?)(?: : .*)?$", text, re.MULTILINE)
    return {name for line in lines for name in line.split(", ")}


def parameters(name: str) -> set[str]:
    return set(inspect.signature(getattr(torta_opt, name)).parameters)


def test_every_public_name_is_a_function_or_a_class() -> None:
    assert set(FUNCTIONS) | set(CLASSES) == set(torta_opt.__all__)


@pytest.mark.parametrize("name", torta_opt.__all__)
def test_it_begins_with_one_line_that_ends_with_a_full_stop(name: str) -> None:
    first, *rest = (inspect.getdoc(getattr(torta_opt, name)) or "").split("\n")
    assert first.endswith(".")
    assert not rest or not rest[0]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_explains_parameters_and_has_an_example(name: str) -> None:
    found = sections(name)
    assert described(found["Parameters"]) == parameters(name)
    assert {"Raises", "Examples"} <= set(found)
    assert ("Returns" in found) == (not name.startswith("save_"))


@pytest.mark.parametrize("name", sorted(set(CLASSES) - set(ERRORS)))
def test_a_class_explains_its_fields_and_has_an_example(name: str) -> None:
    found = sections(name)
    assert described(found.get("Parameters") or found["Attributes"]) == parameters(name)
    assert "Examples" in found


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_says_its_exit_code(name: str) -> None:
    assert f"{getattr(torta_opt, name).exit_code}." in sections(name)["Attributes"]


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name.startswith("save_")])
def test_what_has_no_example_of_its_own_leads_to_one(name: str) -> None:
    (other,) = re.findall(r"See ``(\w+)``", sections(name)["Examples"])
    assert f"torta_opt.{name}(" in sections(other)["Examples"]


def examples() -> Iterator[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    for module in MODULES:
        loaded = importlib.import_module(module)
        yield from (test for test in finder.find(loaded, module, globs={}) if test.examples)


EXAMPLES = list(examples())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_the_example_runs(
    example: doctest.DocTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written: list[str] = []
    example.globs = {}
    runner = doctest.DocTestRunner(optionflags=doctest.FAIL_FAST)
    result = runner.run(example, out=written.append, clear_globs=True)
    assert result.failed == 0, "".join(written)


def test_no_public_example_is_missed() -> None:
    homes = {example.name for example in EXAMPLES}
    for name in torta_opt.__all__:
        value = getattr(torta_opt, name)
        assert isinstance(value, FunctionType | type)
        if ">>>" in (inspect.getdoc(value) or ""):
            assert f"{value.__module__}.{value.__qualname__}" in homes
