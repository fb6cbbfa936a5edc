"""What part of a distance from the bound is due to what."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Foresight:
    """What part of a policy's distance from the clairvoyant bound is foresight, over futures.

    Means with 95 % intervals (low, mean, high) over independent futures; statistical, not proved.

    Attributes
    ----------
    cost : tuple of float
        Of the policy.
    difference : tuple of float
        Cost less the bound for policies that cannot see ahead, paired by future.
    beyond : tuple of float
        Cost less the bound for those who can, paired by future.
    of_which : tuple of float
        From and to how much of ``beyond`` no policy can avoid that cannot see ahead: the two bounds
        apart, and the cheapest policy of the run less the clairvoyant bound.
    """

    cost: tuple[float, float, float]
    difference: tuple[float, float, float]
    beyond: tuple[float, float, float]
    of_which: tuple[float, float]

    def to_document(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in ("cost", "difference", "beyond"):
            low, mean, high = getattr(self, name)
            found[name] = {"mean": mean, "interval": [low, high]}
        return {"foresight": found, "of_which_foresight": list(self.of_which)}


@dataclass(frozen=True)
class Split:
    """The parts of cost − bound, in the unit of the family; they add up to it."""

    servers: float
    requests: float
    learning: float
    bound: float

    @property
    def total(self) -> float:
        return math.fsum((self.servers, self.requests, self.learning, self.bound))

    def to_document(self) -> dict[str, float]:
        return {
            "servers": self.servers,
            "requests": self.requests,
            "learning": self.learning,
            "bound": self.bound,
        }


@dataclass(frozen=True)
class Attribution:
    """A policy's distance from the bound in parts, in both orders of swapping its layers.

    Attributes
    ----------
    policy : str
        Its name.
    cost, bound : float
        What the parts add up to is their difference.
    servers_first, requests_first : Split
        The same distance: servers swapped for the clairvoyant's first, and requests first.
    """

    policy: str
    cost: float
    bound: float
    servers_first: Split
    requests_first: Split

    def to_document(self) -> dict[str, Any]:
        return {
            "attribution": self.servers_first.to_document(),
            "attribution_requests_first": self.requests_first.to_document(),
        }
