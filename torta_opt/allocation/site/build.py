"""From a site file to an instance, and the account of how."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from torta_opt.allocation.instance.data import CANNOT_HOLD, Instance, System, Weights
from torta_opt.allocation.instance.generate.loading import loading_times
from torta_opt.allocation.instance.generate.parameters import PaperParameters
from torta_opt.allocation.instance.generate.prices import BYTES_PER_TOKEN_IN, BYTES_PER_TOKEN_OUT
from torta_opt.allocation.instance.generate.weights import with_default_weights
from torta_opt.allocation.instance.imports.electricity import (
    begin_of,
    read_prices,
    slot_prices,
    zones_of,
)
from torta_opt.allocation.instance.imports.fleet import server_names
from torta_opt.allocation.site.admitted import check_regions
from torta_opt.allocation.site.carbon import check_carbon, counts_unpaid_energy, with_site_carbon
from torta_opt.allocation.site.demand import check_shares, demand_of
from torta_opt.allocation.site.faults import Faults
from torta_opt.allocation.site.files import Site, read_site
from torta_opt.allocation.site.fleet import (
    FleetTables,
    fleet_of,
    interruptions,
    power_tables,
    rent_table,
)
from torta_opt.allocation.site.initial import initial_state
from torta_opt.allocation.site.places import latency_of, topology_of
from torta_opt.allocation.site.service import Chosen, choose_all, profiles_of, service_tables
from torta_opt.io import InvalidInput
from torta_opt.io.topology import Topology


@dataclass(frozen=True, eq=False)
class SiteReport:
    """What a site was turned into: the figures chosen, what was left out, what things cost."""

    chosen: tuple[Chosen, ...]
    left_out: tuple[str, ...]
    fleet: FleetTables
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        priced = [
            f"  {p.region}: {p.count} × {p.label}, {p.usd_per_hour:g} $ per server-hour "
            f"({p.how_priced})" + (", paid anyway" if p.is_fixed else "")
            for p in self.fleet.pools
        ]
        chosen = [f"  {each.line()}" for each in self.chosen]
        left_out = [f"  not used: {line}" for line in self.left_out]
        notes = [f"  note: {line}" for line in self.notes]
        return ["service:", *chosen, *left_out, "fleet:", *priced, *notes]

    def to_document(self) -> dict[str, Any]:
        return {
            "service": [dataclasses.asdict(each) for each in self.chosen],
            "not_used": list(self.left_out),
            "fleet": [
                {**dataclasses.asdict(pool), "barred": sorted(pool.barred)}
                for pool in self.fleet.pools
            ],
            "fixed_usd_per_hour": self.fleet.fixed_usd_per_hour,
            "notes": list(self.notes),
        }


def build_site(path: str | os.PathLike[str]) -> tuple[Instance, SiteReport]:
    """The instance of a site file and the account of how it was made.

    Raises InvalidInput with everything that is missing or wrong, one line each.
    """
    site = read_site(path)
    faults = Faults(site.file)
    _check_names(site, faults)
    check_shares(site, faults)
    notes: list[str] = []
    topology = topology_of(site, faults)
    latency = latency_of(site, topology, faults)
    profiles = profiles_of(site, faults)
    fleet = fleet_of(site, profiles, faults)
    types = tuple(dict.fromkeys(fleet.types))
    if not types and not faults.found:
        faults.add("fleet", "names no server", "[[fleet]] with a count above 0")
    chosen, left_out = choose_all(site, profiles, types, faults) if types else ([], [])
    check_regions(site, fleet.pools, chosen, faults, notes)
    unpaid = counts_unpaid_energy(site, fleet)
    power = power_tables(site, fleet, faults, unpaid)
    loading = _loading(site, fleet, chosen, faults)
    arrivals = _with_drain(site, demand_of(site, topology, faults, notes))
    price = _electricity(site, topology, fleet, len(arrivals), faults, notes)
    price = np.zeros_like(price) if unpaid else price
    check_carbon(site, fleet, faults, notes)
    _check_weights(site, faults)
    faults.stop()
    try:
        system = _system(site, topology, latency, fleet, chosen, {**power, **loading})
        mix = arrivals.sum(axis=(0, 1)).astype(float)
        system = _weighted(site, system, mix / max(mix.sum(), 1.0), price)
        instance = Instance(
            name=f"site/{site.document.name}",
            description=_description(site, chosen),
            system=system,
            initial=initial_state(site, fleet, system, arrivals),
            arrivals=arrivals,
            price_usd_per_kwh=price,
            up=interruptions(site, fleet, len(arrivals)),
        )
        instance = with_site_carbon(site, instance)
    except InvalidInput as error:  # of a file that the site names, if the error says so
        raise error.within(error.file or site.file) from None
    return instance, SiteReport(tuple(chosen), tuple(left_out), fleet, (*fleet.notes, *notes))


def deadline_slots(site: Site) -> list[int]:
    """Per class: its deadline, else its target, but at least a slot; rounded up to slots."""
    found = []
    for kind in site.document.classes:
        seconds = kind.deadline_s
        if seconds is None:
            seconds = max(kind.target_s, site.document.horizon.slot_seconds)
        found.append(-(-round(seconds * 1000) // site.slot_ms))
    return found


def _check_names(site: Site, faults: Faults) -> None:
    document = site.document
    for noun, entries in (
        ("regions", document.regions),
        ("models", document.models),
        ("classes", document.classes),
        ("gpus", document.gpus),
    ):
        names = [entry.name for entry in entries]
        for position, name in enumerate(names):
            if name in names[:position]:
                faults.add(f"{noun}[{position}].name", f"{name!r} comes twice")
    models = {model.name for model in document.models}
    for position, kind in enumerate(document.classes):
        if kind.model not in models:
            faults.add(
                f"classes[{position}].model",
                f"{kind.model!r} is not in [[models]]",
                f'[[models]] with name = "{kind.model}", weights_gb = ...',
            )
    classes = {kind.name for kind in document.classes}
    for position, figure in enumerate(document.service):
        if figure.class_ not in classes:
            faults.add(f"service[{position}].class", f"{figure.class_!r} is not in [[classes]]")


def _check_weights(site: Site, faults: Faults) -> None:
    classes = {kind.name for kind in site.document.classes}
    for name in site.document.weights.expiry_usd:
        if name not in classes:
            faults.add(f"weights.expiry_usd.{name}", "is not in [[classes]]")


def _loading(
    site: Site, fleet: FleetTables, chosen: Sequence[Chosen], faults: Faults
) -> dict[str, np.ndarray]:
    """``start_ms``, ``switch_ms``, ``start_usd``, ``switch_usd`` (K, M).

    A type can hold the models of the classes that it serves.
    """
    document = site.document
    models = [model.name for model in document.models]
    shape = (len(fleet.labels), len(models))
    start, switch = np.full(shape, CANNOT_HOLD), np.full(shape, CANNOT_HOLD)
    model_of = {kind.name: kind.model for kind in document.classes}
    held = {
        (label, model_of[each.class_])
        for each in chosen
        for label, type_, barred in zip(fleet.labels, fleet.types, fleet.barred, strict=True)
        if type_ == each.type and each.class_ not in barred
    }
    own = {(each.type, each.model): each for each in document.loading.times}
    for m, model in enumerate(document.models):
        if all(name != model.name for _, name in held):
            continue
        for k, (label, type_) in enumerate(zip(fleet.labels, fleet.types, strict=True)):
            if (label, model.name) not in held:
                continue
            given = own.get((type_, model.name)) or own.get((None, model.name))
            if given is not None:
                seconds = given.start_s, given.switch_s
            elif model.weights_gb is None:
                faults.add(
                    f"models[{m}].weights_gb",
                    "is missing: loading times follow from it",
                    "weights_gb = 16 (or [[loading.times]] with model, start_s, switch_s)",
                )
                break
            else:
                found = loading_times(document.loading.preset, model.weights_gb)
                seconds = found.start_s, found.switch_s
            start[k, m], switch[k, m] = (round(s * 1000) for s in seconds)
    usable = start != CANNOT_HOLD
    return {
        "start_ms": start,
        "switch_ms": switch,
        "start_usd": np.where(usable, document.loading.start_usd, 0.0),
        "switch_usd": np.where(usable, document.loading.switch_usd, 0.0),
    }


def _with_drain(site: Site, demand: np.ndarray) -> np.ndarray:
    """The demand, and after it as many slots without any as the longest deadline."""
    drain = max(deadline_slots(site), default=0)
    return np.concatenate([demand, np.zeros((drain, *demand.shape[1:]), np.int64)])


def _electricity(
    site: Site,
    topology: Topology,
    fleet: FleetTables,
    slots: int,
    faults: Faults,
    notes: list[str],
) -> np.ndarray:
    """(T, R) $ per kWh."""
    document = site.document
    price = np.zeros((slots, len(document.regions)))
    included = document.electricity.included_in
    paid = {pool.region for pool in fleet.pools if pool.buy not in included}
    if not paid and not counts_unpaid_energy(site, fleet):
        notes.append(
            "electricity is in the price of every server: energy is neither counted nor paid "
            "(electricity.included_in)"
        )
    if document.electricity.file is not None:
        with faults.catching("electricity.file"):
            table = read_prices(site.path(document.electricity.file))
            zones = {r.name: r.zone for r in document.regions if r.zone is not None}
            begin_ms, why = begin_of(table, document.electricity.start, site.start_ms)
            chosen = zones_of(table, topology, zones)
            price = slot_prices(table, chosen, begin_ms, slots, site.slot_ms)
            notes.append(f"electricity from {document.electricity.file}: {why}")
    for i, region in enumerate(document.regions):
        if region.electricity_usd_per_kwh is not None:
            price[:, i] = region.electricity_usd_per_kwh
        elif document.electricity.file is None and region.name in paid:
            faults.add(
                f"regions[{i}].electricity_usd_per_kwh",
                f"is missing, and you pay the electricity of servers in {region.name}",
                'electricity_usd_per_kwh = 0.12 (or [electricity] file = "prices.csv")',
            )
    return price


def _system(
    site: Site,
    topology: Topology,
    latency: np.ndarray,
    fleet: FleetTables,
    chosen: Sequence[Chosen],
    tables: dict[str, np.ndarray],
) -> System:
    document = site.document
    classes = tuple(kind.name for kind in document.classes)
    models = tuple(model.name for model in document.models)
    region = [topology.nodes.index(p.region) for p in fleet.pools for _ in range(p.count)]
    kind = [fleet.labels.index(p.label) for p in fleet.pools for _ in range(p.count)]
    names = server_names(topology.nodes, fleet.labels, np.array(region), np.array(kind))
    gigabytes = [
        (BYTES_PER_TOKEN_IN * c.input_tokens + BYTES_PER_TOKEN_OUT * c.output_tokens) / 1e9
        for c in document.classes
    ]
    away = (1 - np.eye(len(topology.nodes)))[:, :, None]
    per_gb = document.transfer.egress_usd_per_gb
    return System(
        slot_ms=site.slot_ms,
        hot_permille=document.hot_permille,
        regions=topology.nodes,
        models=models,
        types=fleet.labels,
        classes=classes,
        servers=tuple(name.replace(" ", "-") for name in names),
        class_model=np.array([models.index(c.model) for c in document.classes]),
        deadline_slots=np.array(deadline_slots(site)),
        slo_s=np.array([c.target_s for c in document.classes]),
        server_region=np.array(region),
        server_type=np.array(kind),
        latency_s=latency,
        transfer_usd=np.round(away * np.array(gigabytes) * per_gb, 9),
        rent_usd_per_hour=rent_table(site, fleet),
        weights=Weights(document.weights.time_usd_per_s, 0.0, np.zeros(len(classes))),
        **service_tables(chosen, fleet.types, fleet.barred, classes),
        **tables,
    )


def _weighted(site: Site, system: System, mix: np.ndarray, price: np.ndarray) -> System:
    """κ and π as the generator sets them, but where the site says otherwise."""
    entry = site.document.weights
    paper = PaperParameters.of(time_usd_per_s=entry.time_usd_per_s)
    share = mix if mix.sum() > 0 else np.full(mix.size, 1 / mix.size)
    found = with_default_weights(system, share, price.max(axis=0), paper).weights
    expiry = np.array(found.expiry_usd)
    for name, usd in entry.expiry_usd.items():
        expiry[system.classes.index(name)] = usd
    reroute = found.reroute_usd if entry.reroute_usd is None else entry.reroute_usd
    weights = dataclasses.replace(found, expiry_usd=expiry, reroute_usd=reroute)
    return dataclasses.replace(system, weights=weights)


def _description(site: Site, chosen: Sequence[Chosen]) -> str:
    told = "; ".join(f"{each.class_} on {each.type} {each.basis}" for each in chosen)
    start = np.datetime64(site.start_ms, "ms").astype("datetime64[s]")
    return (
        f"Built by torta-opt from a site file, {site.document.name}. Slot 0 begins {start}Z. "
        f"Service: {told}. Loading: {site.document.loading.preset}. Seed {site.document.seed}."
    )
