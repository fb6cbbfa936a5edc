"""A certificate: what lets anyone derive a bound again without a solver.

It holds a number for rows of the allocation program (docs/formulations/allocation.md) or of the
merged program (merged.md), by family and cell, and what is needed to say which rows these are:
which servers are counted together, the cuts of the family hull, and the tangents of squares. It
holds no coefficient, no right-hand side and no cost: the checker makes these from the instance.

In a bound file the numbers of a family are one string: float64, little-endian, slot after slot for
each of the other cells in their order, the first bytes of all numbers before the second ones and so
on, compressed by zlib, in base64.
"""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from torta_opt.allocation.instance.data import Instance
from torta_opt.io.errors import InvalidInput
from torta_opt.io.schema import Bulk, Strict

VERSION = 1
APART, AS_ONE = "apart", "as_one"  # regions
# Axes of every family of rows: slot t, region r, class c, group p, model m, cut h, rounding w.
AXES = {
    "route": "trc",
    "gather": "trc",
    "queue": "trc",
    "deadline": "trc",
    "aging": "trc",
    "off_flow": "tp",
    "ready_flow": "tpm",
    "switch_flow": "tp",
    "capacity": "tpm",
    "fit": "tpc",
    "hot_served": "tpc",
    "reuse": "tpc",
    "reroute": "trr",
    "change": "trr",
    "spread": "tp",
    "hull": "th",
    "whole": "tw",
}
MOST_NUMBERS = 100_000_000  # per family of duals: limits the memory that a file can claim

Name = Annotated[str, Field(min_length=1, max_length=200)]
Whole = Annotated[int, Field(ge=0, le=1_000_000_000)]


@dataclass(frozen=True)
class Cut:
    """Rows Σ alpha[n]·z[t,group,classes[n]] ≤ what the servers' time allows, in every slot.

    Right-hand sides are the checker's business (docs/formulations/knapsack.md).
    """

    group: int
    classes: tuple[int, ...]
    alpha: tuple[int, ...]


@dataclass(frozen=True)
class Rounding:
    """Rows (whole) of a class, with the divisor d, in every slot (whole_servers.md)."""

    class_: int
    divisor: int


@dataclass(frozen=True, eq=False)
class Certificate:
    """Numbers for rows.

    regions    ``apart``: the allocation program; ``as_one``: the merged program
    group      (S,) servers that are counted together, numbered from 0
    cuts       of the rows of family hull
    tangents   points at which squares are bounded below
    duals      by family, over its axes (``AXES``); 0 where a row is not used, positive where its
               lower side is
    roundings  of the rows of family whole
    """

    regions: str
    group: tuple[int, ...]
    cuts: tuple[Cut, ...]
    tangents: tuple[float, ...]
    duals: dict[str, np.ndarray]
    roundings: tuple[Rounding, ...] = ()

    def shape_of(self, family: str, instance: Instance, groups: int) -> tuple[int, ...]:
        """Cells of a family along its axes."""
        counts = len(self.cuts), len(self.roundings)
        return shape_of(family, instance, self.regions, groups, *counts)


def shape_of(
    family: str, instance: Instance, regions: str, groups: int, cuts: int, roundings: int
) -> tuple[int, ...]:
    """Cells of a family along its axes."""
    system = instance.system
    sizes = {
        "t": instance.slots,
        "r": len(system.regions) if regions == APART else 1,
        "c": len(system.classes),
        "m": len(system.models),
        "p": groups,
        "h": cuts,
        "w": roundings,
    }
    return tuple(sizes[axis] for axis in AXES[family])


# --- the section of a bound file ----------------------------------------------------------------


class CutEntry(Strict):
    """A cut of the hull of whole requests."""

    group: Whole
    classes: Annotated[list[Name], Field(min_length=1, max_length=8)]
    alpha: Annotated[list[Whole], Field(min_length=1, max_length=8)]


class RoundingEntry(Strict):
    """A rounding of the demand of a class to whole servers."""

    class_: Name = Field(alias="class")
    divisor: Annotated[int, Field(ge=1, le=1_000_000_000)]


class NumbersEntry(Strict):
    """Numbers of one family of rows."""

    shape: Bulk[Whole]
    values: str = Field(
        description="base64 of zlib of float64 (little-endian), slot after slot for each of the "
        "other cells; the first bytes of all numbers, then the second ones, and so on"
    )


