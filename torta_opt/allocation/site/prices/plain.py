"""Your own prices: region, type (such as 4xH100), usd_per_server_hour."""

from __future__ import annotations

from torta_opt.allocation.instance.imports.small_csv import Table
from torta_opt.allocation.site.gpus import split_type
from torta_opt.allocation.site.prices.offers import Offers
from torta_opt.io import InvalidInput


def add_offers(table: Table, offers: Offers, spot: bool) -> None:
    if spot:
        raise InvalidInput("has no spot prices: leave out spot", file=table.file)
    table.require("region", "type", "usd_per_server_hour")
    for row in table:
        gpus, gpu = split_type(row.text("type"))
        offers.add(row, row.text("region"), gpu, gpus, "usd_per_server_hour", row.text("type"))
