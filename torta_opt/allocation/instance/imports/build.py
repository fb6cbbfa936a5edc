"""From a trace to an instance."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from torta_opt.allocation.instance.data import Initial, Instance, System, Weights
from torta_opt.allocation.instance.generate import fleet as generator
from torta_opt.allocation.instance.generate.parameters import PaperParameters
from torta_opt.allocation.instance.generate.prices import (
    BYTES_PER_TOKEN_IN,
    BYTES_PER_TOKEN_OUT,
    electricity_prices,
)
from torta_opt.allocation.instance.generate.weights import with_default_weights
from torta_opt.allocation.instance.imports import fleet
from torta_opt.allocation.instance.imports.demand import (
    Demand,
    TokenClass,
    count_demand,
    scaled,
    spread,
)
from torta_opt.allocation.instance.imports.electricity import (
    begin_of,
    read_prices,
    slot_prices,
    zones_of,
)
from torta_opt.allocation.instance.imports.gpu_prices import (
    Rents,
    RentTable,
    read_rents,
    rent_table,
)
from torta_opt.allocation.instance.imports.origins import regions_of
from torta_opt.allocation.instance.imports.parameters import ImportParameters
from torta_opt.allocation.instance.imports.readers import Trace, importer, open_trace
from torta_opt.allocation.instance.imports.regions import Regions, build_regions, origin_shares
from torta_opt.allocation.instance.imports.report import ClassReport, ImportReport
from torta_opt.allocation.instance.imports.rows import Progress
from torta_opt.allocation.instance.utilisation import least_load, load_of
from torta_opt.io import InvalidInput
from torta_opt.io.seeds import check_seed

CHOSEN_BY = "by topology, latency and regions"


def import_trace(
    kind: str,
    path: str | os.PathLike[str],
    *,
    seed: int = 0,
    name: str | None = None,
    progress: Progress | None = None,
    **parameters: Any,
) -> tuple[Instance, ImportReport]:
    """An instance made from a request trace, and the account of how.

    ``kind`` is one that ``torta-opt methods`` lists; ``parameters`` are those of
    ``ImportParameters``, each with a default. The same file, seed and parameters give the same
    instance. ``progress`` is called with what has been read and how much there is. Raises
    InvalidInput, naming file, line and rule.

    >>> instance, report = import_trace("azure", "AzureLLMInferenceTrace_code.csv", load=0.5)
    >>> print(*report.lines(), sep="\\n")
    """
    began = time.perf_counter()
    importer(kind)  # refuses what it does not know before anything is read
    check_seed(seed)
    chosen = ImportParameters.of(**parameters)
    regions = build_regions(chosen, chosen.paper(slots=chosen.deadline_slots + 1), seed)
    with open_trace(kind, path, chosen, seed, progress) as trace:
        shares = origin_shares(regions, chosen.origins)
        told = _origin_regions(chosen, trace, regions, path)
        by_region = shares if told is not None or _asks_by_client(chosen, trace) else None
        demand = count_demand(trace.spool, trace.part, chosen, trace.models, by_region, seed, told)
    rents = None
    if chosen.gpu_prices is not None:
        rents = read_rents(chosen.gpu_prices, chosen.gpu_places, chosen.spot)
    plan = _Plan(kind, Path(path).name, chosen, seed, trace, regions, shares, demand, rents)
    instance, factor = _build(plan, name or f"import/{kind}/{_stem(path)}")
    return instance, _report(plan, instance, factor, time.perf_counter() - began)


@dataclass(frozen=True, eq=False)
class _Plan:
    """Everything that was read and chosen."""

    kind: str
    file: str
    parameters: ImportParameters
    seed: int
    trace: Trace
    regions: Regions
    shares: np.ndarray
    demand: Demand
    rents: Rents | None

    @property
    def slots(self) -> int:
        return self.trace.part.slots + self.parameters.deadline_slots

    @property
    def by_client(self) -> bool:
        return _asks_by_client(self.parameters, self.trace)

    @property
    def requests_used(self) -> int:
        return int(self.demand.counts.sum())


def _origin_regions(
    parameters: ImportParameters, trace: Trace, regions: Regions, path: str | os.PathLike[str]
) -> np.ndarray | None:
    """(origins,) region of each origin that the trace names; None if it is not asked for them."""
    if parameters.origin is None:
        return None
    places = {name: j for j, name in enumerate(regions.topology.nodes)}
    return regions_of(trace.origins, parameters.origin, places, path, CHOSEN_BY)


def _asks_by_client(parameters: ImportParameters, trace: Trace) -> bool:
    if parameters.origins == "client" and not trace.has_clients:
        raise InvalidInput("cannot be client: the trace names no clients", field="origins")
    return trace.has_clients if parameters.origins is None else parameters.origins == "client"


def _build(plan: _Plan, name: str) -> tuple[Instance, float]:
    """(instance, copies of each request)."""
    paper = _paper(plan)
    classes = plan.demand.classes
    priced = None if plan.rents is None else {gpu for _, gpu in plan.rents}
    gpus = fleet.usable_gpus(classes, plan.parameters, paper, priced)
    base = {gpu: paper.gpu_counts[gpu] for gpu in gpus}
    draft = _system(plan, paper, base)
    requests = plan.demand.counts.sum(axis=(0, 1))
    size = fleet.choose_size(
        plan.parameters,
        base,
        lambda counts: least_load(draft, requests / plan.slots, np.array(list(counts.values()))),
        len(plan.shares),
    )
    price = _prices(plan, paper)
    mix = requests / requests.sum()
    system = _system(plan, paper, size.gpu_counts)
    system = with_default_weights(system, mix, price.max(axis=0), paper)
    instance = Instance(
        name=name,
        description=_description(plan),
        system=system,
        initial=_initial(system, mix, paper, plan.seed),
        arrivals=_arrivals(plan, size.demand_factor),
        price_usd_per_kwh=price,
        up=np.ones((plan.slots, len(system.servers)), bool),
    )
    return instance, size.demand_factor


def _paper(plan: _Plan) -> PaperParameters:
    """The generator's parameters with what the trace fixes."""
    models = dict.fromkeys((kind.model for kind in plan.demand.classes), 1.0)
    shortest = min(plan.demand.classes, key=lambda kind: kind.input_tokens + kind.output_tokens)
    tokens = tuple(
        min(max(round(tokens), 1), 100_000)
        for tokens in (shortest.input_tokens, shortest.output_tokens)
    )
    more: dict[str, Any] = {"start_hour": _local_hour(plan)} if plan.trace.has_clock else {}
    return plan.parameters.paper(
        slots=plan.slots,
        model_shares=models,
        tokens_short=tokens,
        tokens_long=tokens,
        hot_permille=_hot_permille(plan),
        **more,
    )


