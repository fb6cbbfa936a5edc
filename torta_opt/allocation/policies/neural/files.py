"""Weight files: safetensors, with a card in JSON beside them. Nothing in them can run code.

    models/NAME.safetensors    tensors ``policy.…`` and ``forecast.…``, in half precision
    models/NAME.json           the card: what the network fits, how it was made, how good it is

The value network serves training only; it is in the checkpoint.

The card names the regions; weights are refused for any other topology.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torta_opt.allocation.policies.weight_files import reading, stem_of
from torta_opt.io import InvalidInput, read_document
from torta_opt.io.files import document_bytes
from torta_opt.io.writing import write_all

if TYPE_CHECKING:
    import torch

    from torta_opt.allocation.policies.neural.layers import (
        ForecastNetwork,
        PolicyNetwork,
        ValueNetwork,
    )

FORMAT, VERSION = "torta-opt/network", 1
STORED = ("policy", "forecast")
_NUMBERS = ("features", "scale", "smoothing")


@dataclass(frozen=True, eq=False)
class Networks:
    """The three networks of one topology and their card; ``value`` is untrained when loaded."""

    policy: PolicyNetwork
    value: ValueNetwork
    forecast: ForecastNetwork
    card: dict[str, Any]


def new_networks(
    regions: Sequence[str], features: int, head: str, smoothing: float, scale: float, seed: int
) -> Networks:
    """Untrained networks; the same for the same seed."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        card = {
            "format": FORMAT,
            "version": VERSION,
            "regions": list(regions),
            "features": features,
            "head": head,
            "smoothing": float(smoothing),
            "scale": float(scale),
        }
        return _build(card)


def save_networks(networks: Networks, path: str | os.PathLike[str]) -> None:
    """Write ``path``.safetensors and ``path``.json."""
    from safetensors.torch import save

    stem = stem_of(path)
    tensors = {
        f"{part}.{name}": tensor.detach().cpu().half().contiguous()
        for part in STORED
        for name, tensor in getattr(networks, part).state_dict().items()
    }
    weights, card = (stem.with_name(stem.name + end) for end in (".safetensors", ".json"))
    write_all([(weights, save(tensors)), (card, document_bytes(networks.card))])


def load_networks(path: str | os.PathLike[str], regions: Sequence[str] | None = None) -> Networks:
    """The networks in a file; refused unless they fit ``regions``. Raises InvalidInput."""
    from safetensors.torch import load

    stem = stem_of(path)
    weights = stem.with_name(stem.name + ".safetensors")
    card = read_document(stem.with_name(stem.name + ".json"), {FORMAT: VERSION})
    _check_card(card, str(stem) + ".json")
    if regions is not None and list(regions) != card["regions"]:
        raise InvalidInput(
            f"fits a topology of {len(card['regions'])} regions ({_some(card['regions'])}), not "
            f"this one of {len(regions)} ({_some(regions)}): train weights for it with "
            "torta-opt train, or use torta_ot, which needs none",
            file=str(weights),
        )
    with reading(weights):
        tensors = load(weights.read_bytes())
        _check_tensors(card, tensors)
        networks = _build(card)
        for part in STORED:
            own = {n.removeprefix(f"{part}."): t for n, t in tensors.items() if n.startswith(part)}
            getattr(networks, part).load_state_dict(own)
    return networks


def _check_tensors(card: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    """Raise ValueError unless there are finite tensors of the shapes that the card describes.

    The shapes come from networks without memory: a card of a hundred bytes can ask for gigabytes.
    """
    import torch

    with torch.device("meta"):
        empty = _build(card)
    for part in STORED:
        for name, wanted in getattr(empty, part).state_dict(prefix=f"{part}.").items():
            found = tensors.get(name)
            if found is None or found.shape != wanted.shape or not found.isfinite().all():
                raise ValueError(f"{name} is missing, has another shape or is not finite")


def _build(card: dict[str, Any]) -> Networks:
    from torta_opt.allocation.policies.neural.layers import (
        ForecastNetwork,
        PolicyNetwork,
        ValueNetwork,
    )

    regions, features = len(card["regions"]), card["features"]
    policy = PolicyNetwork(features, regions, card["head"], card["smoothing"])
    return Networks(policy, ValueNetwork(features), ForecastNetwork(regions), card)


def _check_card(card: dict[str, Any], file: str) -> None:
    regions = card.get("regions")
    if not (isinstance(regions, list) and all(isinstance(name, str) for name in regions)):
        raise InvalidInput("must be a list of names", field="regions", file=file)
    if not regions:
        raise InvalidInput("must not be empty", field="regions", file=file)
    if card.get("head") not in ("beta", "softmax"):
        raise InvalidInput("must be beta or softmax", field="head", file=file)
    for name in _NUMBERS:
        if isinstance(card.get(name), bool) or not isinstance(card.get(name), int | float):
            raise InvalidInput("must be a number", field=name, file=file)
    if not (isinstance(card["features"], int) and 0 < card["features"] <= 10**6):
        raise InvalidInput("must be a whole number", field="features", file=file)


def _some(names: Sequence[str]) -> str:
    return ", ".join([*names[:3], "…"] if len(names) > 3 else names)
