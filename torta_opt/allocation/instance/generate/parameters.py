"""Everything a generated instance depends on besides its topology and its seed."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from torta_opt.allocation.instance.generate.hardware import GPUS, MODELS
from torta_opt.allocation.instance.generate.loading import PRESETS
from torta_opt.io import InvalidInput
from torta_opt.io.text import did_you_mean

# Inclusive range of every number; what is an integer here must be one.
_RANGES: dict[str, tuple[float, float]] = {
    "slots": (1, 100_000),
    "slot_ms": (1000, 3_600_000),
    "mean_latency_ms": (0, 10_000),
    "load": (0, 10),
    "node_spread": (0, 3),
    "weight_exponent": (0, 2),
    "short_share": (0, 1),
    "daily_wave": (0, 1),
    "peak_hour": (0, 24),
    "start_hour": (0, 24),
    "burst_sigma": (0, 2),
    "burst_memory": (0, 0.999),
    "burst_common": (0, 1),
    "mix_spread": (0, 2),
    "mix_drift": (0, 2),
    "mix_memory": (0, 0.9999),
    "surges": (0, 100),
    "surge_factor": (1, 100),
    "surge_slots": (1, 100_000),
    "surge_reach": (0, 1),
    "outages": (0, 100),
    "outage_slots": (1, 100_000),
    "batch": (1, 16),
    "initial_on": (0, 1),
    "hot_permille": (0, 1000),
    "short_deadline_slots": (0, 1000),
    "long_deadline_slots": (0, 1000),
    "slo_factor": (0, 1000),
    "host_kw": (0, 10),
    "idle_share": (0, 1),
    "pue": (1, 5),
    "provision_s": (0, 3600),
    "delivery_usd_per_kwh": (0, 10),
    "tariff_spread": (0, 1),
    "price_wave": (0, 1),
    "price_noise": (0, 2),
    "rent_share": (0, 10),
    "rent_spread": (0, 1),
    "registry_usd_per_gb": (0, 100),
    "egress_usd_per_gb": (0, 100),
    "time_usd_per_s": (0, 1000),
    "expiry_margin": (0, 1000),
}


@dataclass(frozen=True)
class PaperParameters:
    """What shapes an instance on a topology. docs/instances.md gives the source of every default.

    Fixed by the paper (arXiv 2507.10259): ``slots``, ``slot_ms``, the middle of each range in
    ``gpu_counts``, the mean latency of the four topologies. The paper leaves the rest open.

    Horizon and fleet
      slots, slot_ms          the last max ℓ slots bring no arrivals: they drain the queues
      gpu_counts              servers of each GPU type, over all regions
      node_spread             σ of log-normal node weights where a topology ships no traffic
      weight_exponent         node weight = (traffic of the node) ** this
      mean_latency_ms         mean over pairs of different regions that latencies are scaled to;
                              None: what the length of the links gives
      initial_on              share of each type that is ready before slot 0
      batch                   requests a server works on at once, where its memory holds them
    Demand
      load                    share of the fleet's time that the demand takes at the least
      model_shares            share of requests by model
      short_share             share of short requests; tokens_short, tokens_long are (in, out)
      daily_wave, peak_hour   amplitude and local solar hour of the peak of the daily wave
      start_hour              local solar hour of slot 0 at the mean longitude
      burst_sigma, burst_memory   log-normal AR(1) bursts by region: stationary σ, correlation
                              from slot to slot; ``burst_common`` of the variance is common to all
      mix_spread              σ of the log-normal spread of the class mix over regions
      mix_drift, mix_memory   the share of each model drifts likewise, everywhere alike: σ and
                              correlation from slot to slot
      surges                  number of surges; each multiplies the demand of a region and its
                              nearest ones, ``surge_reach`` of all regions, by ``surge_factor``
                              for ``surge_slots``
      outages                 number of regions that lose all servers for ``outage_slots``
    Service
      hot_permille            share of requests that find their prompt in a server's cache
      short_deadline_slots, long_deadline_slots    ℓ
      slo_factor              target response = this × mean service time of the class
      provision_s             machine and container, before a model loads onto a server that is off
      loading                 loading times: torta, cluster-2026 or cluster-2026-warm (loading.py)
    Money and power
      host_kw, idle_share, pue    power of the rest of the server; idle GPU power as a share of
                              the thermal design power; facility power per IT power
      delivery_usd_per_kwh    delivery and taxes on top of the wholesale price
      tariff_spread, price_wave, price_noise    σ by region; scale of the daily wave; σ by hour
      rent_share, rent_spread     rent as a share of the on-demand price; σ by region
      registry_usd_per_gb     moving a model's weights to a server
      egress_usd_per_gb       moving a request to another region
    Weights
      time_usd_per_s          v; κ and π follow from it (see weights.py)
      expiry_margin           π = this × the dearest way to serve
    """

    slots: int = 480
    slot_ms: int = 45_000
    gpu_counts: dict[str, int] = field(
        default_factory=lambda: {"A100": 50, "H100": 30, "RTX4090": 50, "V100": 70, "T4": 50}
    )
    node_spread: float = 0.5
    weight_exponent: float = 0.5
    mean_latency_ms: float | None = None
    initial_on: float = 0.6
    batch: int = 8
    load: float = 0.45
    model_shares: dict[str, float] = field(
        default_factory=lambda: {"llama-2-7b": 0.5, "llama-3-8b": 0.3, "llama-30b": 0.2}
    )
    short_share: float = 0.6
    tokens_short: tuple[int, int] = (512, 256)
    tokens_long: tuple[int, int] = (1024, 768)
    daily_wave: float = 0.5
    peak_hour: float = 14.0
    start_hour: float = 8.0
    burst_sigma: float = 0.2
    burst_memory: float = 0.9
    burst_common: float = 0.5
    mix_spread: float = 0.2
    mix_drift: float = 0.2
    mix_memory: float = 0.98
    surges: int = 0
    surge_factor: float = 3.0
    surge_slots: int = 40
    surge_reach: float = 0.2
    outages: int = 0
    outage_slots: int = 40
    hot_permille: int = 370
    short_deadline_slots: int = 2
    long_deadline_slots: int = 4
    slo_factor: float = 1.5
    provision_s: float = 60.0
    loading: str = "torta"
    host_kw: float = 0.15
    idle_share: float = 0.2
    pue: float = 1.56
    delivery_usd_per_kwh: float = 0.05
    tariff_spread: float = 0.1
    price_wave: float = 1.0
    price_noise: float = 0.15
    rent_share: float = 0.21
    rent_spread: float = 0.12
    registry_usd_per_gb: float = 0.09
    egress_usd_per_gb: float = 0.02
    time_usd_per_s: float = 1e-4
    expiry_margin: float = 1.25

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            _check_number(name, getattr(self, name), low, high, self._is_whole(name))
        if not isinstance(self.loading, str) or self.loading not in PRESETS:
            raise InvalidInput(f"must be one of {', '.join(PRESETS)}", field="loading")
        _check_table("gpu_counts", self.gpu_counts, GPUS, whole=True)
        _check_table("model_shares", self.model_shares, MODELS, whole=False)
        for name in ("tokens_short", "tokens_long"):
            _check_tokens(name, getattr(self, name))
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.slots <= self.drain_slots:
            raise InvalidInput(
                f"must exceed the {self.drain_slots} slots that drain the queues", field="slots"
            )

    @property
    def drain_slots(self) -> int:
        """Slots without arrivals at the end: the longest deadline."""
        return max(self.short_deadline_slots, self.long_deadline_slots)

    @classmethod
    def of(cls, **parameters: Any) -> PaperParameters:
        """Defaults with some replaced; an unknown name is refused."""
        known = [entry.name for entry in dataclasses.fields(cls)]
        for name in parameters:
            if name not in known:
                hint = did_you_mean(name, known)
                raise InvalidInput(f"is not a parameter{hint}", field=name)
        return cls(**parameters)

    @classmethod
    def _is_whole(cls, name: str) -> bool:
        return cls.__annotations__[name] == "int"


def _check_number(name: str, value: object, low: float, high: float, whole: bool) -> None:
    if value is None and name == "mean_latency_ms":
        return
    kinds: tuple[type[int] | type[float], ...] = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise InvalidInput(f"must be {'an integer' if whole else 'a number'}", field=name)
    if not low <= value <= high:
        raise InvalidInput(f"must lie in [{low:g}, {high:g}], found {value}", field=name)


def _check_table(name: str, table: object, known: dict[str, Any], whole: bool) -> None:
    """A non-empty table from known names to numbers ≥ 0, not all 0."""
    if not isinstance(table, dict) or not table:
        raise InvalidInput("must be a table of names and numbers", field=name)
    for key, value in table.items():
        if key not in known:
            raise InvalidInput(f"is not known; known: {', '.join(known)}", field=f"{name}.{key}")
        _check_number(f"{name}.{key}", value, 0, 1e6, whole)
    if not math.fsum(table.values()) > 0:
        raise InvalidInput("must not be all 0", field=name)


def _check_tokens(name: str, tokens: object) -> None:
    pair = tokens if isinstance(tokens, list | tuple) and len(tokens) == 2 else [None]
    if not all(type(n) is int and 1 <= n <= 100_000 for n in pair):
        raise InvalidInput("must be two integers in [1, 100000]: tokens in, out", field=name)
