"""Independent random streams by name, so that one parameter does not reshuffle the rest."""

from __future__ import annotations

import zlib

import numpy as np

from torta_opt.io import InvalidInput


def stream(seed: int, name: str) -> np.random.Generator:
    """The generator that draws ``name`` under ``seed``."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def check_seed(seed: object) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise InvalidInput("must be an integer in [0, 2^63)", field="seed")
