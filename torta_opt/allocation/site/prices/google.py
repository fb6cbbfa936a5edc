"""Google Cloud (github.com/Cyclenerd/google-cloud-pricing-cost-calculator): machine prices.

``hour_usd`` and ``hour_spot_usd`` are dollars per hour of the MACHINE, ``month_1y_usd`` and
``month_3y_usd`` dollars a month of 730 h with a commitment for so many years; attrs names its GPUs,
as in ``a100-80gb=1;cpu=12``.
"""

from __future__ import annotations

import re

from torta_opt.allocation.instance.imports.small_csv import Table
from torta_opt.allocation.site.prices.offers import (
    HOURS_PER_MONTH,
    ON_DEMAND,
    RESERVED_1Y,
    RESERVED_3Y,
    SPOT,
    Column,
    Offers,
)

NUMBER = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4})?")
NAMES = {  # of attrs → the usual name
    "a100": "A100-40GB",
    "a100-80gb": "A100",
    "b200": "B200",
    "h100-80gb": "H100",
    "h100-80gb-mega": "H100",
    "h200-141gb": "H200",
    "l4": "L4",
    "p100": "P100",
    "p4": "P4",
    "rtx6000": "RTX6000",
    "t4": "T4",
    "v100": "V100",
}


COLUMNS = {
    ON_DEMAND: Column("hour_usd"),
    SPOT: Column("hour_spot_usd"),
    RESERVED_1Y: Column("month_1y_usd", HOURS_PER_MONTH),
    RESERVED_3Y: Column("month_3y_usd", HOURS_PER_MONTH),
}


def add_offers(table: Table, offers: Offers, price: Column) -> None:
    table.require("machine_type", "region", "attrs", price.title)
    for row in table:
        found = [each.partition("=") for each in row.cells["attrs"].split(";")]
        gpus = [(NAMES[name], count) for name, _, count in found if name in NAMES]
        if not gpus:
            offers.skip("machines whose attrs name no known GPU")
            continue
        gpu, count = gpus[0]
        number = float(count) if NUMBER.fullmatch(count) else 0.0
        if not 0 < number < 1000:
            raise row.fault(f"{row.cells['attrs']!r:.60} does not say how many GPUs", "attrs")
        if number != int(number):
            offers.skip("fractions of a GPU")
            continue
        offers.add(row, row.text("region"), gpu, int(number), price, row.text("machine_type"))
