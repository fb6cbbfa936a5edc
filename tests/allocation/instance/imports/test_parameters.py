"""Parameters of an import: defaults that work, and every wrong value refused by name."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from torta_opt.allocation.instance.generate.parameters import PaperParameters
from torta_opt.allocation.instance.imports.parameters import SHARED, ImportParameters
from torta_opt.io import InvalidInput


def test_defaults_change_nothing() -> None:
    assert ImportParameters().changed() == {}


def test_what_is_shared_reaches_the_generator() -> None:
    own = {entry.name for entry in dataclasses.fields(PaperParameters)}
    assert set(SHARED) <= own
    chosen = ImportParameters.of(pue=1.1, slot_seconds=30, deadline_seconds=100)
    paper = chosen.paper(slots=9)
    assert (paper.pue, paper.slot_ms, paper.short_deadline_slots) == (1.1, 30_000, 4)
    assert chosen.changed() == {"pue": 1.1, "slot_seconds": 30, "deadline_seconds": 100}


def test_files_are_told_by_name_alone() -> None:
    assert ImportParameters(latency=Path("/some/where/l.csv")).changed() == {"latency": "l.csv"}


@pytest.mark.parametrize(("deadline", "slots"), [(0, 0), (1, 1), (15, 1), (15.001, 2), (90, 6)])
def test_deadlines_are_rounded_up_to_slots(deadline: float, slots: int) -> None:
    assert ImportParameters(deadline_seconds=deadline).deadline_slots == slots


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"speed": 1}, "speed: is not a parameter of an import"),
        ({"lode": 1}, "lode: is not a parameter of an import; did you mean load"),
        ({"slot_seconds": 0}, "slot_seconds: must lie in [1, 3600], found 0"),
        ({"slot_seconds": "15"}, "slot_seconds: must be a number"),
        ({"slot_seconds": True}, "slot_seconds: must be a number"),
        ({"slot_seconds": 1.00005}, "slot_seconds: must be whole milliseconds"),
        ({"slot_seconds": float("nan")}, "slot_seconds: "),
        ({"deadline_seconds": -1}, "deadline_seconds: must lie in"),
        ({"max_bad_share": 2}, "max_bad_share: must lie in [0, 1]"),
        ({"keep_failed": "yes"}, "keep_failed: must be true or false"),
        ({"spot": 1}, "spot: must be true or false"),
        ({"start_s": -1}, "start_s: must lie in"),
        ({"slots": 0}, "slots: must lie in"),
        ({"slots": 99_995}, "slots: must lie in [1, 99994], found 99995"),
        ({"slots": 2.5}, "slots: must be an integer"),
        ({"hot_permille": 1001}, "hot_permille: must lie in [0, 1000]"),
        ({"demand_factor": 0}, "demand_factor: must lie in"),
        ({"load": 0}, "load: must lie in"),
        ({"load": float("nan")}, "load: "),
        ({"load": 1, "demand_factor": 1, "gpu_counts": {"T4": 1}}, "load: cannot be given with"),
        ({"input_quantiles": 0.5}, "input_quantiles: must be a list"),
        ({"input_quantiles": [0.5, 0.5]}, "input_quantiles: must increase"),
        ({"output_quantiles": [1]}, "output_quantiles: must increase, strictly between 0 and 1"),
        ({"input_edges": [5, 4]}, "input_edges: must increase"),
        ({"output_edges": ["a"]}, "output_edges[0]: must be a number"),
        ({"model_map": {"GPT-4": "gpt-5"}}, "model_map.GPT-4: 'gpt-5' is not known"),
        ({"model_map": []}, "model_map: must be a table"),
        ({"model_shares": {"x": 1}}, "model_shares: 'x' is not known; known: llama-2-7b"),
        ({"model_shares": {"llama-3-8b": -1}}, "model_shares.llama-3-8b: must lie in"),
        ({"model_shares": {"llama-3-8b": 0}}, "model_shares: must not be all 0"),
        ({"model_shares": {}}, "model_shares: must not be all 0"),
        ({"gpu_counts": {"Z80": 1}}, "gpu_counts: 'Z80' is not known"),
        ({"gpu_counts": 3}, "gpu_counts: must be a table"),
        ({"gpu_counts": {"T4": -1}}, "gpu_counts"),
        ({"regions": "abilene"}, "regions: must be a list"),
        ({"regions": [1, 2]}, "regions: must hold names"),
        ({"origins": "moon"}, "origins: must be weights, uniform, client or a table"),
        ({"latency": 3}, "latency: must be the name of a file"),
        ({"topology": ""}, "topology: must be the name of a file"),
        ({"zones": {"a": "b"}}, "price_start or zones: is given without prices"),
        ({"price_start": "2024-01-01 00:00:00"}, "price_start or zones: is given without prices"),
        ({"price_start": 3, "prices": "p.csv"}, "price_start: must be a date and time"),
        ({"gpu_places": "p.csv"}, "gpu_places: is given without gpu_prices"),
        ({"pue": 0.5}, "pue: "),
        ({"batch": 0}, "batch: "),
    ],
)
def test_what_is_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        ImportParameters.of(**given)
    assert str(caught.value).startswith(told)
