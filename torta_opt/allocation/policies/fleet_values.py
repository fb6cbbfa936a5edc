"""Learned values of servers (``formulations.server_value``): features, and weight files.

    models/fleet-cuts.safetensors, models/fleet-network.safetensors, each with its card in JSON

A value fits a system by its types, models and classes and by nothing else of it: regions are one in
the fleet program. The tensors are those of ``Cuts`` and of the layers of ``Network``; values are in
dollars, features as ``value_features`` makes them.
"""

from __future__ import annotations

import os

import numpy as np

from torta_opt.allocation.formulations.server_value import Cuts, Layer, Network, ServerValue
from torta_opt.allocation.instance.data import System
from torta_opt.allocation.policies.torta import find_weights, models_folder
from torta_opt.io import InvalidInput, read_document

FORMAT, VERSION = "torta-opt/server-value", 1
REQUESTS, SLOTS = 1000.0, 100.0  # units of features
PARTS = ("hidden", "servers", "features", "constant")


def value_features(demand: np.ndarray, left: float) -> np.ndarray:
    """(F,) from the requests of a slot by class (C,) and the slots that are left to serve."""
    d, h = demand / REQUESTS, left / SLOTS
    return np.concatenate([d, d * h, d * np.sqrt(h), [h, np.sqrt(h)]])


def is_finite(value: ServerValue | None, features: np.ndarray) -> bool:
    """Whether all that a value would put into the program is finite."""
    assert value is not None
    rows = value.epigraph(features)
    arrays = (
        *(rows.on_servers, rows.on_columns, rows.lower, rows.column_cost),
        *(rows.servers_cost, rows.constant),
    )
    return all(np.isfinite(array).all() for array in arrays)


def load_value(
    kind: str, system: System, path: str | os.PathLike[str] | None = None
) -> ServerValue:
    """The value of a file, or of ``models/``. Raises InvalidInput unless it fits the system."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    stem = models_folder() / f"fleet-{kind}" if path is None else find_weights(os.fspath(path))
    file = stem.with_name(stem.name + ".safetensors")
    card = read_document(stem.with_name(stem.name + ".json"), {FORMAT: VERSION})
    for field in ("types", "models", "classes"):
        if card.get(field) != list(getattr(system, field)):
            raise InvalidInput(
                f"is for other {field} than those of this system: train one for it with "
                "studies/train_fleet_value.py, or use torta_plus:value=none",
                file=str(file),
            )
    try:
        tensors = load(file.read_bytes())
        return from_tensors(kind, {name: np.asarray(t, float) for name, t in tensors.items()})
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", file=str(file)) from None
    except (SafetensorError, KeyError, ValueError):
        raise InvalidInput("does not hold the weights its card describes", str(file)) from None


def from_tensors(kind: str, tensors: dict[str, np.ndarray]) -> ServerValue:
    """Raises KeyError where a tensor is missing."""
    if kind == "cuts":
        return Cuts(tensors["servers"], tensors["features"], tensors["constant"])
    layers: list[Layer] = []
    while f"{len(layers)}.constant" in tensors:
        number = len(layers)
        layers.append(Layer(*(tensors[f"{number}.{part}"] for part in PARTS)))
    if len(layers) < 2 or any((layer.hidden < 0).any() for layer in layers):
        raise ValueError("no input-convex network")
    return Network(tuple(layers))


def to_tensors(value: ServerValue) -> dict[str, np.ndarray]:
    """What a weight file of the value holds."""
    if isinstance(value, Cuts):
        named = {part: getattr(value, part) for part in PARTS[1:]}
    else:
        assert isinstance(value, Network)
        named = {
            f"{number}.{part}": getattr(layer, part)
            for number, layer in enumerate(value.layers)
            for part in PARTS
        }
    return {name: np.ascontiguousarray(array, np.float32) for name, array in named.items()}
