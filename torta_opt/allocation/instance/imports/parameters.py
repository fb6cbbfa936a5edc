"""Everything an imported instance depends on besides the trace and the seed."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torta_opt.allocation.instance.generate.hardware import GPUS, MODELS
from torta_opt.allocation.instance.generate.parameters import PaperParameters
from torta_opt.allocation.instance.imports.horizon import MAX_SLOTS
from torta_opt.allocation.instance.imports.kinds import UNIT_NAMES
from torta_opt.io import InvalidInput
from torta_opt.io.text import did_you_mean

PathLike = str | os.PathLike[str]

# What an import shares with the generator, and takes from it: docs/instances.md.
SHARED = (
    "node_spread",
    "weight_exponent",
    "mean_latency_ms",
    "initial_on",
    "batch",
    "slo_factor",
    "provision_s",
    "loading",
    "host_kw",
    "idle_share",
    "pue",
    "delivery_usd_per_kwh",
    "tariff_spread",
    "price_wave",
    "price_noise",
    "rent_share",
    "rent_spread",
    "registry_usd_per_gb",
    "egress_usd_per_gb",
    "time_usd_per_s",
    "expiry_margin",
)
DEFAULT_LOAD = 0.3


@dataclass(frozen=True)
class ImportParameters:
    """What turns a trace into an instance. docs/imports.md says why the defaults are what they are.

    The part of the trace
      slot_seconds        slot length Δ
      start_s, slots      first second and number of slots with arrivals; None: all of the trace,
                          or its busiest 480 slots if it is longer
      max_bad_share       a trace with a larger share of bad rows is refused
      unit                s, ms or us: unit of the times, where these are numbers; None: that of
                          the kind, and a trace that looks as if it had another is refused
      keep_failed         keep BurstGPT's requests without a response
    Classes
      input_quantiles, output_quantiles    shares of the requests at which token counts are cut
      input_edges, output_edges            the same in tokens; a request of that many lies below
      model_map           model that stands for each model named in the trace
      model_shares        models that the other requests are drawn for, and their shares
      deadline_seconds    rounded up to slots
      hot_permille        None: the share of repeated prompt blocks if the trace tells, else 370
    Regions
      topology            abilene, polska, gabriel, cost2, or a GML or GraphML file; None: abilene,
                          or the regions of ``latency``
      latency             CSV with measured latencies (latency.py)
      regions             those of the topology or of ``latency`` that are used
      origins             weights (of the regions), uniform, client (each client asks from one
                          region), or a table of weights by region; None: client if the trace
                          names clients, else weights
      origin              column of the trace that holds the region of each request
    Fleet and demand; at most two of the three, the third follows
      gpu_counts          servers of each GPU type
      demand_factor       copies of each request
      load                share of the fleet's time that the demand takes at the least
    Prices
      prices              CSV with electricity prices (electricity.py)
      price_start         date and time in ``prices`` at which the instance begins
      zones               column of ``prices`` by region
      gpu_prices          CSV with rents by region and GPU type (gpu_prices.py)
      gpu_places          CSV with the regions that have each GPU type, in Google Cloud's form
      spot                take spot prices from ``gpu_prices``
    shared                parameters of the generator, by name
    """

    slot_seconds: float = 15.0
    start_s: float | None = None
    slots: int | None = None
    max_bad_share: float = 0.1
    unit: str | None = None
    keep_failed: bool = False
    input_quantiles: tuple[float, ...] = (0.5,)
    output_quantiles: tuple[float, ...] = (0.5,)
    input_edges: tuple[int, ...] | None = None
    output_edges: tuple[int, ...] | None = None
    model_map: Mapping[str, str] = field(
        default_factory=lambda: {"ChatGPT": "llama-3-8b", "GPT-4": "llama-30b"}
    )
    model_shares: Mapping[str, float] = field(default_factory=lambda: {"llama-3-8b": 1.0})
    deadline_seconds: float = 90.0
    hot_permille: int | None = None
    topology: PathLike | None = None
    latency: PathLike | None = None
    regions: tuple[str, ...] | None = None
    origins: str | Mapping[str, float] | None = None
    origin: str | None = None
    gpu_counts: Mapping[str, int] | None = None
    demand_factor: float | None = None
    load: float | None = None
    prices: PathLike | None = None
    price_start: str | None = None
    zones: Mapping[str, str] | None = None
    gpu_prices: PathLike | None = None
    gpu_places: PathLike | None = None
    spot: bool = False
    shared: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("input_quantiles", "output_quantiles", "input_edges", "output_edges"):
            _as_tuple(self, name)
        if self.regions is not None:
            _as_tuple(self, "regions")
        self._check_kinds()
        self._check_numbers()
        self._check_cuts()
        self._check_models()
        if None not in (self.gpu_counts, self.demand_factor, self.load):
            raise InvalidInput(
                "cannot be given with both gpu_counts and demand_factor: it follows from them",
                field="load",
            )
        if self.origin is not None and self.origins is not None:
            raise InvalidInput("is given with origin, which names them", field="origins")
        if self.prices is None and (self.price_start or self.zones):
            raise InvalidInput("is given without prices", field="price_start or zones")
        if self.gpu_prices is None and self.gpu_places is not None:
            raise InvalidInput("is given without gpu_prices", field="gpu_places")
        self.paper(slots=self.deadline_slots + 1)  # checks the shared parameters

    @classmethod
    def of(cls, **parameters: Any) -> ImportParameters:
        """Defaults with some replaced; an unknown name is refused."""
        own = [entry.name for entry in dataclasses.fields(cls) if entry.name != "shared"]
        shared: dict[str, Any] = {}
        for name in list(parameters):
            if name in SHARED:
                shared[name] = parameters.pop(name)
            elif name not in own:
                hint = did_you_mean(name, [*own, *SHARED])
                raise InvalidInput(f"is not a parameter of an import{hint}", field=name)
        return cls(**parameters, shared=shared)

    @property
    def slot_ms(self) -> int:
        return round(self.slot_seconds * 1000)

    @property
    def deadline_slots(self) -> int:
        return -(-round(self.deadline_seconds * 1000) // self.slot_ms)

    def paper(self, slots: int, **more: Any) -> PaperParameters:
        """The generator's parameters for the same fleet, prices and weights."""
        deadline = self.deadline_slots
        given = {
            "slots": slots,
            "slot_ms": self.slot_ms,
            "short_deadline_slots": deadline,
            "long_deadline_slots": deadline,
            **self.shared,
            **more,
        }
        if self.gpu_counts is not None:
            given["gpu_counts"] = dict(self.gpu_counts)
        return PaperParameters.of(**given)

    def changed(self) -> dict[str, Any]:
        """What differs from the defaults, files by their names alone."""
        defaults = ImportParameters()
        found: dict[str, Any] = {}
        for entry in dataclasses.fields(self):
            value = getattr(self, entry.name)
            if value == getattr(defaults, entry.name):
                continue
            if entry.name == "shared":
                found |= value
            elif entry.name in ("topology", "latency", "prices", "gpu_prices", "gpu_places"):
                found[entry.name] = os.path.basename(os.fspath(value))
            else:
                found[entry.name] = value
        return found

    def _check_kinds(self) -> None:
        for name in ("topology", "latency", "prices", "gpu_prices", "gpu_places"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str | os.PathLike) and str(value)):
                raise InvalidInput("must be the name of a file", field=name)
        for name in ("keep_failed", "spot"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidInput("must be true or false", field=name)
        for name in ("zones", "gpu_counts"):
            if not isinstance(getattr(self, name), Mapping | None):
                raise InvalidInput("must be a table", field=name)
        if self.unit is not None and self.unit not in tuple(UNIT_NAMES):
            raise InvalidInput(f"must be one of {', '.join(UNIT_NAMES)}", field="unit")
        if self.origin is not None and not (isinstance(self.origin, str) and self.origin.strip()):
            raise InvalidInput("must be the title of a column", field="origin")
        if not isinstance(self.price_start, str | None):
            raise InvalidInput("must be a date and time", field="price_start")
        if not all(isinstance(name, str) for name in self.regions or ()):
            raise InvalidInput("must hold names", field="regions")
        known = ("weights", "uniform", "client")
        if not isinstance(self.origins, Mapping | None) and self.origins not in known:
            raise InvalidInput(
                f"must be {', '.join(known)} or a table of weights by region", field="origins"
            )

    def _check_numbers(self) -> None:
        _check_number("slot_seconds", self.slot_seconds, 1, 3600)
        if abs(self.slot_seconds * 1000 - self.slot_ms) > 1e-6:
            raise InvalidInput("must be whole milliseconds", field="slot_seconds")
        _check_number("deadline_seconds", self.deadline_seconds, 0, 86_400)
        _check_number("max_bad_share", self.max_bad_share, 0, 1)
        if self.start_s is not None:
            _check_number("start_s", self.start_s, 0, 1e11)
        if self.slots is not None:
            most = MAX_SLOTS - self.deadline_slots
            _check_number("slots", self.slots, 1, most, is_whole=True)
        if self.hot_permille is not None:
            _check_number("hot_permille", self.hot_permille, 0, 1000, is_whole=True)
        if self.demand_factor is not None:
            _check_number("demand_factor", self.demand_factor, 1e-9, 1e6)
        if self.load is not None:
            _check_number("load", self.load, 1e-6, 10)

    def _check_cuts(self) -> None:
        for name in ("input_quantiles", "output_quantiles"):
            _check_increasing(name, getattr(self, name), 0, 1)
        for name in ("input_edges", "output_edges"):
            if getattr(self, name) is not None:
                _check_increasing(name, getattr(self, name), -1, 1e9)

    def _check_models(self) -> None:
        for name, table in (("model_map", self.model_map), ("model_shares", self.model_shares)):
            if not isinstance(table, Mapping):
                raise InvalidInput("must be a table", field=name)
        for name, model in self.model_map.items():
            _check_known(f"model_map.{name}", model, list(MODELS))
        for model, share in self.model_shares.items():
            _check_known("model_shares", model, list(MODELS))
            _check_number(f"model_shares.{model}", share, 0, 1e6)
        if not sum(self.model_shares.values()) > 0:
            raise InvalidInput("must not be all 0", field="model_shares")
        for name in self.gpu_counts or {}:
            _check_known("gpu_counts", name, list(GPUS))


def _as_tuple(owner: ImportParameters, name: str) -> None:
    value = getattr(owner, name)
    if value is None:
        return
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise InvalidInput("must be a list", field=name)
    object.__setattr__(owner, name, tuple(value))


def _check_number(name: str, value: Any, low: float, high: float, is_whole: bool = False) -> None:
    kinds: tuple[type[int] | type[float], ...] = (int,) if is_whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise InvalidInput(f"must be {'an integer' if is_whole else 'a number'}", field=name)
    if not low <= value <= high:
        raise InvalidInput(f"must lie in [{low:g}, {high:g}], found {value}", field=name)


def _check_increasing(name: str, values: tuple[Any, ...], low: float, high: float) -> None:
    """Numbers strictly between the bounds, each larger than the one before."""
    for position, value in enumerate(values):
        _check_number(f"{name}[{position}]", value, low, high)
    inside = all(low < value < high for value in values)
    if not inside or any(a >= b for a, b in itertools.pairwise(values)):
        raise InvalidInput(f"must increase, strictly between {low:g} and {high:g}", field=name)


def _check_known(field: str, name: Any, known: list[str]) -> None:
    if name not in known:
        raise InvalidInput(f"{name!r:.60} is not known; known: {', '.join(known)}", field=field)
