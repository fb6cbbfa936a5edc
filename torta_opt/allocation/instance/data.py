"""The data of an allocation instance: frozen and validated.

Sets (by position)  slot t < T · region i, j < R · model m < M · server type k < K · server s < S
                    · request class c < C
Units               counts are integers; times that a rule tests are integer milliseconds;
                    latencies are seconds; money is US dollars; power is kilowatts.

Arrays are read-only. Building any of these objects checks every rule of ``rules.py`` and raises
``InvalidInput`` naming the field; the field names are those of the instance file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from torta_opt.allocation.instance import rules
from torta_opt.io.errors import InvalidInput
from torta_opt.io.text import html_table, one_line

if TYPE_CHECKING:
    import pandas as pd

OFF = -1  # model of a server that is off
INCOMPATIBLE = 0  # server_ms of a class that a type cannot serve
CANNOT_HOLD = -1  # start_ms and switch_ms of a model that a type cannot hold


@dataclass(frozen=True, eq=False)
class Weights:
    """Prices that turn a schedule into one number; every term of the cost has exactly one.

    Parameters
    ----------
    time_usd_per_s
        v, dollars per request-second of response (network, waiting, service).
    reroute_usd
        κ, dollars per re-routed request.
    expiry_usd
        π, dollars per expired request, shape (C,).
    frobenius_usd
        α, dollars per unit of ‖A_t − A_{t−1}‖_F²; 0 except in the paper's objective.
    energy_factor, rent_factor, transfer_factor, loading_factor
        Factors on the dollars of energy, of rent, of data transfer, and of starts and switches; 1
        except in the paper's objective.

    Raises
    ------
    InvalidInput
        If a value is out of range.

    Examples
    --------
    >>> from torta_opt import Weights
    >>> weights = Weights(time_usd_per_s=0.001, reroute_usd=0.0, expiry_usd=[0.5])
    >>> weights.scaled(4).time_usd_per_s
    0.004
    """

    time_usd_per_s: float
    reroute_usd: float
    expiry_usd: np.ndarray
    frobenius_usd: float = 0.0
    energy_factor: float = 1.0
    rent_factor: float = 1.0
    transfer_factor: float = 1.0
    loading_factor: float = 1.0

    def __post_init__(self) -> None:
        _freeze(self, expiry_usd=float)
        rules.check_weights(self)

    def __repr__(self) -> str:
        return f"<Weights: {self.time_usd_per_s:g} $/s, re-routing {self.reroute_usd:g} $>"

    def scaled(self, factor: float) -> Weights:
        """The weights with time, re-routing and expiry ``factor`` times as expensive."""
        return dataclasses.replace(
            self,
            time_usd_per_s=self.time_usd_per_s * factor,
            reroute_usd=self.reroute_usd * factor,
            expiry_usd=self.expiry_usd * factor,
            frobenius_usd=self.frobenius_usd * factor,
        )


@dataclass(frozen=True, eq=False)
class System:
    """What does not change over the horizon: the part of an instance a policy knows beforehand.

    slot_ms           slot length Δ
    hot_permille      hot share h in thousandths: of z[t,s,c], min(z[t,s,c], ⌊h·z[t−1,s,c]/1000⌋)
                      requests are hot
    regions, models, types, classes, servers    unique names
    class_model       (C,) m(c)
    deadline_slots    (C,) ℓ[c] ≥ 0: arrived in t0 and unserved by the end of t0+ℓ[c] expires
    slo_s             (C,) target response
    server_region, server_type    (S,) j(s), k(s)
    latency_s         (R, R) L[i,j]; NaN forbids the pair (data residency)
    transfer_usd      (R, R, C) g[i,j,c] per request
    service_s         (K, C) σ; NaN where incompatible
    hot_service_s     (K, C) σʰ ≤ σ; NaN where incompatible
    server_ms         (K, C) u, server time one request takes; 0 where incompatible
    rent_usd_per_hour (R, K) r[j,k], 0 if owned
    idle_kw, peak_kw  (K,)
    start_ms, switch_ms     (K, M) loading time when m is started or switched to; −1 where type k
                            cannot hold model m
    start_usd, switch_usd   (K, M) fixed cost of each
    """

    slot_ms: int
    hot_permille: int
    regions: tuple[str, ...]
    models: tuple[str, ...]
    types: tuple[str, ...]
    classes: tuple[str, ...]
    servers: tuple[str, ...]
    class_model: np.ndarray
    deadline_slots: np.ndarray
    slo_s: np.ndarray
    server_region: np.ndarray
    server_type: np.ndarray
    latency_s: np.ndarray
    transfer_usd: np.ndarray
    service_s: np.ndarray
    hot_service_s: np.ndarray
    server_ms: np.ndarray
    rent_usd_per_hour: np.ndarray
    idle_kw: np.ndarray
    peak_kw: np.ndarray
    start_ms: np.ndarray
    switch_ms: np.ndarray
    start_usd: np.ndarray
    switch_usd: np.ndarray
    weights: Weights

    def __post_init__(self) -> None:
        for names in ("regions", "models", "types", "classes", "servers"):
            object.__setattr__(self, names, tuple(getattr(self, names)))
        integers = (
            "class_model deadline_slots server_region server_type server_ms start_ms switch_ms"
        )
        floats = (
            "slo_s latency_s transfer_usd service_s hot_service_s rent_usd_per_hour "
            "idle_kw peak_kw start_usd switch_usd"
        )
        _freeze(
            self, **dict.fromkeys(integers.split(), int), **dict.fromkeys(floats.split(), float)
        )
        rules.check_system(self)

    def __repr__(self) -> str:
        sizes = f"{len(self.regions)} regions, {len(self.servers)} servers"
        return f"<System: {sizes}, {len(self.models)} models, {len(self.classes)} classes>"

    @property
    def slot_s(self) -> float:
        return self.slot_ms / 1000

    @property
    def slot_hours(self) -> float:
        return self.slot_ms / 3_600_000

    @cached_property
    def allowed(self) -> np.ndarray:
        """(R, R) bool: requests of region i may be routed to region j."""
        return _readonly(~np.isnan(self.latency_s))

    @cached_property
    def compatible(self) -> np.ndarray:
        """(K, C) bool: type k can serve class c."""
        return _readonly(self.server_ms != INCOMPATIBLE)

    @cached_property
    def holds(self) -> np.ndarray:
        """(K, M) bool: type k can hold model m."""
        return _readonly(self.start_ms != CANNOT_HOLD)

    @cached_property
    def usable_by(self) -> np.ndarray:
        """(K, C) bool: type k can serve class c within one slot."""
        return _readonly(self.compatible & (self.server_ms <= self.slot_ms))


@dataclass(frozen=True, eq=False)
class Initial:
    """The state left by the slot before the first.

    model       (S,) model of each server, −1 if off
    loading_ms  (S,) loading time left, 0 if ready or off
    backlog     (R, C, ages) requests of class c waiting in region j that arrived a+1 slots before
                slot 0; a+1 ≤ ℓ[c]
    processing  (S, C) requests processed in the last slot
    routing     (R, R) requests routed from i to j in the last slot
    """

    model: np.ndarray
    loading_ms: np.ndarray
    backlog: np.ndarray
    processing: np.ndarray
    routing: np.ndarray

    def __post_init__(self) -> None:
        _freeze(self, model=int, loading_ms=int, backlog=int, processing=int, routing=int)

    def __repr__(self) -> str:
        on = int((self.model != OFF).sum())
        return f"<Initial: {on} servers on, {int(self.backlog.sum())} requests waiting>"

    @classmethod
    def all_off(cls, servers: int, regions: int, classes: int) -> Initial:
        """Every server off, nothing waiting, no last slot."""
        return cls(
            model=np.full(servers, OFF),
            loading_ms=np.zeros(servers, int),
            backlog=np.zeros((regions, classes, 0), int),
            processing=np.zeros((servers, classes), int),
            routing=np.zeros((regions, regions), int),
        )


@dataclass(frozen=True, eq=False)
class Instance:
    """An allocation instance: a system, its initial state, and T slots of demand and prices.

    Parameters
    ----------
    name
        Name of the instance.
    system
        What does not change over the horizon: regions, servers, models, classes, weights.
    initial
        The state left by the slot before the first.
    arrivals
        (T, R, C) D[t,i,c], requests of class c that arise in region i in slot t.
    price_usd_per_kwh
        (T, R) electricity price; may be negative.
    up
        (T, S) bool, False during an outage of the server.
    description
        Free text.
    carbon_g_per_kwh
        (T, R) g CO₂ per kWh, or None if not known. It is no part of the cost; see ``carbon``.

    Raises
    ------
    InvalidInput
        If an array has a wrong shape or a value breaks a rule; the message names the field.

    Examples
    --------
    >>> import torta_opt
    >>> instance = torta_opt.generate("small/loading")
    >>> instance.slots, instance.system.regions, instance.requests
    (5, ('east', 'west'), 7)
    >>> instance.cut(0, 2).arrivals.shape  # the first two slots
    (2, 2, 1)
    """

    name: str
    system: System
    initial: Initial
    arrivals: np.ndarray
    price_usd_per_kwh: np.ndarray
    up: np.ndarray
    description: str = ""
    carbon_g_per_kwh: np.ndarray | None = None

    def __post_init__(self) -> None:
        _freeze(self, arrivals=int, price_usd_per_kwh=float, up=bool)
        if self.carbon_g_per_kwh is not None:
            _freeze(self, carbon_g_per_kwh=float)
        rules.check_instance(self)

    @property
    def slots(self) -> int:
        return self.arrivals.shape[0]

    @property
    def requests(self) -> int:
        """Requests that arrive within the horizon or wait at its start."""
        return int(self.arrivals.sum() + self.initial.backlog.sum())

    def cut(self, start: int, stop: int) -> Instance:
        """Slots ``start`` ≤ t < ``stop`` alone, from the same initial state.

        What is left in a queue at the end of the cut expires there.
        """
        if not 0 <= start < stop <= self.slots:
            raise InvalidInput(
                f"{start}:{stop} must satisfy 0 <= A < B <= {self.slots}", field="slots"
            )
        window = slice(start, stop)
        carbon = self.carbon_g_per_kwh
        return dataclasses.replace(
            self,
            name=f"{self.name}[{start}:{stop}]",
            arrivals=self.arrivals[window],
            price_usd_per_kwh=self.price_usd_per_kwh[window],
            up=self.up[window],
            carbon_g_per_kwh=None if carbon is None else carbon[window],
        )

    def with_weights(self, weights: Weights) -> Instance:
        """The same instance with other weights."""
        return dataclasses.replace(self, system=dataclasses.replace(self.system, weights=weights))

    def to_frame(self, table: str = "arrivals") -> pd.DataFrame:
        """One table of the instance as a data frame.

        Parameters
        ----------
        table
            ``settings``, ``regions``, ``models``, ``classes``, ``types``, ``loading``, ``service``,
            ``servers``, ``latency``, ``prices``, ``arrivals``, ``rent``, ``transfer``, ``outages``,
            ``backlog``, ``processing``, ``routing`` or ``carbon``: the tables that ``torta-opt
            tables`` writes, with the same columns and units.

        Raises
        ------
        InvalidInput
            If there is no such table.

        Examples
        --------
        >>> import torta_opt
        >>> frame = torta_opt.generate("small/loading").to_frame("arrivals")
        >>> int(frame["requests"].sum()), list(frame.columns)
        (7, ['slot', 'region', 'class', 'requests'])
        """
        from torta_opt.allocation.instance import frames

        return frames.to_frame(self, table)

    @classmethod
    def from_frames(cls, frames: Mapping[str, pd.DataFrame]) -> Instance:
        """The instance that data frames describe: the reverse of ``to_frame``.

        Parameters
        ----------
        frames
            Data frames by table. ``rent``, ``transfer``, ``outages``, ``backlog``, ``processing``,
            ``routing`` and ``carbon`` may be missing; further columns are left alone.

        Raises
        ------
        InvalidInput
            If a table or a column is missing, or a value breaks a rule; the message names frame,
            row (counted from 1) and column.

        Examples
        --------
        >>> import torta_opt
        >>> instance = torta_opt.generate("small/loading")
        >>> tables = "settings regions models classes types loading service servers latency"
        >>> names = [*tables.split(), "prices", "arrivals"]
        >>> frames = {name: instance.to_frame(name) for name in names}
        >>> frames["arrivals"]["requests"] *= 2
        >>> torta_opt.Instance.from_frames(frames).requests
        14
        """
        from torta_opt.allocation.instance.frames import from_frames

        return from_frames(frames)

    def _size(self) -> dict[str, str]:
        system = self.system
        return {
            "slots": f"{self.slots} of {system.slot_s:g} s",
            "regions": f"{len(system.regions)}",
            "servers": f"{len(system.servers):,}",
            "classes": f"{len(system.classes)}",
            "requests": f"{self.requests:,}",
        }

    def __repr__(self) -> str:
        return one_line(f"Instance {self.name!r}", self._size())

    def _repr_html_(self) -> str:
        return html_table(self.name, self._size())


def _freeze(owner: object, **kinds: type) -> None:
    """Turn the named fields of a frozen data class into read-only arrays of the given kind."""
    for field, kind in kinds.items():
        object.__setattr__(owner, field, rules.as_array(getattr(owner, field), kind, field))


def _readonly(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array
