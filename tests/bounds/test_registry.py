from __future__ import annotations

import pytest
from support.plain import make_instance

from torta_opt.bounds.floor import floor
from torta_opt.bounds.registry import METHODS, compute
from torta_opt.io import InvalidInput

INSTANCE = make_instance([[[3]], [[0]]], weights={"time_usd_per_s": 1.0, "expiry_usd": 9.0})


def test_floor_is_the_closed_form_and_names_itself() -> None:
    result = compute(INSTANCE, "floor")
    assert result.value == floor(INSTANCE).value == 3.0
    assert sum(result.costs.values()) == pytest.approx(result.value)
    assert (result.source, result.certified) == ("floor", False)
    assert result.seconds >= 0


def test_unknown_method_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="method: 'nothing' is not a bound; known: floor"):
        compute(INSTANCE, "nothing")


def test_every_method_says_what_it_does() -> None:
    assert all(method.summary for method in METHODS.values())
