"""Measured latencies between regions, from a CSV file in one of three forms.

square     first column: origins; one further column per region; milliseconds, one way;
           an empty cell forbids the pair
pairs      origin, region, latency_ms: the same, one pair a row
skyplane   src_region, dst_region, avg_rtt (github.com/skyplane-project/skyplane): milliseconds
           there and back, of which half is taken; with src_tier and dst_tier, PREMIUM rows only
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from torta_opt.allocation.instance.imports.places import bare_name
from torta_opt.allocation.instance.imports.small_csv import Row, Table, read_table
from torta_opt.io import InvalidInput

Pairs = dict[tuple[str, str], float]  # seconds, NaN where forbidden


def read_latency(
    path: str | os.PathLike[str], regions: Sequence[str] | None = None
) -> tuple[tuple[str, ...], np.ndarray]:
    """(regions, (R, R) seconds one way, NaN where forbidden), of all regions or of those given.

    The way from a region to itself is 0 unless the file says otherwise; no other pair may lack.
    """
    table = read_table(path)
    if {"src_region", "dst_region", "avg_rtt"} <= set(table.titles):
        pairs = _skyplane(table)
    elif {"origin", "region", "latency_ms"} <= set(table.titles):
        pairs = _listed(table)
    else:
        pairs = _square(table)
    known = list(dict.fromkeys(name for pair in pairs for name in pair))
    chosen = known if regions is None else [_match(name, known, table.file) for name in regions]
    if len(chosen) < 2:
        raise InvalidInput(f"must hold at least 2 regions, found {len(chosen)}", file=table.file)
    matrix = np.empty((len(chosen),) * 2)
    for i, origin in enumerate(chosen):
        for j, region in enumerate(chosen):
            if i != j and (origin, region) not in pairs:
                raise InvalidInput(f"lacks the pair {origin!r}, {region!r}", file=table.file)
            matrix[i, j] = pairs.get((origin, region), 0.0)
    return tuple(chosen), matrix


def _skyplane(table: Table) -> Pairs:
    times: dict[tuple[str, str], list[float]] = {}
    for row in table:
        if any(row.cells.get(f"{end}_tier", "PREMIUM") != "PREMIUM" for end in ("src", "dst")):
            continue
        pair = row.text("src_region"), row.text("dst_region")
        times.setdefault(pair, []).append(_milliseconds(row, "avg_rtt") / 2000)
    order = sorted({name for pair in times for name in pair})
    listed = ((a, b) for a in order for b in order if (a, b) in times)
    return {pair: round(float(np.mean(times[pair])), 6) for pair in listed}


def _listed(table: Table) -> Pairs:
    pairs: Pairs = {}
    for row in table:
        pair = row.text("origin"), row.text("region")
        if pair in pairs:
            raise row.fault(f"repeats the pair {pair[0]!r}, {pair[1]!r}")
        pairs[pair] = _seconds(row, "latency_ms")
    return pairs


def _square(table: Table) -> Pairs:
    head, *regions = table.titles
    pairs: Pairs = {}
    origins = [row.text(head) for row in table]
    for row, origin in zip(table, origins, strict=True):
        if origin not in regions or (origin, regions[0]) in pairs:
            raise row.fault(f"{origin!r:.60} is not the title of a column, or comes twice", head)
        for region in regions:
            pairs[origin, region] = _seconds(row, region)
    missing = [name for name in regions if name not in origins]
    if missing or not regions:
        rule = f"lacks a row for {missing[0]!r:.60}" if missing else "holds no region"
        raise InvalidInput(
            f"{rule}; a square table has one row and one column per region, titled alike",
            file=table.file,
        )
    return pairs


def _seconds(row: Row, title: str) -> float:
    return _milliseconds(row, title) / 1000 if row.cells[title].strip() else float("nan")


def _milliseconds(row: Row, title: str) -> float:
    value = row.number(title)
    if not 0 <= value <= 1e6:
        raise row.fault(f"{value:g} ms does not lie in [0, 1e6]", title)
    return value


def _match(name: str, known: list[str], file: str) -> str:
    """The region of that name, or the only one whose name without cloud and zone is that."""
    if name in known:
        return name
    alike = [other for other in known if bare_name(other) == bare_name(name)]
    if len(alike) == 1:
        return alike[0]
    shown = ", ".join(known[:8]) + (", ..." if len(known) > 8 else "")
    raise InvalidInput(f"{name!r:.60} is not in {file}, which has {shown}", field="regions")
