"""The weights file: prices that replace those of an instance, all or some of them."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, Literal

import numpy as np
from pydantic import Field

from torta_opt.allocation.instance.data import System, Weights
from torta_opt.io import InvalidInput, read_document
from torta_opt.io.schema import Name, Real, Strict, parse

FORMAT = "torta-opt/weights"
VERSION = 1


class WeightsDocument(Strict):
    """Weights of a torta-opt allocation instance; what is left out stays as the instance has it."""

    format: Literal["torta-opt/weights"]
    version: Literal[1]
    time_usd_per_s: Real | None = None
    reroute_usd: Real | None = None
    expiry_usd: dict[Name, Real] = Field(default_factory=dict, description="by class")
    frobenius_usd: Real | None = None
    energy_factor: Real | None = None
    rent_factor: Real | None = None
    transfer_factor: Real | None = None
    loading_factor: Real | None = None


def load_weights(path: str | os.PathLike[str], system: System) -> Weights:
    """The weights of ``system`` with those of the file in their place. Raises InvalidInput."""
    document = read_document(path, {FORMAT: VERSION})
    try:
        return weights_from_document(document, system)
    except InvalidInput as error:
        raise error.within(os.fspath(path)) from None


def weights_from_document(document: dict[str, Any], system: System) -> Weights:
    return _replaced(parse(WeightsDocument, document), system)


def json_schema() -> dict[str, Any]:
    """JSON Schema of the weights file."""
    schema = WeightsDocument.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _replaced(entry: WeightsDocument, system: System) -> Weights:
    expiry = np.array(system.weights.expiry_usd)
    for name, usd in entry.expiry_usd.items():
        if name not in system.classes:
            raise InvalidInput(f"names an unknown class, {name!r}", field="expiry_usd")
        expiry[system.classes.index(name)] = usd
    given = entry.model_dump(exclude={"format", "version", "expiry_usd"}, exclude_none=True)
    weights = dataclasses.replace(system.weights, expiry_usd=expiry, **given)
    dataclasses.replace(system, weights=weights)  # checks the expiry prices
    return weights
