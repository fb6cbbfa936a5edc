"""The duals of a linear bound with names: one row of a data frame for each that is not zero.

A dual is what the bound would change by if the right-hand side of its row were one unit higher, in
dollars per unit: the slope of a convex function of that side. It is taken from the certificate, or
from the program that was solved where a user's own rows leave no certificate. Bounds of columns
(``column_bounds.py``) stay as they are. Where a number of an instance enters them too, as arrivals
and the size of a pool do, a change of that number changes the bound by something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from torta_opt.allocation.bounds.certificate import APART, AXES, Certificate, Cut
from torta_opt.allocation.formulations import program as programs
from torta_opt.allocation.formulations.program import AllocationProgram, Family
from torta_opt.allocation.formulations.whole_servers import roundings_of
from torta_opt.allocation.instance.data import Instance

if TYPE_CHECKING:
    import pandas as pd

TITLES = ("row", "slot", "origin", "region", "type", "model", "class", "usd", "per", "what")
EVERYWHERE = "everywhere"


@dataclass(frozen=True)
class Price:
    """What the dual of a family of rows is the price of, and its unit."""

    what: str
    per: str


PRICES: Mapping[str, Price] = {  # by family of rows: what one more unit on the right is
    "route": Price("one more request", "request"),
    "gather": Price("one more request sent there", "request"),
    "queue": Price("one more request in the queue", "request"),
    "deadline": Price("one more request that may wait", "request"),
    "aging": Price("one more request that may expire", "request"),
    "off_flow": Price("one more server in the balance of those off", "server"),
    "ready_flow": Price("one more server in the balance of those ready", "server"),
    "switch_flow": Price("one more server that leaves a model than takes one", "server"),
    "capacity": Price("one more ms of server time", "ms"),
    "fit": Price("room for one more request", "request"),
    "hull": Price("room in a knapsack row", "unit of the row"),
    "whole": Price("one server fewer that the demand asks for", "server"),
    "hot_served": Price("one more hot request than processed", "request"),
    "reuse": Price("one unit more of reuse", "unit of the row"),
    "reroute": Price("one re-routed request free of charge", "request"),
    "change": Price("a share that is already moved", "share"),
    "spread": Price("one server fewer at the cheapest place", "server"),
}
OWN = Price("your own constraint", "unit of the row")


@dataclass(frozen=True)
class _Names:
    """Names by axis; (P,) region and type of each pool; (W,) class of each rounding."""

    regions: Sequence[str]
    models: Sequence[str]
    classes: Sequence[str]
    pool_region: np.ndarray
    pool_type: np.ndarray
    rounded: Sequence[str]


def duals_of_program(program: AllocationProgram, dual: np.ndarray) -> pd.DataFrame:
    """Duals of an allocation program, or of a merged one, by row.

    Parameters
    ----------
    program
        What was solved.
    dual
        (rows,) positive where the lower side binds.
    """
    system, pools = program.instance.system, program.pools
    names = _Names(
        system.regions,
        system.models,
        system.classes,
        np.array(system.regions, object)[pools.region],
        np.array(system.types, object)[pools.type],
        [system.classes[each.class_] for each in roundings_of(pools)],
    )
    parts = [
        _named(name, _letters(name), family.index[used].T, dual[family.numbers][used], names)
        for name, family in program.rows.items()
        for used in [_is_used(family, dual)]
    ]
    own = dual[len(dual) - len(program.further_rows) :]
    rows = np.array(program.further_rows, object)[np.flatnonzero(own)]
    parts.append({"row": rows, "usd": own[own != 0], **_priced(OWN, len(rows))})
    return _frame(parts)


def _letters(name: str) -> str:
    return programs.AXES[name].rstrip("k")


def _is_used(family: Family, dual: np.ndarray) -> np.ndarray:
    used: np.ndarray = np.flatnonzero(dual[family.numbers])
    return used


def duals_of_certificate(certificate: Certificate, instance: Instance) -> pd.DataFrame:
    """Duals that a certificate of an instance holds, by row."""
    system = instance.system
    pool_region, pool_type = _groups(certificate, instance)
    names = _Names(
        system.regions if certificate.regions == APART else (EVERYWHERE,),
        system.models,
        system.classes,
        pool_region,
        pool_type,
        [system.classes[each.class_] for each in certificate.roundings],
    )
    parts: list[Mapping[str, np.ndarray]] = [{"usd": np.zeros(0)}]  # where no dual is used
    for name, values in certificate.duals.items():
        at = np.nonzero(values)
        if name == "hull":
            parts.append(_of_cuts(certificate.cuts, at, values[at], names))
        else:
            parts.append(_named(name, AXES[name], at, values[at], names))
    return _frame(parts)


def _groups(certificate: Certificate, instance: Instance) -> Iterator[np.ndarray]:
    """(G,) region and (G,) type of each group of servers, ``everywhere`` where they differ."""
    system = instance.system
    group = np.array(certificate.group)
    for names, of_server in (
        (system.regions, system.server_region),
        (system.types, system.server_type),
    ):
        members = [np.unique(of_server[group == g]) for g in range(group.max(initial=-1) + 1)]
        yield np.array(
            [names[each[0]] if len(each) == 1 else EVERYWHERE for each in members], object
        )


def _of_cuts(
    cuts: Sequence[Cut], at: tuple[np.ndarray, ...], usd: np.ndarray, names: _Names
) -> dict[str, np.ndarray]:
    pools = np.array([cut.group for cut in cuts])[at[1]]
    sums = [
        " + ".join(f"{a} {names.classes[c]}" for c, a in zip(cut.classes, cut.alpha, strict=True))
        for cut in cuts
    ]
    return {
        **_named("hull", "tp", (at[0], pools), usd, names),
        "class": np.array(sums, object)[at[1]],
    }


def _named(
    name: str, axes: str, at: Sequence[np.ndarray], usd: np.ndarray, names: _Names
) -> dict[str, np.ndarray]:
    """Columns of one family of rows; (route) has the origin where others have the region."""
    columns: dict[str, np.ndarray] = {"row": np.full(len(usd), name, object)}
    for axis, place in zip(axes, at, strict=False):
        if axis == "t":
            columns["slot"] = place
        elif axis == "r":
            is_origin = name == "route" or (axes.count("r") == 2 and "origin" not in columns)
            columns["origin" if is_origin else "region"] = np.array(names.regions, object)[place]
        elif axis == "p":
            columns["region"] = names.pool_region[place]
            columns["type"] = names.pool_type[place]
        elif axis == "m":
            columns["model"] = np.array(names.models, object)[place]
        elif axis == "c":
            columns["class"] = np.array(names.classes, object)[place]
        elif axis == "w":
            columns["class"] = np.array(names.rounded, object)[place]
    return {**columns, "usd": usd, **_priced(PRICES[name], len(usd))}


def _priced(price: Price, rows: int) -> dict[str, np.ndarray]:
    return {
        "per": np.full(rows, price.per, object),
        "what": np.full(rows, price.what, object),
    }


def _frame(parts: Sequence[Mapping[str, np.ndarray]]) -> pd.DataFrame:
    """One frame; a column that a family of rows does not have is empty there, slot is −1."""
    import pandas as pd

    columns = {}
    for title in TITLES:
        missing = -1 if title == "slot" else ""
        columns[title] = np.concatenate(
            [np.asarray(part.get(title, np.full(len(part["usd"]), missing))) for part in parts]
        )
    return pd.DataFrame(columns)
