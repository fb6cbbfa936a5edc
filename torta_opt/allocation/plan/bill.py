"""The bill: what is paid in dollars, apart from what time and lost requests are priced at.

"You pay" holds rent, energy, transfer, starts and switches as the evaluator counts them, before the
factors of any weights, and what reserved and owned servers cost whatever is done. Priced are
network, waiting and service time, re-routing and expiry: dollars of the cost that nobody is billed
for.
"""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.plan.data import SiteFacts, Table
from torta_opt.allocation.schedule.data import Command, Schedule
from torta_opt.allocation.schedule.evaluate import energy_by_pool
from torta_opt.allocation.schedule.timeline import ServerTimeline
from torta_opt.results import Evaluation

TITLES = ("item", "region", "what", "quantity", "unit", "usd")
PRICED = ("network", "waiting", "service", "rerouting", "frobenius", "expiry")
FIXED = ("reserved", "owned")  # endings of server types of a site that are paid anyway


def bill_table(
    instance: Instance, schedule: Schedule, servers: ServerTimeline, site: SiteFacts | None
) -> Table:
    """Rows of what is paid; the last column is dollars and adds up."""
    rows = [
        *_rent(instance, servers),
        *_fixed(instance, site),
        *_energy(instance, schedule, servers),
        *_transfer(instance, schedule),
        *_loading(instance, schedule),
    ]
    return Table(TITLES, tuple(rows))


def priced_table(evaluation: Evaluation) -> Table:
    """What time and lost requests count for in the cost."""
    rows = tuple((name, float(evaluation.costs[name])) for name in PRICED)
    return Table(("item", "usd"), tuple(row for row in rows if row[1]))


def bill_warnings(instance: Instance, site: SiteFacts | None) -> tuple[str, ...]:
    paid_anyway = [name for name in instance.system.types if name.rpartition(" ")[2] in FIXED]
    if site is not None or not paid_anyway:
        return ()
    return (
        f"the bill lacks what {', '.join(paid_anyway)} cost whatever is done: --site SITE adds it",
    )


Row = tuple[str, str, str, float, str, float]


def _rent(instance: Instance, servers: ServerTimeline) -> list[Row]:
    system = instance.system
    shape = (len(system.regions), len(system.types))
    hours = np.zeros(shape)
    np.add.at(
        hours,
        (system.server_region, system.server_type),
        servers.on.sum(axis=0) * system.slot_hours,
    )
    return [
        (
            "rent",
            system.regions[j],
            system.types[k],
            float(hours[j, k]),
            "server-hours",
            float(hours[j, k] * system.rent_usd_per_hour[j, k]),
        )
        for j, k in np.argwhere((hours > 0) & (system.rent_usd_per_hour > 0)).tolist()
    ]


def _fixed(instance: Instance, site: SiteFacts | None) -> list[Row]:
    if site is None:
        return []
    hours = instance.slots * instance.system.slot_hours
    return [
        ("paid anyway", region, kind, float(count * hours), "server-hours", float(usd * hours))
        for region, kind, count, usd in site.fixed
        if usd
    ]


def _energy(instance: Instance, schedule: Schedule, servers: ServerTimeline) -> list[Row]:
    kwh = energy_by_pool(instance, schedule.processing, servers)
    usd = (kwh * instance.price_usd_per_kwh).sum(axis=0)
    return [
        ("energy", name, "electricity", float(kwh[:, j].sum()), "kWh", float(usd[j]))
        for j, name in enumerate(instance.system.regions)
        if kwh[:, j].any()
    ]


def _transfer(instance: Instance, schedule: Schedule) -> list[Row]:
    system = instance.system
    requests = schedule.routing.sum(axis=0)
    usd = (requests * system.transfer_usd).sum(axis=2)
    return [
        (
            "transfer",
            system.regions[i],
            f"to {system.regions[j]}",
            float(requests[i, j].sum()),
            "requests",
            float(usd[i, j]),
        )
        for i, j in np.argwhere(usd > 0).tolist()
    ]


def _loading(instance: Instance, schedule: Schedule) -> list[Row]:
    system = instance.system
    rows: list[Row] = []
    for item, command, table in (
        ("starts", Command.START, system.start_usd),
        ("switches", Command.SWITCH, system.switch_usd),
    ):
        t, s = np.nonzero(schedule.command == command)
        j, k, m = system.server_region[s], system.server_type[s], schedule.command_model[t, s]
        for region, kind in sorted(set(zip(j.tolist(), k.tolist(), strict=True))):
            here = (j == region) & (k == kind)
            usd = float(table[kind, m[here]].sum())
            if usd:
                place = system.regions[region], system.types[kind]
                rows.append((item, *place, float(here.sum()), "commands", usd))
    return rows
