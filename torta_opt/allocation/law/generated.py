"""The law of the generated instances on a topology (``paper/...`` and your own graphs).

    D[t,i,c] ~ Poisson( Λ · weight_i · wave[t,i] · burst[t,i] · mix[t,i,c] · surge[t,i] )

Fixed, and known to all: Λ (the number that the generator chose for this instance), the weights of
the regions, the daily wave, and what each region makes of the mix. Drawn: the bursts (log-normal
AR(1)), the drift of the mix (AR(1)), when and where surges and outages begin, and the counts.

Redrawing from slot t on continues the same levels, drifts, surges and outages with new noise. Who
conditions on a path therefore knows levels and drift up to slot t − 1, which a policy must guess
from counts, and which surges and outages have begun: more than any policy knows.
"""

from __future__ import annotations

import dataclasses
import os
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from torta_opt.allocation.instance.data import Instance, System
from torta_opt.allocation.instance.generate import demand
from torta_opt.allocation.instance.generate.paper import expected_requests
from torta_opt.allocation.instance.generate.parameters import PaperParameters
from torta_opt.allocation.law.base import DemandLaw, Path, after, chain_of, check_whole
from torta_opt.allocation.law.events import redraw_outages, redraw_surges
from torta_opt.allocation.law.gaussian import Gaussian
from torta_opt.allocation.law.generated_forecast import Belief, Forecasting
from torta_opt.allocation.law.recipe import PAPER_TOPOLOGIES, Recipe, recipe_of
from torta_opt.io.errors import InvalidInput
from torta_opt.io.topology import Topology, paper_topology, read_topology


@dataclass(frozen=True, eq=False)
class Drivers:
    """What drives the arrivals, over the whole horizon of the generated instance.

    levels   (N, 1 + R) of the bursts, N slots with arrivals
    drift    (N, M) of the mix
    surges   (n, 2) region and first slot
    outages  (n, 2) region and first slot
    counts   (T, R, C) arrivals
    """

    levels: np.ndarray
    drift: np.ndarray
    surges: np.ndarray
    outages: np.ndarray
    counts: np.ndarray


