"""Your own prices: region, type (such as 4xH100), and $ per server-hour in the column of the price.

``usd_per_server_hour`` is on demand; ``spot_usd_per_server_hour``,
``reserved_1y_usd_per_server_hour`` and ``reserved_3y_usd_per_server_hour`` stand beside it where
they are known.
"""

from __future__ import annotations

from torta_opt.allocation.instance.imports.small_csv import Table
from torta_opt.allocation.site.gpus import split_type
from torta_opt.allocation.site.prices.offers import ON_DEMAND, PRICES, Column, Offers

COLUMNS = {
    price: Column("usd_per_server_hour" if price == ON_DEMAND else f"{price}_usd_per_server_hour")
    for price in PRICES
}


def add_offers(table: Table, offers: Offers, price: Column) -> None:
    table.require("region", "type", price.title)
    for row in table:
        gpus, gpu = split_type(row.text("type"))
        offers.add(row, row.text("region"), gpu, gpus, price, row.text("type"))
