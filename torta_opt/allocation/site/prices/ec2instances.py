"""ec2instances.info (github.com/vantage-sh/ec2instances.info): instances.json, or one entry of it.

``pricing[region].linux`` holds dollars per hour of the INSTANCE as strings: ``ondemand``,
``spot_avg`` and ``reserved``, of which the standard terms without upfront payment are taken. GPUs
of a type follow from ``aws.GPUS_OF``.
"""

from __future__ import annotations

import os
from typing import Any

from torta_opt.allocation.instance.imports.small_csv import Row, Table
from torta_opt.allocation.profiles.reading import read_json
from torta_opt.allocation.site.prices import aws
from torta_opt.allocation.site.prices.offers import (
    ON_DEMAND,
    RESERVED_1Y,
    RESERVED_3Y,
    SPOT,
    Column,
)
from torta_opt.io import InvalidInput

COLUMNS = {
    ON_DEMAND: Column("ondemand"),
    SPOT: Column("spot_avg"),
    RESERVED_1Y: Column("yrTerm1Standard.noUpfront"),
    RESERVED_3Y: Column("yrTerm3Standard.noUpfront"),
}
add_offers = aws.add_offers


def read(path: str | os.PathLike[str]) -> Table:
    """A row for each type and region; lines count them. Raises InvalidInput."""
    file = os.fspath(path)
    content = read_json(path)
    titles = ["region", "instance_type", *(column.title for column in COLUMNS.values())]
    rows: list[Row] = []
    for n, entry in enumerate(content if isinstance(content, list) else [content]):
        name = _part(entry, "instance_type", str, file, n)
        pricing = _part(entry, "pricing", dict, file, n)
        for region, offered in pricing.items():
            linux = offered.get("linux") if isinstance(offered, dict) else None
            if not isinstance(linux, dict):
                continue
            reserved = linux.get("reserved")
            prices = {**linux, **(reserved if isinstance(reserved, dict) else {})}
            cells = {title: _cell(prices.get(title)) for title in titles[2:]}
            rows.append(
                Row(file, len(rows) + 1, {"region": region, "instance_type": name, **cells})
            )
    return Table(file, titles, rows)


def _part(entry: Any, key: str, kind: type, file: str, n: int) -> Any:
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, kind):
        raise InvalidInput(
            "is missing: is this file instances.json of ec2instances.info?", f"{n}.{key}", file
        )
    return value


def _cell(price: Any) -> str:
    """A price as text; empty where there is none (also "N/A")."""
    return "" if price in (None, "N/A") else str(price)
