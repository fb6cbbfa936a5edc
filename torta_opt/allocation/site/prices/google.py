"""Google Cloud (github.com/Cyclenerd/google-cloud-pricing-cost-calculator): machine prices.

``hour_usd`` and ``hour_spot_usd`` are dollars per hour of the MACHINE; attrs names its GPUs, as in
``a100-80gb=1;cpu=12``.
"""

from __future__ import annotations

from torta_opt.allocation.instance.imports.small_csv import Table
from torta_opt.allocation.site.prices.offers import Offers

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


def add_offers(table: Table, offers: Offers, spot: bool) -> None:
    title = "hour_spot_usd" if spot else "hour_usd"
    table.require("machine_type", "region", "attrs", title)
    for row in table:
        found = [each.partition("=") for each in row.cells["attrs"].split(";")]
        gpus = [(NAMES[name], count) for name, _, count in found if name in NAMES]
        if not gpus:
            offers.skip("machines whose attrs name no known GPU")
            continue
        gpu, count = gpus[0]
        if not (count.isascii() and count.isdigit() and 0 < int(count) < 1000):
            raise row.fault(f"{row.cells['attrs']!r:.60} does not say how many GPUs", "attrs")
        offers.add(row, row.text("region"), gpu, int(count), title, row.text("machine_type"))
