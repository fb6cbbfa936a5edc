"""Carbon intensity of electricity as data, and a price on it.

intensity   g CO₂ per kWh by slot and region (``Instance.carbon_g_per_kwh``); what a schedule emits
            is the metric ``carbon_g``, Σ energy_kwh[t,j]·intensity[t,j].
price       π $ a tonne. Its cost, π·10⁻⁶·Σ energy_kwh·intensity, is that of dearer electricity:

                price'[t,j] = price[t,j] + π·10⁻⁶·intensity[t,j]/energy_factor

            exactly, schedule by schedule. So a carbon price is folded into the prices of an
            instance, and every program, bound, certificate and policy holds for it as it is.
"""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import numpy.typing as npt

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.instance.imports.small_csv import Row, Table, read_table
from torta_opt.io import InvalidInput

GRAMS_PER_TONNE = 1e6
LEAST_G = 2.0  # no grid's largest value is lower: then the numbers are kg or t, not g
MOST_G = 1e9  # what an instance may hold
TITLE = "g_per_kwh"
NOTE = "Electricity prices include"  # begins what the description says of a price


def with_carbon(instance: Instance, g_per_kwh: npt.ArrayLike) -> Instance:
    """The instance with an intensity of shape (R,) or (T, R)."""
    shape = instance.price_usd_per_kwh.shape
    table = np.asarray(g_per_kwh, float)
    if table.shape not in (shape, shape[1:]):
        raise InvalidInput(f"must have the shape {shape} or {shape[1:]}", "carbon_g_per_kwh")
    return dataclasses.replace(instance, carbon_g_per_kwh=np.broadcast_to(table, shape).copy())


def with_carbon_price(instance: Instance, usd_per_tonne: float) -> Instance:
    """The instance with the cost of carbon in its electricity prices.

    Raises InvalidInput if it has no intensity, or energy costs nothing in its objective.
    """
    if not (np.isfinite(usd_per_tonne) and 0 <= usd_per_tonne <= 1e6):
        raise InvalidInput(f"{usd_per_tonne:g} must lie in [0, 1e+06] $ a tonne", field="price")
    factor = instance.system.weights.energy_factor
    if factor <= 0:
        raise InvalidInput("is 0: energy has no price to add carbon to", "weights.energy_factor")
    usd = usd_per_tonne / GRAMS_PER_TONNE * intensity_of(instance) / factor
    note = f"{NOTE} {usd_per_tonne:g} $ per tonne of CO2." if usd_per_tonne else ""
    return dataclasses.replace(
        instance,
        price_usd_per_kwh=instance.price_usd_per_kwh + usd,
        description=f"{instance.description} {note}".strip(),
    )


def intensity_of(instance: Instance) -> np.ndarray:
    """(T, R) g per kWh. Raises InvalidInput if the instance has none."""
    if instance.carbon_g_per_kwh is None:
        raise InvalidInput("is missing: the instance has no carbon intensity", "carbon_g_per_kwh")
    return instance.carbon_g_per_kwh


def read_intensity(instance: Instance, path: str | os.PathLike[str]) -> np.ndarray:
    """(T, R) of a CSV with the columns region, g_per_kwh and, unless it is constant, slot or hour.

    ``hour`` counts from the beginning of slot 0. A value holds until the next one of its region.
    Raises InvalidInput.
    """
    table = read_table(path)
    table.require("region", TITLE)
    regions = {name: j for j, name in enumerate(instance.system.regions)}
    found = np.full(instance.price_usd_per_kwh.shape, np.nan)
    for row in table:
        name, value = row.text("region"), row.number(TITLE)
        if name not in regions:
            raise row.fault(f"{name!r:.40} is not a region of the instance", "region")
        if not 0 <= value <= MOST_G:
            raise row.fault(f"{value:g} must lie in [0, {MOST_G:g}]", TITLE)
        slot = _slot_of(instance, table, row)
        if not np.isnan(found[slot, regions[name]]):
            raise row.fault("repeats an earlier row")
        found[slot, regions[name]] = value
    if np.isnan(found[0]).any():
        region = instance.system.regions[int(np.argmax(np.isnan(found[0])))]
        raise InvalidInput(f"lacks a value in slot 0 for region {region!r:.60}", file=table.file)
    if 0 < np.nanmax(found) < LEAST_G:
        rule = f"the largest value is {np.nanmax(found):g}: are these kg per kWh? they must be g"
        raise InvalidInput(rule, TITLE, table.file)
    latest = np.where(np.isnan(found), 0, np.arange(instance.slots)[:, None])
    return np.take_along_axis(found, np.maximum.accumulate(latest, axis=0), axis=0)


def _slot_of(instance: Instance, table: Table, row: Row) -> int:
    per_hour = 3_600_000 / instance.system.slot_ms
    if "slot" in table.titles:
        title, slot, end = "slot", row.whole("slot"), float(instance.slots)
    elif "hour" in table.titles:
        title, end = "hour", instance.slots / per_hour
        exact = row.number(title) * per_hour
        slot = round(exact)
        if abs(exact - slot) > 1e-6:
            raise row.fault(f"{row.cells[title]} is not the beginning of a slot", title)
    else:
        return 0
    if not 0 <= slot < instance.slots:
        raise row.fault(f"{row.cells[title]} must lie in [0, {end:g})", title)
    return slot
