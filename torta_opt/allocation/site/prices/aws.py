"""AWS: region, instance_type, on_demand_usd_per_hour, as karpenter's price list has them.

The list names no GPUs; ``GPUS_OF`` does, from AWS's tables of accelerated instances. Types not in
it (Trainium, Inferentia, FPGAs, fractions of a GPU) are left out.
"""

from __future__ import annotations

from torta_opt.allocation.instance.imports.small_csv import Table
from torta_opt.allocation.site.prices.offers import ON_DEMAND, Column, Offers

_ONE_FOUR_EIGHT = {
    "xlarge": 1,
    "2xlarge": 1,
    "4xlarge": 1,
    "8xlarge": 1,
    "16xlarge": 1,
    "12xlarge": 4,
    "24xlarge": 4,
    "48xlarge": 8,
}
GPUS_OF: dict[str, tuple[str, dict[str, int]]] = {  # family → GPU, GPUs by size
    "g4dn": ("T4", {**_ONE_FOUR_EIGHT, "metal": 8}),
    "g5": ("A10G", _ONE_FOUR_EIGHT),
    "g6": ("L4", _ONE_FOUR_EIGHT),
    "g6e": ("L40S", _ONE_FOUR_EIGHT),
    "p3": ("V100", {"2xlarge": 1, "8xlarge": 4, "16xlarge": 8}),
    "p3dn": ("V100", {"24xlarge": 8}),
    "p4d": ("A100-40GB", {"24xlarge": 8}),
    "p4de": ("A100", {"24xlarge": 8}),
    "p5": ("H100", {"4xlarge": 1, "48xlarge": 8}),
    "p5e": ("H200", {"48xlarge": 8}),
    "p5en": ("H200", {"48xlarge": 8}),
    "p6-b200": ("B200", {"48xlarge": 8}),
}


COLUMNS = {ON_DEMAND: Column("on_demand_usd_per_hour")}


def add_offers(table: Table, offers: Offers, price: Column) -> None:
    table.require("region", "instance_type", price.title)
    for row in table:
        name = row.text("instance_type")
        family, _, size = name.partition(".")
        gpu, counts = GPUS_OF.get(family, ("", {}))
        if size not in counts:
            offers.skip("types whose GPUs are not known")
            continue
        offers.add(row, row.text("region"), gpu, counts[size], price, name)
