"""An answer of the placement family: where blocks stand and which servers each request visits."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from torta_opt.placement.instance.data import _freeze


@dataclass(frozen=True, eq=False)
class Placement:
    """Blocks first … first + count − 1 on every server; count 0 hosts nothing."""

    first: np.ndarray
    count: np.ndarray

    def __post_init__(self) -> None:
        _freeze(self, first=int, count=int)

    @cached_property
    def end(self) -> np.ndarray:
        """(J,) the first block after the hosted ones."""
        return self.first + self.count


@dataclass(frozen=True)
class Route:
    """One request: the servers it passes, each run to the end of what it hosts."""

    client: int
    servers: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class PlacementSchedule:
    """A placement and a route for every request of the offline problem."""

    method: str
    placement: Placement
    routes: tuple[Route, ...]
    seed: int | None = None

    def blocks_on(self, route: Route) -> tuple[int, ...]:
        """Blocks processed at every server of ``route``."""
        ends = [int(self.placement.end[j]) for j in route.servers]
        return tuple(end - before for before, end in itertools.pairwise([0, *ends]))
