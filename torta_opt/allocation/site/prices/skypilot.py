"""SkyPilot catalogue (github.com/skypilot-org/skypilot-catalog): vms.csv of one cloud.

``Price`` and ``SpotPrice`` are dollars per hour of the INSTANCE with ``AcceleratorCount`` GPUs;
rows without an accelerator are CPU machines, rows without an instance type GPUs that are paid on
top of a machine (Google): neither is the price of a server. Some clouds list every type in every
region. There are no prices of reservations.
"""

from __future__ import annotations

from torta_opt.allocation.instance.imports.small_csv import Table
from torta_opt.allocation.site.prices.offers import ON_DEMAND, SPOT, Column, Offers

NAMES = {
    "A100": "A100-40GB",
    "A100-80GB": "A100",
    "A100-80GB-SXM": "A100",
    "H100-SXM": "H100",
    "H200-SXM": "H200",
}  # of the catalogue → as elsewhere here


COLUMNS = {ON_DEMAND: Column("Price"), SPOT: Column("SpotPrice")}


def add_offers(table: Table, offers: Offers, price: Column) -> None:
    table.require("InstanceType", "AcceleratorName", "AcceleratorCount", price.title, "Region")
    for row in table:
        gpu = row.cells["AcceleratorName"].strip()
        if not gpu:
            offers.skip("machines without GPUs")
            continue
        if not row.cells["InstanceType"].strip():
            offers.skip("GPUs priced without their machine")
            continue
        count = row.number("AcceleratorCount")
        if count != int(count) or count < 1:
            offers.skip("fractions of a GPU")
            continue
        gpu = NAMES.get(gpu, gpu)
        offers.add(row, row.text("Region"), gpu, int(count), price, row.text("InstanceType"))