class GeneratedLaw(DemandLaw):
    """The law of an instance that ``recipe`` on ``topology`` has made. See the module."""

    name: ClassVar[str] = "generated"
    information: ClassVar[str] = (
        "the arrivals so far, from which bursts and drift of the mix are inferred, and the surges "
        "that have been announced"
    )

    def __init__(self, instance: Instance, recipe: Recipe, topology: Topology):
        self.parameters: PaperParameters = recipe.parameters
        self.seed, self.first, self.slots = recipe.seed, recipe.first, instance.slots
        self.topology = topology
        self._check_sizes(instance.system)
        self._server_region = instance.system.server_region
        self._expected_requests, self._total = self._scale(instance.system)
        self.path(instance)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.topology.nodes), self.mean_mix.size

    # --- what is fixed --------------------------------------------------------------------------

    @cached_property
    def wave(self) -> np.ndarray:
        """(N, R) daily wave."""
        return demand.daily_wave(self.topology, self.parameters)

    @cached_property
    def weights(self) -> np.ndarray:
        """(R,) shares of the regions."""
        return demand.node_weights(self.topology, self.parameters, self.seed)

    @cached_property
    def tendency(self) -> tuple[np.ndarray, np.ndarray]:
        """(C,) mean mix, (R, C) the logarithm of what each region makes of it."""
        return demand.mix_tendency(len(self.topology.nodes), self.parameters, self.seed)

    @property
    def mean_mix(self) -> np.ndarray:
        return self.tendency[0]

    @property
    def scale(self) -> float:
        """Λ."""
        return self._expected_requests / self._total

    @property
    def busy_slots(self) -> int:
        """Slots of the generated instance with arrivals; the others drain the queues."""
        return self.parameters.slots - self.parameters.drain_slots

    def _scale(self, system: System) -> tuple[float, float]:
        """(requests expected of the instance's own path, what it adds up to before Λ)."""
        shape = demand.demand_shape(self.topology, self.parameters, self.seed)
        mix = shape.sum(axis=(0, 1)) / shape.sum()
        return expected_requests(system, mix, self.parameters), float(shape.sum())

    # --- paths ----------------------------------------------------------------------------------

    @cached_property
    def _base(self) -> Path:
        """The path that the generator drew."""
        p, seed, regions = self.parameters, self.seed, len(self.topology.nodes)
        levels = demand.burst_levels(self.busy_slots, regions, p, seed)
        drift = demand.mix_drift(self.busy_slots, p, seed)
        surges = demand.surges(self.topology, p, seed)
        outages = demand.outages(regions, self._server_region, p, seed)
        counts = demand.arrivals(self._expected(levels, drift, surges), seed)
        return self._path(Drivers(levels, drift, surges, outages, counts), ())

    def path(self, instance: Instance) -> Path:
        """Replays the redraws that the instance tells of, and checks that they give its demand."""
        path = self._base
        for seed, slot in chain_of(instance):
            path = self._redraw(path, seed, slot)
        fits = instance.arrivals.shape == path.arrivals.shape
        fits = fits and np.array_equal(instance.arrivals, path.arrivals)
        if not (fits and np.array_equal(instance.up, path.up)):
            raise InvalidInput(
                "are not those that the description tells how to generate (edited, of another "
                "version, or cut under another name): only the law fitted can be used",
                field="arrivals" if not fits else "outages",
            )
        return path

    def redraw(self, path: Path, seed: int, start: int = 0) -> Path:
        """See ``DemandLaw``. From slot 0 on, nothing of ``path`` is left, even of a cut."""
        self._check_start(start)
        return self._redraw(path, seed, self.first + start if start else 0)

    def _redraw(self, path: Path, seed: int, slot: int) -> Path:
        chain = after(path.chain, seed, slot)
        key = [self.seed, *(number for entry in chain for number in entry)]
        old, p = path.drivers, self.parameters

        def stream(what: str) -> np.random.Generator:
            return np.random.default_rng([*key, zlib.crc32(f"future {what}".encode())])

        levels = continued(old.levels, slot, p.burst_memory, stream("bursts"))
        drift = continued(old.drift, slot, p.mix_memory, stream("drift"))
        regions, latest = len(self.topology.nodes), demand.latest_surge(p)
        surges = redraw_surges(old.surges, slot, regions, latest, stream("surges"))
        sizes = np.bincount(self._server_region, minlength=regions).astype(float)
        begins = demand.outage_begins(p)
        outages = redraw_outages(old.outages, slot, begins, sizes, stream("outages"))
        expected = self._expected(levels, drift, surges)
        counts = old.counts.copy()
        counts[slot:] = stream("arrivals").poisson(expected[slot:])
        return self._path(Drivers(levels, drift, surges, outages, counts), chain)

    def _path(self, drivers: Drivers, chain: tuple[tuple[int, int], ...]) -> Path:
        up = demand.availability(self._server_region, self.parameters, drivers.outages)
        window = slice(self.first, self.first + self.slots)
        return Path(drivers.counts[window], up[window], chain, drivers)

    def _expected(self, levels: np.ndarray, drift: np.ndarray, surges: np.ndarray) -> np.ndarray:
        """(T, R, C) means of the counts."""
        p = self.parameters
        burst = demand.burst_factors(levels, p)
        mix = demand.mix_shares(self.tendency, drift, p)
        shape = demand.combined(p.slots, self.wave, burst, self.weights, mix)
        expected = shape * self._expected_requests / self._total
        return expected * demand.factors_of_surges(self.topology, p, surges)[:, :, None]

    def expected(self, path: Path) -> np.ndarray:
        """(slots, R, C) the means that the counts of a path were drawn with."""
        drivers = path.drivers
        expected = self._expected(drivers.levels, drivers.drift, drivers.surges)
        return expected[self.first : self.first + self.slots]

    # --- forecasts ------------------------------------------------------------------------------

    @cached_property
    def _forecasting(self) -> Forecasting:
        rate = self.scale * self.wave * self.weights
        return Forecasting(self.topology, self.parameters, rate, self.tendency)

    def begin(self) -> Belief:
        """Of one who has not seen slots before the first, should the instance be a cut."""
        return dataclasses.replace(self._forecasting.begin(), slot=self.first)

    def learn(self, belief: Belief, arrivals: np.ndarray) -> Belief:
        return self._forecasting.learn(belief, arrivals)

    def known(self, path: Path, slot: int) -> Belief:
        """Knows levels and drift of the slot before, and which surges have begun."""
        check_whole("slot", slot, 0, self.slots)
        at = self.first + slot
        if slot == 0:
            return self.begin()
        last, drivers = min(at, self.busy_slots) - 1, path.drivers
        levels, drift = (
            Gaussian.certain(drivers.levels[last]),
            Gaussian.certain(drivers.drift[last]),
        )
        return Belief(at, levels, drift, drivers.surges).told(drivers.surges)

    def announced(self, belief: Belief, path: Path) -> Belief:
        """The belief of one who is also told of the surges of ``path`` that have begun."""
        return belief.told(path.drivers.surges)

    def mean_from(self, belief: Belief, horizon: int) -> np.ndarray:
        return self._within(self._forecasting.mean(belief, horizon), belief, axis=0)

    def paths_from(self, belief: Belief, horizon: int, count: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng([seed, zlib.crc32(b"paths")])
        drawn = self._forecasting.paths(belief, horizon, count, rng)
        return self._within(drawn, belief, axis=1)

    def _within(self, found: np.ndarray, belief: Belief, axis: int) -> np.ndarray:
        """Nothing arrives after the last slot of a cut."""
        left = max(self.first + self.slots - belief.slot, 0)
        found[(slice(None),) * axis + (slice(left, None),)] = 0
        return found

    # --- for people -----------------------------------------------------------------------------

    def describe(self) -> dict[str, Any]:
        p = self.parameters
        names = (
            "daily_wave burst_sigma burst_memory burst_common mix_drift mix_memory surges outages"
        )
        return {
            "law": self.name,
            "information": self.information,
            "requests_per_slot": self.scale * float((self.wave * self.weights).sum(axis=1).mean()),
            **{name: getattr(p, name) for name in names.split()},
        }

    def _check_sizes(self, system: System) -> None:
        """The system must be of the topology and the models that the recipe names."""
        if system.regions != self.topology.nodes:
            raise InvalidInput("are not those of the topology of the law", field="regions")
        if system.models != tuple(self.parameters.model_shares):
            raise InvalidInput("are not those that the description names", field="models")
        if self.first + self.slots > self.parameters.slots:
            raise InvalidInput("are more than the description says", field="slots")


def continued(
    levels: np.ndarray, start: int, memory: float, rng: np.random.Generator
) -> np.ndarray:
    """(N, series) AR(1) of variance 1: ``levels`` before ``start``, then with new noise.

    From slot 0 on it is stationary.
    """
    anew = levels.copy()
    noise = rng.standard_normal(levels[start:].shape)
    for t in range(start, len(levels)):
        fresh = noise[t - start]
        anew[t] = memory * anew[t - 1] + np.sqrt(1 - memory**2) * fresh if t > 0 else fresh
    return anew


def law(instance: Instance, topology: str | os.PathLike[str] | None) -> GeneratedLaw | None:
    """None if the instance is not a generated one, or if its topology file is not at hand."""
    recipe = recipe_of(instance)
    if recipe is None:
        return None
    if topology is not None:
        return GeneratedLaw(instance, recipe, read_topology(topology))
    paper = {paper_topology(name).source: name for name in PAPER_TOPOLOGIES}
    if recipe.source not in paper:
        return None
    return GeneratedLaw(instance, recipe, paper_topology(paper[recipe.source]))
