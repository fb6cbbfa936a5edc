"""From a schedule to a plan: verified first, then counted."""

from __future__ import annotations

import datetime
import os

import numpy as np

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.plan.bill import bill_table, bill_warnings, priced_table
from torta_opt.allocation.plan.data import Plan, ServerUse, SiteFacts, Unit
from torta_opt.allocation.plan.tables import (
    classes_table,
    commands_table,
    counted,
    routing_table,
    servers_table,
    utilisation_table,
)
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.schedule.evaluate import evaluate
from torta_opt.allocation.schedule.timeline import trace_servers
from torta_opt.allocation.schedule.verify import verify
from torta_opt.allocation.site.faults import Faults
from torta_opt.allocation.site.files import read_site
from torta_opt.allocation.site.fleet import fleet_of
from torta_opt.allocation.site.service import choose_all, profiles_of
from torta_opt.io.errors import InvalidInput, VerificationFailed

PARTS = 8  # of a plan, in a table of when servers are on


def make_plan(
    instance: Instance,
    schedule: Schedule,
    site: SiteFacts | None = None,
    start_ms: int | None = None,
) -> Plan:
    """The plan of a schedule. ``start_ms`` replaces the site's clock.

    Raises VerificationFailed if the schedule breaks a rule, InvalidInput if its times lie outside
    of the calendar.
    """
    found = verify(instance, schedule)
    if not found.ok:
        first = found.problems[0]
        raise VerificationFailed(f"the schedule breaks a rule: {first}")
    start = start_ms if start_ms is not None or site is None else site.start_ms
    if start is not None:
        _check_clock(start, start + instance.slots * instance.system.slot_ms)
    servers = trace_servers(instance, schedule)
    evaluation = evaluate(instance, schedule)
    on, ready = counted(instance, servers)
    tables = {
        "servers": servers_table(instance, on, ready, start),
        "commands": commands_table(instance, schedule, start),
        "routing": routing_table(instance, schedule, start),
        "utilisation": utilisation_table(instance, schedule, servers, start),
        "classes": classes_table(instance, schedule),
    }
    bill = bill_table(instance, schedule, servers, site)
    return Plan(
        instance,
        schedule,
        evaluation,
        start,
        site,
        on,
        ready,
        tables,
        bill,
        priced_table(evaluation),
        bill_warnings(instance, site),
    )


def _check_clock(first_ms: int, last_ms: int) -> None:
    """Times are written as dates; the last year is left to steps that end after the plan."""
    earliest, latest = (
        datetime.datetime(year, 1, 1, tzinfo=datetime.UTC).timestamp() * 1000 for year in (1, 9999)
    )
    if first_ms < earliest or last_ms >= latest:
        raise InvalidInput("must keep the plan within the years 1 to 9998", "start")


def site_facts(path: str | os.PathLike[str], instance: Instance) -> SiteFacts:
    """What the site of an instance adds to its plan. Raises InvalidInput if it is another's."""
    site = read_site(path)
    faults = Faults(site.file)
    profiles = profiles_of(site, faults)
    fleet = fleet_of(site, profiles, faults)
    chosen, _ = choose_all(site, profiles, tuple(dict.fromkeys(fleet.types)), faults)
    faults.stop()
    document, system = site.document, instance.system
    own = {
        "regions": tuple(region.name for region in document.regions),
        "classes": tuple(kind.name for kind in document.classes),
        "types": fleet.labels,
    }
    for noun, names in own.items():
        if names != getattr(system, noun):
            raise InvalidInput(
                f"has the {noun} {', '.join(names)[:120]}; the instance has "
                f"{', '.join(getattr(system, noun))[:120]}: it was not built from this site",
                file=site.file,
            )
    models = {kind.name: kind.model for kind in document.classes}
    units = {
        (label, models[each.class_]): Unit(each.replicas, each.gpus)
        for each in chosen
        for label, type_ in zip(fleet.labels, fleet.types, strict=True)
        if type_ == each.type
    }
    return SiteFacts(
        start_ms=site.start_ms,
        fixed=[
            (p.region, p.label, p.count, p.usd_per_hour * p.count)
            for p in fleet.pools
            if p.is_fixed
        ],
        tokens={k.name: (k.input_tokens, k.output_tokens) for k in document.classes},
        units=units,
        clouds={r.name: r.cloud or r.name for r in document.regions},
    )


def server_use(plan: Plan, over_regions: bool = False, parts: int = PARTS) -> list[ServerUse]:
    """How many servers are on over the slots with demand, by region, type and model."""
    system = plan.instance.system
    on = plan.on[: plan.slots_with_demand]
    if over_regions:
        on = on.sum(axis=1, keepdims=True)
    edges = np.linspace(0, len(on), min(parts, len(on)) + 1).round().astype(int)[:-1]
    most = np.maximum.reduceat(on, edges, axis=0)
    return [
        ServerUse(
            "all" if over_regions else system.regions[j],
            system.types[k],
            system.models[m],
            int(on[:, j, k, m].min()),
            int(on[:, j, k, m].max()),
            float(on[:, j, k, m].mean()),
            tuple(most[:, j, k, m].tolist()),
        )
        for j, k, m in np.argwhere(on.max(axis=0) > 0).tolist()
    ]
