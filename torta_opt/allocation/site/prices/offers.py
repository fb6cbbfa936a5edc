"""Offers of clouds: instances with GPUs, where they can be rented, for how much.

One reader, one file here, one line in ``READERS``. A reader says in ``COLUMNS`` which of ``PRICES``
its files hold, gives the offers of a table and notes what it leaves out; ``read`` makes the table
where the file is no CSV. A price does not say that the instance can be had there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import import_module

from torta_opt.allocation.instance.imports.places import bare_name
from torta_opt.allocation.instance.imports.small_csv import Row, Table, read_table
from torta_opt.io import InvalidInput

READERS = ("plain", "skypilot", "google", "azure", "aws", "ec2instances")
ON_DEMAND, SPOT, RESERVED_1Y, RESERVED_3Y = "on_demand", "spot", "reserved_1y", "reserved_3y"
PRICES = (ON_DEMAND, SPOT, RESERVED_1Y, RESERVED_3Y)
HOURS_PER_MONTH = 730.0


@dataclass(frozen=True)
class Column:
    """A column of prices: dollars for ``hours`` of an instance."""

    title: str
    hours: float = 1.0


@dataclass(frozen=True)
class Offer:
    """One instance in one region: $ per hour of the whole instance."""

    region: str
    gpu: str
    gpus: int
    usd_per_hour: float
    name: str


@dataclass
class Offers:
    """The offers of one file, and what its reader left out."""

    file: str
    offers: list[Offer] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)

    def add(self, row: Row, region: str, gpu: str, gpus: int, price: Column, name: str) -> None:
        """The offer of a row by its column ``price``; empty: no such offer."""
        if not row.cells[price.title].strip():
            return
        usd = row.number(price.title)
        if not 0 <= usd <= 1e6 * price.hours:
            raise row.fault(f"{usd:g} $ does not lie in [0, {1e6 * price.hours:g}]", price.title)
        per_hour = usd if price.hours == 1 else round(usd / price.hours, 6)
        self.offers.append(Offer(bare_name(region), gpu, gpus, per_hour, name))

    def skip(self, why: str) -> None:
        self.left_out[why] = self.left_out.get(why, 0) + 1

    def find(self, region: str, gpu: str, gpus: int) -> tuple[float, str] | None:
        """($ per hour of ``gpus`` GPUs, how): the cheapest instance of that size, else a share.

        The share is that of a larger instance, the one with the least price per GPU; where all are
        smaller, it is a multiple.
        """
        here = [o for o in self.offers if o.region == bare_name(region) and o.gpu == gpu]
        same = [o for o in here if o.gpus == gpus]
        if same:
            best = min(same, key=lambda o: o.usd_per_hour)
            return best.usd_per_hour, best.name
        if not here:
            return None
        larger = [o for o in here if o.gpus > gpus]
        best = min(larger or here, key=lambda o: (o.usd_per_hour / o.gpus, o.gpus))
        usd = round(best.usd_per_hour / best.gpus * gpus, 6)
        if larger:
            return usd, f"{gpus} of the {best.gpus} GPUs of {best.name}"
        return usd, f"{gpus / best.gpus:g} × {best.name}, none has {gpus} GPUs"

    def regions(self, gpu: str) -> Iterable[str]:
        return sorted({o.region for o in self.offers if o.gpu == gpu})


def read_offers(kind: str, path: str | os.PathLike[str], price: str = ON_DEMAND) -> Offers:
    """The offers in a file at one of ``PRICES``. Raises InvalidInput."""
    reader = import_module(f"{__package__}.{kind}")
    if price not in reader.COLUMNS:
        known = ", ".join(reader.COLUMNS)
        rule = f"lists of kind {kind} have no {price} prices; they have {known}"
        raise InvalidInput(rule, file=os.fspath(path))
    table: Table = getattr(reader, "read", read_table)(path)
    offers = Offers(table.file)
    reader.add_offers(table, offers, reader.COLUMNS[price])
    if not offers.offers:
        raise InvalidInput(f"holds no {price} price of an instance with GPUs", file=table.file)
    return offers
