"""What every policy of ours shares, and how wrong values are refused."""

from __future__ import annotations

import pytest

from torta_opt.allocation.policies.settings import RULES, Settings
from torta_opt.io import InvalidInput


def test_defaults_are_legal():
    assert Settings() == Settings.of()


@pytest.mark.parametrize("rule", RULES)
def test_rules(rule: str):
    assert Settings.of(rule=rule).rule == rule


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("smoothing", 0, 1),
        ("safety", 0, 1e6),
        ("gradual", 0, 1),
        ("horizon_slots", 1, 1e6),
        ("patience_slots", 0, 1e6),
    ],
)
class TestNumbers:
    def test_ends_are_legal(self, name: str, low: float, high: float):
        assert getattr(Settings.of(**{name: low}), name) == low
        assert getattr(Settings.of(**{name: high}), name) == high

    def test_beyond_the_ends_is_one_plain_line(self, name: str, low: float, high: float):
        for value in (low - 0.5, high + 1):
            assert refusal(name, value).startswith(f"{name}: must be a number in [")

    @pytest.mark.parametrize("wrong", [float("nan"), "3", True, [1]])
    def test_what_is_no_number_is_one_plain_line(self, name: str, low: float, high: float, wrong):
        assert refusal(name, wrong).startswith(f"{name}: must be a number in [")


def refusal(name: str, value: object) -> str:
    with pytest.raises(InvalidInput) as caught:
        Settings.of(**{name: value})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_patience_may_be_left_to_break_even():
    assert Settings.of(patience_slots=None).patience_slots is None


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(InvalidInput, match="colour: is not a parameter; shared ones: smoothing, "):
        Settings.of(colour="red")
