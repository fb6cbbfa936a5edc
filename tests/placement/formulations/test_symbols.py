"""The text of each placement program says what its matrix holds."""

from __future__ import annotations

from support.symbolic import assert_same

import torta_opt
from torta_opt.placement.formulations.positions import position_program
from torta_opt.placement.formulations.published import published_program
from torta_opt.placement.formulations.symbols import POSITIONS, PUBLISHED
from torta_opt.placement.schedule.performance import prices


def test_the_program_with_positions() -> None:
    instance = torta_opt.generate("placement/tiny")
    assert_same(POSITIONS, [position_program(instance, prices(instance, "response")).problem])


def test_the_published_program() -> None:
    instance = torta_opt.generate("placement/tiny")
    assert_same(PUBLISHED, [published_program(instance).problem])
