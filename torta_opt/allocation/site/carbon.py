"""Carbon intensity of a site's electricity, and whether its energy is counted.

Energy is counted where it is paid. If every server is bought with its electricity included, it is
counted all the same once the intensity is known, at a price of 0: so the carbon is that of the
servers, and the cost stays what is paid. A site with both ways of buying counts only the energy
that it pays: a region has one price of electricity, whoever pays it.
"""

from __future__ import annotations

from torta_opt.allocation.instance.carbon import read_intensity, with_carbon
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.site.faults import Faults
from torta_opt.allocation.site.files import Site
from torta_opt.allocation.site.fleet import FleetTables


def knows_carbon(site: Site) -> bool:
    regions = site.document.regions
    return site.document.carbon.file is not None or any(
        region.carbon_g_per_kwh is not None for region in regions
    )


def counts_unpaid_energy(site: Site, fleet: FleetTables) -> bool:
    """Whether energy that nobody pays apart from the rent is counted, at a price of 0."""
    included = site.document.electricity.included_in
    return knows_carbon(site) and all(pool.buy in included for pool in fleet.pools)


def check_carbon(site: Site, fleet: FleetTables, faults: Faults, notes: list[str]) -> None:
    """Every region has an intensity, from one source."""
    document = site.document
    if not knows_carbon(site):
        return
    for i, region in enumerate(document.regions):
        where = f"regions[{i}].carbon_g_per_kwh"
        if document.carbon.file is not None and region.carbon_g_per_kwh is not None:
            faults.add(where, "is given with [carbon] file, which has it too")
        if document.carbon.file is None and region.carbon_g_per_kwh is None:
            faults.add(
                where,
                "is missing: other regions have one",
                'carbon_g_per_kwh = 350 (or [carbon] file = "carbon.csv")',
            )
    included = {pool.label for pool in fleet.pools if pool.buy in document.electricity.included_in}
    if counts_unpaid_energy(site, fleet):
        notes.append("energy is counted for its carbon, at a price of 0: the rent includes it")
    elif included:
        told = ", ".join(label for label in fleet.labels if label in included)
        notes.append(f"carbon is that of the energy you pay; the energy of {told} is not counted")


def with_site_carbon(site: Site, instance: Instance) -> Instance:
    """The instance with the site's intensity, if there is one. Raises InvalidInput."""
    if not knows_carbon(site):
        return instance
    if site.document.carbon.file is not None:
        return with_carbon(instance, read_intensity(instance, site.path(site.document.carbon.file)))
    return with_carbon(instance, [r.carbon_g_per_kwh or 0.0 for r in site.document.regions])
