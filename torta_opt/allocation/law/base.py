"""What a law of demand is: the random process that the demand of an instance is drawn from.

    law = law_of(instance)
    future = law.sample(instance, seed=1)              # another future of the same system
    future = law.sample(instance, seed=1, start=96)    # the first 96 slots as they are
    law.mean(history, horizon)                         # what to expect after ``history``

A *path* is one draw: the arrivals and what drove them (levels of bursts, say), which the arrivals
alone do not show. ``redraw`` continues a path from a slot on; given the path up to that slot, what
it draws has exactly the distribution that the law gives the future. A path holds at least what a
policy sees, so a bound over policies that know the past of the path holds for every policy.

A *belief* is what a forecaster knows: the distribution of what drives the arrivals, given the
arrivals so far. Beliefs are values; ``learn`` returns a new one.
"""

from __future__ import annotations

import dataclasses
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from torta_opt.allocation.instance.data import Instance
from torta_opt.io.errors import InvalidInput
from torta_opt.io.seeds import check_seed

MAX_HORIZON = 100_000
MAX_PATHS = 1_000_000
LONGEST_NAME = 160  # of an instance; files take 200 characters
_FUTURE = re.compile(r" Future: seed (\d+) from slot (\d+)\.")
_SEEDS = re.compile(r"(~\d+)+")


@dataclass(frozen=True, eq=False)
class Path:
    """One draw from a law.

    arrivals  (T, R, C) requests
    up        (T, S) availability of servers
    chain     ((seed, slot), …) the redraws that led here, in order
    drivers   what drove the arrivals; each law has its own
    """

    arrivals: np.ndarray
    up: np.ndarray
    chain: tuple[tuple[int, int], ...]
    drivers: Any


class DemandLaw(ABC):
    """The random process behind the demand of one system.

    name          of the kind of law, as in ``LAWS``
    slots         T of the instances that it fits
    information   one sentence: what a forecast of this law is conditioned on
    """

    name: ClassVar[str]
    information: ClassVar[str]
    slots: int

    # --- futures --------------------------------------------------------------------------------

    @abstractmethod
    def path(self, instance: Instance) -> Path:
        """The path of an instance of this law. Raises InvalidInput if it is not one."""

    @abstractmethod
    def redraw(self, path: Path, seed: int, start: int = 0) -> Path:
        """A path that is ``path`` before slot ``start`` and drawn anew from it on."""

    def instance(self, like: Instance, path: Path) -> Instance:
        """``like`` with the demand and the outages of a path; all else is unchanged."""
        told = "".join(f" Future: seed {seed} from slot {at}." for seed, at in path.chain)
        name = _SEEDS.sub("", like.name) if chain_of(like) else like.name
        seeds = "".join(f"~{seed}" for seed, _ in path.chain)
        return dataclasses.replace(
            like,
            name=(name + seeds)[:LONGEST_NAME],
            description=_FUTURE.sub("", like.description) + told,
            arrivals=path.arrivals,
            up=path.up,
        )

    def sample(self, instance: Instance, seed: int, *, start: int = 0) -> Instance:
        """Another future of the system of ``instance``.

        Demand (and, where the law draws them, outages) of slots before ``start`` stay as they are;
        from ``start`` on they are drawn anew, given the path up to there. Topology, fleet, prices,
        weights and slots are those of ``instance``. The same instance, seed and start give the same
        future; other seeds give independent ones.

        Raises InvalidInput if the law does not fit the instance, or an argument is wrong.
        """
        check_seed(seed)
        self._check_start(start)
        return self.instance(instance, self.redraw(self.path(instance), seed, start))

    # --- forecasts ------------------------------------------------------------------------------

    @abstractmethod
    def begin(self) -> Any:
        """The belief before slot 0."""

    @abstractmethod
    def learn(self, belief: Any, arrivals: np.ndarray) -> Any:
        """The belief after one more slot of arrivals (R, C)."""

    @abstractmethod
    def known(self, path: Path, slot: int) -> Any:
        """The belief of one who knows ``path`` before ``slot``, and what drove it."""

    def announced(self, belief: Any, path: Path) -> Any:
        """The belief of one who is also told what the law says is announced when it begins."""
        return belief

    @abstractmethod
    def mean_from(self, belief: Any, horizon: int) -> np.ndarray:
        """(horizon, R, C) the mean of the arrivals of the next slots; 0 past the last slot."""

    @abstractmethod
    def paths_from(self, belief: Any, horizon: int, count: int, seed: int) -> np.ndarray:
        """(count, horizon, R, C) arrivals of the next slots, drawn; 0 past the last slot."""

    def belief(self, history: np.ndarray) -> Any:
        """The belief after ``history`` (t, R, C), the arrivals of slots 0 to t − 1."""
        history = self._check_history(history)
        belief = self.begin()
        for arrivals in history:
            belief = self.learn(belief, arrivals)
        return belief

    def mean(self, history: np.ndarray, horizon: int) -> np.ndarray:
        """(horizon, R, C) mean arrivals of slots t, …, t + horizon − 1 given ``history`` (t, R, C).

        Conditioned on what ``information`` says.
        """
        check_whole("horizon", horizon, 1, MAX_HORIZON)
        return self.mean_from(self.belief(history), horizon)

    def sample_paths(self, history: np.ndarray, horizon: int, count: int, seed: int) -> np.ndarray:
        """(count, horizon, R, C) independent draws of what ``mean`` is the mean of."""
        check_seed(seed)
        check_whole("horizon", horizon, 1, MAX_HORIZON)
        check_whole("count", count, 1, MAX_PATHS)
        return self.paths_from(self.belief(history), horizon, count, seed)

    # --- for people -----------------------------------------------------------------------------

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Parameters and diagnostics, fit for JSON."""

    # --- checks ---------------------------------------------------------------------------------

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """(R, C)."""

    def _check_start(self, start: int) -> None:
        check_whole("start", start, 0, self.slots - 1)

    def _check_history(self, history: np.ndarray) -> np.ndarray:
        history = np.asarray(history)
        if history.ndim != 3 or history.shape[1:] != self.shape:
            regions, classes = self.shape
            raise InvalidInput(
                f"must be (slots, {regions} regions, {classes} classes), found {history.shape}",
                field="history",
            )
        if len(history) > self.slots:
            raise InvalidInput(f"must hold at most {self.slots} slots", field="history")
        return history


def chain_of(instance: Instance) -> tuple[tuple[int, int], ...]:
    """The redraws that the description of an instance tells of."""
    told: Sequence[tuple[str, str]] = _FUTURE.findall(instance.description)
    return tuple((int(seed), int(slot)) for seed, slot in told)


def after(chain: tuple[tuple[int, int], ...], seed: int, start: int) -> tuple[tuple[int, int], ...]:
    """The chain with one redraw more; redraws that left nothing behind are forgotten."""
    return (*(entry for entry in chain if entry[1] < start), (seed, start))


def check_whole(name: str, value: object, low: int, high: int) -> None:
    """An argument must be an integer in [low, high]. Raises InvalidInput."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InvalidInput("must be an integer", field=name)
    if not low <= value <= high:
        raise InvalidInput(f"must lie in [{low}, {high}], found {value}", field=name)
