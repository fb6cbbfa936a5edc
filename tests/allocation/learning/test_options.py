"""Hyper-parameters that make no sense are refused in one line."""

from __future__ import annotations

import pytest

from torta_opt.allocation.learning.options import Options
from torta_opt.io import InvalidInput


def test_options_are_checked():
    with pytest.raises(InvalidInput, match="updates: must be a whole number"):
        Options(updates=0)
    with pytest.raises(InvalidInput, match="clip: must be a number of at least 0"):
        Options(clip=-1)