class CertificateEntry(Strict):
    """What lets anyone derive the bound again without a solver."""

    version: Literal[1]
    regions: Literal["apart", "as_one"] = Field(description="the allocation or the merged program")
    group: Bulk[Whole] = Field(description="of each server: those counted together")
    tangents: Bulk[Annotated[float, Field(gt=0, le=1)]]
    cuts: Bulk[CutEntry]
    roundings: Bulk[RoundingEntry] = Field(default_factory=list)
    duals: dict[str, NumbersEntry] = Field(description="numbers for rows, by family")


def certificate_to_entry(certificate: Certificate, instance: Instance) -> dict[str, object]:
    classes = instance.system.classes
    roundings = [
        {"class": classes[each.class_], "divisor": int(each.divisor)}
        for each in certificate.roundings
    ]
    return {
        "version": VERSION,
        "regions": certificate.regions,
        "group": [int(g) for g in certificate.group],
        "tangents": [float(point) for point in certificate.tangents],
        "cuts": [
            {
                "group": int(cut.group),
                "classes": [classes[c] for c in cut.classes],
                "alpha": [int(a) for a in cut.alpha],
            }
            for cut in certificate.cuts
        ],
        **({"roundings": roundings} if roundings else {}),
        "duals": {
            name: {"shape": list(values.shape), "values": _packed(values)}
            for name, values in certificate.duals.items()
        },
    }


def certificate_from_entry(entry: CertificateEntry, instance: Instance) -> Certificate:
    """Raises InvalidInput where the entry does not fit the instance."""
    place = {name: c for c, name in enumerate(instance.system.classes)}
    cuts = []
    for n, cut in enumerate(entry.cuts):
        if missing := [name for name in cut.classes if name not in place]:
            raise InvalidInput(f"{missing[0]!r} is not a class", f"certificate.cuts.{n}.classes")
        cuts.append(Cut(cut.group, tuple(place[name] for name in cut.classes), tuple(cut.alpha)))
    roundings = []
    for n, each in enumerate(entry.roundings):
        if each.class_ not in place:
            field = f"certificate.roundings.{n}.class"
            raise InvalidInput(f"{each.class_!r} is not a class", field)
        roundings.append(Rounding(place[each.class_], each.divisor))
    groups = max(entry.group, default=-1) + 1
    if groups > len(entry.group):
        raise InvalidInput("must be numbered from 0 without gaps", "certificate.group")
    duals = {}
    for name, numbers in entry.duals.items():
        field = f"certificate.duals.{name}"
        if name not in AXES:
            raise InvalidInput("is not a family of rows", field)
        shape = shape_of(name, instance, entry.regions, groups, len(cuts), len(roundings))
        if tuple(numbers.shape) != shape:
            raise InvalidInput(f"must be {list(shape)}, found {numbers.shape}", f"{field}.shape")
        duals[name] = _unpacked(numbers.values, shape, f"{field}.values")
    return Certificate(
        entry.regions,
        tuple(entry.group),
        tuple(cuts),
        tuple(entry.tangents),
        duals,
        tuple(roundings),
    )


def _packed(values: np.ndarray) -> str:
    by_slot = np.ascontiguousarray(np.moveaxis(values, 0, -1), dtype="<f8")
    raw = by_slot.reshape(-1).view(np.uint8)
    by_rank = np.ascontiguousarray(raw.reshape(-1, 8).T)
    return base64.b64encode(zlib.compress(by_rank.tobytes(), 9)).decode("ascii")


def _unpacked(text: str, shape: tuple[int, ...], field: str) -> np.ndarray:
    count = math.prod(shape)
    if count > MOST_NUMBERS:
        raise InvalidInput(f"may hold at most {MOST_NUMBERS} numbers", field)
    try:
        unzip = zlib.decompressobj()
        raw = unzip.decompress(base64.b64decode(text, validate=True), 8 * count + 1)
    except (binascii.Error, zlib.error, ValueError):
        raise InvalidInput("is not compressed numbers in base64", field) from None
    if len(raw) != 8 * count or not unzip.eof:
        raise InvalidInput(f"must hold {count} numbers", field)
    by_rank = np.frombuffer(raw, np.uint8).reshape(8, count)
    by_slot = np.ascontiguousarray(by_rank.T).view("<f8").reshape(*shape[1:], shape[0])
    values = np.ascontiguousarray(np.moveaxis(by_slot, -1, 0))
    if not np.isfinite(values).all():
        raise InvalidInput("must be finite numbers", field)
    return values.astype(float)
