"""Servers of a site by region, type and way of buying, and what they cost.

A server type of the instance is a type of server and a way of buying it, because a rent belongs to
a region and a type: ``4xH100`` on demand, ``4xH100 reserved``, ``4xH100 spot``, ``4xH100 owned``.

    on_demand   rent while the server is on or loading
    spot        the same, and interruptions: outages at exponential times, drawn by the site's seed
    reserved    no rent in the instance: what is paid anyway changes no decision. The plan's bill
                adds it for every hour of the horizon
    owned       the same, with its price (depreciation) if it has one

An inventory of N GPUs becomes servers of the largest replica that figures exist for, as many as
fit, then of the next smaller. Models share these servers: each holds one model at a time, in as
many replicas as fit. This is how GPUs are shared between models without a rule of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from torta_opt.allocation.profiles.data import Profile, type_label
from torta_opt.allocation.site.admitted import barred_by_region
from torta_opt.allocation.site.faults import Faults
from torta_opt.allocation.site.files import Site
from torta_opt.allocation.site.gpus import PLACE, TDP_KW, power_of, split_type
from torta_opt.allocation.site.prices.offers import HOURS_PER_MONTH, Offers, read_offers
from torta_opt.allocation.site.schema import Fleet
from torta_opt.allocation.site.service import replica_sizes
from torta_opt.io.seeds import stream


@dataclass(frozen=True)
class Pool:
    """Servers alike in region, type and way of buying.

    usd_per_hour    of one server, whoever pays it how
    ready           servers that hold a model before slot 0, by model; None: as the site says
    barred          classes that may not be served in the region
    """

    region: str
    type: str
    count: int
    buy: str
    usd_per_hour: float
    how_priced: str
    ready: dict[str, int] | None = None
    interruptions_per_month: float = 0.0
    back_after_minutes: float = 10.0
    barred: frozenset[str] = frozenset()

    @property
    def gpus(self) -> int:
        return split_type(self.type)[0]

    @property
    def label(self) -> str:
        """The server type of the instance."""
        place = f"{PLACE}{self.region}" if self.barred else ""
        return f"{self.type}{place}{'' if self.buy == 'on_demand' else f' {self.buy}'}"

    @property
    def is_fixed(self) -> bool:
        """Whether it is paid whatever is done."""
        return self.buy in ("reserved", "owned")


@dataclass(frozen=True)
class FleetTables:
    """The fleet of an instance, ordered by region, then type."""

    pools: tuple[Pool, ...]
    labels: tuple[str, ...]
    types: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def barred(self) -> tuple[frozenset[str], ...]:
        """By label: classes that it may not serve."""
        of = {pool.label: pool.barred for pool in self.pools}
        return tuple(of[label] for label in self.labels)

    @property
    def fixed_usd_per_hour(self) -> float:
        """What reserved and owned servers cost an hour, on or off."""
        return math.fsum(p.usd_per_hour * p.count for p in self.pools if p.is_fixed)


def fleet_of(site: Site, profiles: Sequence[Profile], faults: Faults) -> FleetTables:
    """All pools of a site with their prices."""
    offers = _offers(site, faults)
    notes: list[str] = []
    pools: dict[tuple[str, str], Pool] = {}
    barred = barred_by_region(site, faults)
    for i, entry in enumerate(site.document.fleet):
        where = f"fleet[{i}]"
        if entry.region not in {region.name for region in site.document.regions}:
            faults.add(f"{where}.region", f"{entry.region!r} is not in [[regions]]")
            continue
        for type_, count in _servers(site, profiles, entry, where, faults, notes):
            priced = _price(site, entry, type_, offers, where, faults)
            pool = replace(_pool(entry, type_, count, priced), barred=barred[entry.region])
            key = pool.region, pool.label
            before = pools.get(key)
            if before is not None and replace(before, count=0) != replace(pool, count=0):
                faults.add(
                    where,
                    f"has other terms than an earlier entry of {pool.label} in {pool.region}: "
                    "a rent belongs to a region, a type and a way of buying",
                )
            elif count:
                pools[key] = replace(pool, count=count + (before.count if before else 0))
    order = {region.name: j for j, region in enumerate(site.document.regions)}
    kinds = list(dict.fromkeys((pool.label, pool.type) for pool in pools.values()))
    place = {label: k for k, (label, _) in enumerate(kinds)}
    ordered = sorted(pools.values(), key=lambda p: (order[p.region], place[p.label]))
    for position, offer in enumerate(offers):
        left = ", ".join(f"{why} ({n})" for why, n in offer.left_out.items())
        if left:
            notes.append(f"prices[{position}].file: left out: {left}")
    labels, types = tuple(k[0] for k in kinds), tuple(k[1] for k in kinds)
    return FleetTables(tuple(ordered), labels, types, tuple(notes))


def _offers(site: Site, faults: Faults) -> list[Offers]:
    found = []
    for i, entry in enumerate(site.document.prices):
        with faults.catching(f"prices[{i}].file"):
            found.append(read_offers(entry.kind, site.path(entry.file), entry.chosen))
    return found


def _servers(
    site: Site,
    profiles: Sequence[Profile],
    entry: Fleet,
    where: str,
    faults: Faults,
    notes: list[str],
) -> list[tuple[str, int]]:
    """(type, servers) of an entry; an inventory is divided from the largest replica down."""
    if entry.type is not None:
        return [(entry.type, entry.count or 0)]
    gpu, left = entry.gpu or "", entry.gpus or 0
    sizes = replica_sizes(site, profiles, gpu)
    if not sizes:
        faults.add(
            where,
            f"no figures say how {gpu} serves a model",
            f'[[service]] with type = "{gpu}", class, requests_per_s, latency_s',
        )
        return []
    found = []
    for size in sizes:
        if left >= size:
            found.append((type_label(gpu, size), left // size))
            left %= size
    shown = ", ".join(f"{n} × {t}" for t, n in found)
    rest = f", {left} left over" if left else ""
    notes.append(f"{entry.region}: {entry.gpus} {gpu} become {shown or 'no server'}{rest}")
    return found


def _price(
    site: Site, entry: Fleet, type_: str, offers: list[Offers], where: str, faults: Faults
) -> tuple[float, str]:
    """($ per server-hour, how it is known)."""
    gpus, gpu = split_type(type_)
    if entry.usd_per_server_hour is not None:
        return entry.usd_per_server_hour, "site file"
    if entry.usd_per_gpu_hour is not None:
        return round(entry.usd_per_gpu_hour * gpus, 6), f"site file, {gpus} × per GPU"
    if entry.buy == "owned":
        return 0.0, "owned"
    region = next(r for r in site.document.regions if r.name == entry.region)
    for offer, source in zip(offers, site.document.prices, strict=False):
        found = offer.find(region.cloud or region.name, gpu, gpus)
        if found is not None and source.buy == entry.buy:
            term = f", {source.chosen}" if entry.buy == "reserved" else ""
            return found[0], f"{source.file}{term}: {found[1]}"
    tried = ""
    if offers:
        kind = {"spot": "spot price", "reserved": "price of a reservation"}.get(entry.buy, "price")
        tried = f" (no {kind} of {gpu} in {region.cloud or region.name} in the price files)"
    faults.add(
        f"{where}.usd_per_server_hour",
        f"is missing: what one {type_} costs in {entry.region}{tried}",
        "usd_per_server_hour = ... (of the whole server) or usd_per_gpu_hour = ... (of one GPU)",
    )
    return 0.0, "missing"


def _pool(entry: Fleet, type_: str, count: int, priced: tuple[float, str]) -> Pool:
    return Pool(
        entry.region,
        type_,
        count,
        entry.buy,
        *priced,
        ready=entry.ready,
        interruptions_per_month=entry.interruptions_per_month or 0.0,
        back_after_minutes=entry.back_after_minutes or 10.0,
    )


def power_tables(
    site: Site, fleet: FleetTables, faults: Faults, unpaid: bool = False
) -> dict[str, np.ndarray]:
    """``idle_kw`` and ``peak_kw`` (K,): 0 where the rent includes electricity, unless ``unpaid``
    energy is counted too."""
    idle, peak = np.zeros(len(fleet.labels)), np.zeros(len(fleet.labels))
    included = site.document.electricity.included_in
    own = {gpu.name: gpu for gpu in site.document.gpus}
    buy_of = {pool.label: pool.buy for pool in fleet.pools}
    for k, (label, type_) in enumerate(zip(fleet.labels, fleet.types, strict=True)):
        if buy_of[label] in included and not unpaid:
            continue
        gpus, gpu = split_type(type_)
        entry = own.get(gpu)
        tdp = entry.tdp_kw if entry is not None and entry.tdp_kw is not None else TDP_KW.get(gpu)
        if entry is not None and entry.idle_kw is not None and entry.peak_kw is not None:
            each = entry.idle_kw, entry.peak_kw
        elif tdp is not None:
            each = power_of(tdp)
        else:
            faults.add(
                "gpus",
                f"the power of {gpu} is not known, and its energy counts",
                f'[[gpus]] with name = "{gpu}", tdp_kw = ... (or idle_kw and peak_kw of one GPU)',
            )
            continue
        idle[k], peak[k] = (round(gpus * kw, 6) for kw in each)
    return {"idle_kw": idle, "peak_kw": peak}


def rent_table(site: Site, fleet: FleetTables) -> np.ndarray:
    """(R, K) $ per server-hour that depend on what is done."""
    names = [region.name for region in site.document.regions]
    rent = np.zeros((len(names), len(fleet.labels)))
    for pool in fleet.pools:
        if not pool.is_fixed:
            rent[names.index(pool.region), fleet.labels.index(pool.label)] = pool.usd_per_hour
    return rent


def interruptions(site: Site, fleet: FleetTables, slots: int) -> np.ndarray:
    """(T, S) bool: False while a spot server is gone.

    A server that is there is taken away at a rate of ``interruptions_per_month`` / 730 h, whether
    it is on or off, and comes back ``back_after_minutes`` later; both are rounded up to slots.
    """
    servers = sum(pool.count for pool in fleet.pools)
    up = np.ones((slots, servers), bool)
    rng = stream(site.document.seed, "site spot")
    slot_h = site.slot_ms / 3_600_000
    first = 0
    for pool in fleet.pools:
        if pool.interruptions_per_month > 0:
            away = max(1, math.ceil(pool.back_after_minutes / 60 / slot_h))
            mean_slots = HOURS_PER_MONTH / pool.interruptions_per_month / slot_h
            for s in range(first, first + pool.count):
                t = rng.exponential(mean_slots)
                while t < slots:
                    up[int(t) : int(t) + away, s] = False
                    t = int(t) + away + rng.exponential(mean_slots)
        first += pool.count
    return up