def _hot_permille(plan: _Plan) -> int:
    for known in (plan.parameters.hot_permille, plan.trace.hot_permille):
        if known is not None:
            return known
    return PaperParameters().hot_permille


def _local_hour(plan: _Plan) -> float:
    """Local solar hour of slot 0 at the mean longitude of the regions."""
    utc = plan.trace.part.start_ms / 3_600_000 % 24
    return (utc + plan.regions.mean_longitude / 15) % 24


def _system(plan: _Plan, paper: PaperParameters, gpu_counts: dict[str, int]) -> System:
    topology, classes = plan.regions.topology, plan.demand.classes
    types, models = tuple(gpu_counts), tuple(paper.model_shares)
    narrowed = dataclasses.replace(paper, gpu_counts=gpu_counts)
    rents = _rents(plan, narrowed)
    region, kind = fleet.place_servers(
        list(gpu_counts.values()), plan.regions.weights, rents.is_offered, plan.seed
    )
    tables = fleet.service_tables(classes, types, paper)
    return System(
        slot_ms=paper.slot_ms,
        hot_permille=paper.hot_permille,
        regions=topology.nodes,
        models=models,
        types=types,
        classes=tuple(entry.name for entry in classes),
        servers=fleet.server_names(topology.nodes, types, region, kind),
        class_model=np.array([models.index(entry.model) for entry in classes]),
        deadline_slots=np.full(len(classes), plan.parameters.deadline_slots),
        slo_s=fleet.target_seconds(tables["service_s"], kind, paper.slo_factor),
        server_region=region,
        server_type=kind,
        latency_s=plan.regions.latency_s,
        transfer_usd=_transfer_usd(classes, len(topology.nodes), paper),
        rent_usd_per_hour=rents.usd_per_hour,
        weights=Weights(paper.time_usd_per_s, 0.0, np.zeros(len(classes))),
        **tables,
        **generator.power_tables(narrowed),
        **generator.loading_tables(narrowed),
    )


