"""Azure: region, vm_size, gpu_in_name, on_demand_usd_per_hour, as karpenter's price list has them.

The list does not count GPUs; ``GPUS_OF`` does, from Azure's size tables. NV sizes with an A10 rent
fractions of a GPU and are left out, as is every size not in the table.
"""

from __future__ import annotations

import re

from torta_opt.allocation.instance.imports.small_csv import Table
from torta_opt.allocation.site.prices.offers import ON_DEMAND, Column, Offers

GPUS_OF = {  # (series and cores, GPU in the name) → GPUs
    ("NC4", "T4"): 1,
    ("NC8", "T4"): 1,
    ("NC16", "T4"): 1,
    ("NC64", "T4"): 4,
    ("NC24", "A100"): 1,
    ("NC48", "A100"): 2,
    ("NC96", "A100"): 4,
    ("NC40", "H100"): 1,
    ("NC80", "H100"): 2,
    ("ND96", "A100"): 8,
    ("ND96", "H100"): 8,
    ("ND96", "H200"): 8,
    ("ND96", "MI300X"): 8,
}


COLUMNS = {ON_DEMAND: Column("on_demand_usd_per_hour")}


def add_offers(table: Table, offers: Offers, price: Column) -> None:
    table.require("region", "vm_size", "gpu_in_name", price.title)
    for row in table:
        size, gpu = row.text("vm_size"), row.cells["gpu_in_name"].strip()
        if "flex" in size:
            offers.skip("flexible sizes")
            continue
        series = re.match(r"(?:Standard_)?(N[A-Z]+\d+)", size)
        count = GPUS_OF.get((series[1], gpu)) if series else None
        if count is None:
            offers.skip("sizes whose number of GPUs is not known, or is a fraction")
            continue
        gpu = "A100-40GB" if size.startswith("Standard_ND96asr_A100") else gpu
        offers.add(row, row.text("region"), gpu, count, price, size)
