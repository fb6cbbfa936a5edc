"""An instance priced by other weights."""

from __future__ import annotations

import os

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.instance.paper_weights import paper_weights
from torta_opt.allocation.instance.weights_file import load_weights
from torta_opt.io.errors import InvalidInput


def reweighted(instance: Instance, weights: str | os.PathLike[str]) -> Instance:
    """``paper``, ``xNUMBER`` (time against money, as in ``x0.25``) or a file of weights."""
    weights = os.fspath(weights)
    if weights == "paper":
        return instance.with_weights(paper_weights(instance.system))
    factor = _factor(weights)
    if factor is not None:
        return instance.with_weights(instance.system.weights.scaled(factor))
    return instance.with_weights(load_weights(weights, instance.system))


def _factor(weights: str) -> float | None:
    """The number in ``xNUMBER``; None if it is something else."""
    if not weights.startswith("x"):
        return None
    try:
        factor = float(weights[1:])
    except ValueError:
        return None
    if not 0 < factor < 1e6:
        raise InvalidInput(f"{weights} must lie in (x0, x1e6)", field="weights")
    return factor
