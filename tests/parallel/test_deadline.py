"""Limits in seconds do not depend on the time of day, which may be set anew at any moment."""

from __future__ import annotations

import ast
import dataclasses
import math
import re
from pathlib import Path

import pytest

from torta_opt.parallel import Deadline, deadline, in_order

ROOT = Path(__file__).parents[2] / "torta_opt"
READS = {"time.time", "datetime.now", "datetime.utcnow", "datetime.today", "date.today"}
KNOWN = {("parallel/deadline.py", "time.time")}  # between machines, which share nothing else


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


def clocks(source: str) -> set[str]:
    """What reads the time of day, by its last two names."""
    if not re.search(r"\btime\.time|from time|datetime|date\.", source):  # parsing takes long
        return set()
    tree = ast.parse(source)
    found = {
        ".".join(dotted(node).split(".")[-2:])
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
    }
    names = {
        f"{node.module}.{each.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for each in node.names
    }
    return (found | names) & READS


def test_nothing_else_reads_the_time_of_day() -> None:
    found = {
        (path.relative_to(ROOT).as_posix(), clock)
        for path in ROOT.rglob("*.py")
        for clock in clocks(path.read_text())
    }
    assert found == KNOWN


@pytest.mark.parametrize(
    "source", ["time.time()", "x = time.time", "from time import time", "datetime.datetime.now()"]
)
def test_a_clock_would_be_found(source: str) -> None:
    assert clocks(source)


def test_a_clock_that_jumps_changes_nothing_on_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    until = Deadline.after(100)
    for jump in (-1e6, 1e6):
        monkeypatch.setattr(deadline.time, "time", lambda jump=jump: until.time_of_day + jump)
        assert 0 < until.left() <= 100


def test_on_another_machine_the_time_of_day_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    until = dataclasses.replace(Deadline.after(100), machine="another", monotonic=-1e9)
    monkeypatch.setattr(deadline.time, "time", lambda: until.time_of_day - 7)
    assert until.left() == 7


def test_without_a_limit_there_is_always_time_left() -> None:
    assert Deadline.after(math.inf).left() == math.inf


@pytest.mark.slow
def test_workers_of_this_machine_agree() -> None:
    until = Deadline.after(1000)
    found = list(in_order(Deadline.left, [(until,), (until,)], 2))
    assert all(900 < left <= 1000 for left in found)


def test_what_has_passed_has_nothing_left() -> None:
    assert Deadline.after(-1).left() < 0