def _rents(plan: _Plan, paper: PaperParameters) -> RentTable:
    """Rents as given; for a type without any, and without a file, the generator's.

    The generator takes a share of the list price, about that of spot machines; beside list prices
    from a file it is the list price.
    """
    gpus, spot = list(paper.gpu_counts), plan.parameters.spot
    if plan.rents is not None and not spot:
        paper = dataclasses.replace(paper, rent_share=1.0)
    made = generator.rent_table(len(plan.shares), paper, plan.seed)
    if plan.rents is None:
        return RentTable(made, np.ones(made.shape, bool))
    file = os.fspath(plan.parameters.gpu_prices or "")
    table = rent_table(plan.rents, plan.regions.topology, gpus, file)
    usd = np.where(np.isnan(table.usd_per_hour), made, table.usd_per_hour)
    return RentTable(usd, table.is_offered)


def _transfer_usd(
    classes: tuple[TokenClass, ...], regions: int, paper: PaperParameters
) -> np.ndarray:
    """(R, R, C) $ per request sent to another region: its bytes at the egress price."""
    gigabytes = np.array(
        [
            BYTES_PER_TOKEN_IN * kind.input_tokens + BYTES_PER_TOKEN_OUT * kind.output_tokens
            for kind in classes
        ]
    )
    per_class = gigabytes / 1e9 * paper.egress_usd_per_gb
    return np.round((1 - np.eye(regions))[:, :, None] * per_class, 9)


def _prices(plan: _Plan, paper: PaperParameters) -> np.ndarray:
    """(T, R) $ per kWh: from the file if there is one, else the generator's."""
    parameters, topology = plan.parameters, plan.regions.topology
    if parameters.prices is None:
        return electricity_prices(topology, paper, plan.seed)
    table = read_prices(parameters.prices)
    zones = zones_of(table, topology, parameters.zones)
    clock_ms = plan.trace.part.start_ms if plan.trace.has_clock else None
    begin_ms, why = begin_of(table, parameters.price_start, clock_ms)
    begin = str(np.datetime64(begin_ms, "ms").astype("datetime64[s]")).replace("T", " ")
    plan.trace.tally.notes.append(f"electricity prices from {begin} UTC on: {why}")
    return slot_prices(table, zones, begin_ms, plan.slots, paper.slot_ms)


def _arrivals(plan: _Plan, factor: float) -> np.ndarray:
    """(T, R, C): scaled, spread over the origins, and followed by the slots that drain."""
    counts = spread(scaled(plan.demand.counts, factor, plan.seed), plan.shares, plan.seed)
    arrivals = np.zeros((plan.slots, *counts.shape[1:]), np.int64)
    arrivals[: counts.shape[0]] = counts
    return arrivals


def _initial(system: System, mix: np.ndarray, paper: PaperParameters, seed: int) -> Initial:
    """Part of the fleet ready with models in demand; nothing waiting, sent or served yet."""
    work = np.zeros((len(system.types), len(system.models)))
    np.add.at(work.T, system.class_model, (mix * system.server_ms).T)
    start = Initial.all_off(len(system.servers), len(system.regions), len(system.classes))
    model = generator.initial_models(system.server_type, work, paper, seed)
    return dataclasses.replace(start, model=model)


# --- words --------------------------------------------------------------------------------------


