"""The law fitted to an instance whose demand nobody generated: an imported trace, say.

Everything it is conditioned on is in the counts (see ``fit``): a path holds what a policy sees, no
more, and means and futures are exact, given the law. Whether the law is a good one, its residuals
say (``residuals``), and what rests on it holds for demand drawn from it. Outages are not drawn.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.law.base import DemandLaw, Path, after, chain_of, check_whole
from torta_opt.allocation.law.fit import KINDS, Fit, fit
from torta_opt.allocation.law.residuals import residual_rows
from torta_opt.io.errors import InvalidInput


@dataclass(frozen=True, eq=False)
class Belief:
    """The states (1 + C + R,) before ``slot``, which the counts before it give."""

    slot: int
    states: np.ndarray


class FittedLaw(DemandLaw):
    """The law that ``fit`` finds in the demand of ``instance``.

    learned   slots to learn from, the first ones; None: all. Who wants to know how well the law
              forecasts learns from one part and looks at another.
    """

    name: ClassVar[str] = "fitted"
    information: ClassVar[str] = "the arrivals so far, and the parameters fitted to the trace"

    def __init__(self, instance: Instance, learned: int | None = None):
        if learned is not None:
            check_whole("learned", learned, 1, instance.slots)
        self.slots = instance.slots
        self.fit: Fit = fit(instance.arrivals, instance.system.slot_ms, learned)
        self._up = instance.up
        self._arrivals = instance.arrivals
        self._classes = instance.system.classes

    @property
    def shape(self) -> tuple[int, int]:
        return self.fit.shape

    @property
    def busy_slots(self) -> int:
        """Slots with arrivals; the others, at the end, drain the queues."""
        return len(self.fit.base)

    # --- paths ----------------------------------------------------------------------------------

    def path(self, instance: Instance) -> Path:
        """Any demand on the same system is a path, if the law can give it."""
        if instance.arrivals.shape != self._arrivals.shape or instance.up.shape != self._up.shape:
            raise InvalidInput(
                f"must be {_by(self._arrivals)} slots, regions and classes, like those that the "
                f"law was fitted to; found {_by(instance.arrivals)}",
                field="arrivals",
            )
        possible = np.zeros(instance.arrivals.shape, bool)
        possible[: self.busy_slots] = self.fit.base > 0
        if (instance.arrivals[~possible] > 0).any():
            t, i, c = np.argwhere((instance.arrivals > 0) & ~possible)[0]
            raise InvalidInput("cannot come from the law", field=f"arrivals[{t}][{i}][{c}]")
        return Path(instance.arrivals, instance.up, chain_of(instance), None)

    def redraw(self, path: Path, seed: int, start: int = 0) -> Path:
        self._check_start(start)
        chain = after(path.chain, seed, start)
        rng = _stream([number for entry in chain for number in entry], "future")
        drawn = self._drawn(self.known(path, start), self.slots - start, 1, rng)[0]
        arrivals = path.arrivals.copy()
        arrivals[start : start + len(drawn)] = drawn
        return Path(arrivals, path.up, chain, None)

    # --- forecasts ------------------------------------------------------------------------------

    def begin(self) -> Belief:
        return Belief(0, np.ones(1 + sum(self.shape)))

    def learn(self, belief: Belief, arrivals: np.ndarray) -> Belief:
        states, t = belief.states, belief.slot
        if t < self.busy_slots:
            states = self.fit.next_states(states, arrivals, t)
        return Belief(t + 1, states)

    def known(self, path: Path, slot: int) -> Belief:
        check_whole("slot", slot, 0, self.slots)
        return self.belief(path.arrivals[:slot])

    def mean_from(self, belief: Belief, horizon: int) -> np.ndarray:
        found, states = np.zeros((horizon, *self.shape)), belief.states
        for h in range(min(horizon, self.busy_slots - belief.slot)):
            found[h] = self.fit.means(states, belief.slot + h)
            states = self.fit.next_states(states, found[h], belief.slot + h)
        return found

    def paths_from(self, belief: Belief, horizon: int, count: int, seed: int) -> np.ndarray:
        rng = _stream([seed], "paths")
        found = np.zeros((count, horizon, *self.shape), np.int64)
        drawn = self._drawn(belief, horizon, count, rng)
        found[:, : drawn.shape[1]] = drawn
        return found

    def _drawn(
        self, belief: Belief, horizon: int, count: int, rng: np.random.Generator
    ) -> np.ndarray:
        """(count, slots, R, C) counts of the next slots, as far as requests arrive."""
        slots = max(min(horizon, self.busy_slots - belief.slot), 0)
        factor = self.fit.noise.gammas(count, slots, rng)
        found = np.zeros((count, slots, *self.shape), np.int64)
        states = np.tile(belief.states, (count, 1))
        for h in range(slots):
            t = belief.slot + h
            found[:, h] = rng.poisson(self.fit.means(states, t) * factor[:, h])
            states = self.fit.next_states(states, found[:, h], t)
        return found

    # --- for people -----------------------------------------------------------------------------

    def describe(self) -> dict[str, Any]:
        found = self.fit
        shown = {"memory": found.memory, "gain": found.gain, "weight": found.weight}
        groups = {
            kind: {name: float(values[k]) for name, values in shown.items()}
            for k, kind in enumerate(KINDS)
        }
        noise = found.noise
        return {
            "law": self.name,
            "information": self.information,
            "learned_slots": found.learned,
            "requests_per_slot": float(found.base.sum(axis=(1, 2)).mean()),
            "season": bool(np.ptp(found.base.sum(axis=(1, 2))) > 0),
            "groups": groups,
            "noise_sd": {
                "all": noise.all**0.5,
                "class": float(np.sqrt(noise.by_class).mean()),
                "region": float(np.sqrt(noise.by_region).mean()),
                "cell": float(np.sqrt(noise.cell).mean()),
            },
            "residuals": residual_rows(found, self._arrivals[: self.busy_slots], self._classes),
        }


def _stream(key: list[int], what: str) -> np.random.Generator:
    return np.random.default_rng([*key, zlib.crc32(f"fitted {what}".encode())])


def _by(array: np.ndarray) -> str:
    return " × ".join(map(str, array.shape))


def law(instance: Instance, topology: str | os.PathLike[str] | None) -> FittedLaw:
    if topology is not None:
        raise InvalidInput("is only for instances generated from a topology", field="topology")
    try:
        return FittedLaw(instance)
    except InvalidInput as error:
        raise InvalidInput(f"{error.field} {error.rule}", field=instance.name) from None
