from __future__ import annotations

import ast
import dataclasses
import re
from pathlib import Path

import pytest

from torta_opt.allocation.instance.generate.parameters import _RANGES, PaperParameters
from torta_opt.io import InvalidInput


def test_every_number_has_a_range() -> None:
    free = {"gpu_counts", "model_shares", "tokens_short", "tokens_long", "loading"}
    assert {entry.name for entry in dataclasses.fields(PaperParameters)} == free | set(_RANGES)


def test_every_parameter_is_documented() -> None:
    for entry in dataclasses.fields(PaperParameters):
        assert entry.name in (PaperParameters.__doc__ or "")


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("slots", 480.0, "must be an integer"),
        ("slots", True, "must be an integer"),
        ("slots", 4, "must exceed the 4 slots"),
        ("loading", "fast", "must be one of torta, cluster-2026, cluster-2026-warm"),
        ("loading", ["torta"], "must be one of torta"),
        ("load", "0.5", "must be a number"),
        ("load", float("nan"), "must lie in [0, 10]"),
        ("load", float("inf"), "must lie in [0, 10]"),
        ("load", -0.1, "must lie in [0, 10]"),
        ("batch", 17, "must lie in [1, 16]"),
        ("pue", 0.9, "must lie in [1, 5]"),
        ("mean_latency_ms", -1, "must lie in"),
        ("gpu_counts", {}, "must be a table"),
        ("gpu_counts", [1], "must be a table"),
        ("gpu_counts", {"T4": 0}, "must not be all 0"),
        ("gpu_counts", {"T4": 1.5}, "must be an integer"),
        ("gpu_counts", {"TPU": 3}, "is not known; known: A100"),
        ("model_shares", {"gpt": 1}, "is not known; known: llama-2-7b"),
        ("model_shares", {"llama-30b": -1}, "must lie in"),
        ("tokens_short", (1, 2, 3), "must be two integers"),
        ("tokens_long", (0, 5), "must be two integers"),
        ("tokens_long", 7, "must be two integers"),
    ],
)
def test_refused(name: str, value: object, rule: str) -> None:
    with pytest.raises(InvalidInput, match="^" + name) as caught:
        PaperParameters.of(**{name: value})
    assert rule in str(caught.value)


def test_longest_deadline_drains() -> None:
    assert PaperParameters(short_deadline_slots=9).drain_slots == 9


DOCS = (Path(__file__).parents[4] / "docs" / "instances.md").read_text()


@pytest.mark.parametrize("entry", dataclasses.fields(PaperParameters), ids=lambda e: e.name)
def test_documentation_names_every_parameter(entry: dataclasses.Field) -> None:
    assert f"`{entry.name}`" in DOCS


def test_documentation_states_the_defaults() -> None:
    """Rows of the tables "| `name`, `name` | default, default | ..."."""
    defaults = PaperParameters()
    checked = 0
    for row in re.findall(r"^\| (`[a-z_`, ]+`) \| ([^|]+) \|", DOCS, flags=re.MULTILINE):
        names = re.findall(r"`([a-z_]+)`", row[0])
        values = re.findall(r"\([^)]*\)|-?[\d.]+(?:e-?\d+)?", row[1])
        if not hasattr(defaults, names[0]) or not isinstance(
            getattr(defaults, names[0]), int | float | tuple
        ):
            continue
        for name, value in zip(names, values, strict=True):
            assert ast.literal_eval(value) == getattr(defaults, name), name
            checked += 1
    assert checked >= 30