def _stem(path: str | os.PathLike[str]) -> str:
    """Name of the file without its ending, fit for the name of an instance."""
    stem = Path(path).name.removesuffix(".gz").rpartition(".")[0] or Path(path).resolve().name
    printable = "".join(char if char.isprintable() else "_" for char in stem)
    return printable[:120]


def _description(plan: _Plan) -> str:
    changed = [f"{name}={value!s:.200}" for name, value in plan.parameters.changed().items()]
    parts = [
        f"{plan.kind} trace {plan.file}: {_part(plan)}",
        f"regions: {plan.regions.topology.source}",
        f"seed {plan.seed}",
        *changed,
    ]
    return "Imported by torta-opt. " + "; ".join(parts) + "."


def _part(plan: _Plan) -> str:
    trace = plan.trace
    if trace.part.start_ms == trace.first_ms and not trace.part.reason:
        return "the whole trace"
    begin_s = (trace.part.start_ms - trace.first_ms) / 1000
    end_s = begin_s + trace.part.slots * trace.part.slot_ms / 1000
    return f"seconds {begin_s:.12g} to {end_s:.12g} of the trace, {trace.part.reason}"


def _origins(plan: _Plan) -> str:
    if plan.parameters.origin is not None:
        return f"origins from the column {plan.parameters.origin}"
    if plan.by_client:
        return "each client asks from one region"
    if plan.parameters.origins == "uniform":
        return "origins drawn uniformly"
    given = isinstance(plan.parameters.origins, Mapping)
    return "origins drawn by the weights " + ("given" if given else "of the regions")


def _notes(plan: _Plan, system: System) -> tuple[str, ...]:
    notes = list(plan.trace.tally.notes)
    stand_ins = {name.lower() for name in plan.parameters.model_map}
    drawn = [name for name in plan.trace.models if name.lower() not in stand_ins]
    if drawn:
        models = ", ".join(plan.parameters.model_shares)
        notes.append(f"requests for {', '.join(drawn[:8])} are served by {models}")
    if plan.rents is not None:
        priced = {gpu for _, gpu in plan.rents}
        lacking = [gpu for gpu in system.types if gpu not in priced]
        if lacking:
            file = os.path.basename(os.fspath(plan.parameters.gpu_prices or ""))
            notes.append(f"{file} has no price of {', '.join(lacking)}: the generator's is taken")
    without = [
        name for j, name in enumerate(system.regions) if not (system.server_region == j).any()
    ]
    if without:
        notes.append(f"no server stands in {', '.join(without[:12])}")
    if plan.regions.unplaced and plan.parameters.zones is None:
        names = ", ".join(plan.regions.unplaced[:8])
        notes.append(
            f"where these regions lie is not known: {names}; the middle of the others is taken"
        )
    return tuple(notes)


def _report(plan: _Plan, instance: Instance, factor: float, seconds: float) -> ImportReport:
    system, tally, spool = instance.system, plan.trace.tally, plan.trace
    counts = np.bincount(system.server_type, minlength=len(system.types)).tolist()
    return ImportReport(
        kind=plan.kind,
        file=plan.file,
        rows=tally.rows,
        bad_rows=tally.bad,
        bad_row_examples=tuple(tally.bad_rows),
        failed_rows=tally.failed,
        out_of_order=spool.out_of_order,
        requests_in_trace=spool.requests,
        requests_used=plan.requests_used,
        requests=instance.requests,
        part=_part(plan),
        slots=instance.slots,
        drain_slots=plan.parameters.deadline_slots,
        slot_ms=system.slot_ms,
        classes=tuple(ClassReport(**dataclasses.asdict(kind)) for kind in plan.demand.classes),
        regions=len(system.regions),
        servers=len(system.servers),
        gpu_counts=dict(zip(system.types, counts, strict=True)),
        origins=_origins(plan),
        demand_factor=factor,
        load=load_of(instance),
        hot_permille=system.hot_permille,
        unused_columns=tuple(tally.unused),
        notes=_notes(plan, system),
        seconds=round(seconds, 3),
    )
