"""Classes that may be served in some regions only (``regions`` of a class).

Which classes a server serves is a matter of its type, so a region that may not serve all of them
has types of its own, ``4xH100@us-east``. There is no further rule: a class that a type cannot serve
is what verifier, programs and proofs know already.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torta_opt.allocation.site.faults import Faults
from torta_opt.allocation.site.files import Site
from torta_opt.allocation.site.service import Chosen


class Placed(Protocol):
    """Servers of one type in one region."""

    @property
    def region(self) -> str: ...

    @property
    def type(self) -> str: ...


def barred_by_region(site: Site, faults: Faults) -> dict[str, frozenset[str]]:
    """By region: classes that may be served in others only."""
    names = [region.name for region in site.document.regions]
    for position, kind in enumerate(site.document.classes):
        for name in kind.regions or ():
            if name not in names:
                faults.add(f"classes[{position}].regions", f"{name!r} is not in [[regions]]")
    return {
        name: frozenset(
            kind.name
            for kind in site.document.classes
            if kind.regions is not None and name not in kind.regions
        )
        for name in names
    }


def check_regions(
    site: Site, pools: Sequence[Placed], chosen: Sequence[Chosen], faults: Faults, notes: list[str]
) -> None:
    """Every class that names its regions has a server in one of them that can serve it."""
    served = {(each.type, each.class_) for each in chosen}
    for position, kind in enumerate(site.document.classes):
        if kind.regions is None or not any(name == kind.name for _, name in served):
            continue
        able = [pool.region for pool in pools if (pool.type, kind.name) in served]
        if not set(able) & set(kind.regions):
            faults.add(
                f"classes[{position}].regions",
                f"no server in {', '.join(kind.regions)} can serve {kind.name}; those that can "
                f"are in {', '.join(dict.fromkeys(able)) or 'no region'}",
            )
        else:
            notes.append(f"{kind.name} is served in {', '.join(kind.regions)} only")
