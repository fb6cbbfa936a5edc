"""Which instances are independent draws: the units that intervals count."""

from __future__ import annotations

from collections.abc import Iterable

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.instance.document import instance_sha256, instance_to_document
from torta_opt.io import sha256_of

NOT_SYSTEM = (
    *("name", "description", "weights", "initial"),
    *("outages", "price_usd_per_kwh", "carbon_g_per_kwh", "arrivals"),
)
ALIKE_SLOTS = 2  # in a row with the same requests: one slot may be alike by chance


def distinct(instances: Iterable[Instance]) -> dict[str, Instance]:
    """Hash → instance, each content once."""
    return {instance_sha256(instance): instance for instance in instances}


def units(instances: Iterable[Instance]) -> dict[str, str]:
    """Hash of an instance → hash of the first one that it shares demand with, or its own.

    Two share demand if their systems are the same, weights aside, and one begins within the other
    with the same requests in every slot that both have, ``ALIKE_SLOTS`` in a row at the least that
    have any: cuts that overlap, and the same demand at other prices, weights or outages.
    """
    found: dict[str, str] = {}
    seen: list[tuple[str, str, list[bytes]]] = []
    for sha256, instance in distinct(instances).items():
        system, demand = _system_sha256(instance), [each.tobytes() for each in instance.arrivals]
        alike = [found[one] for one, its, other in seen if its == system and _alike(demand, other)]
        found[sha256] = alike[0] if alike else sha256
        merged = set(alike)
        found = {one: found[sha256] if unit in merged else unit for one, unit in found.items()}
        seen.append((sha256, system, demand))
    return found


def system_count(instances: Iterable[Instance]) -> int:
    """How many systems the instances are of: fleets with their regions, models and classes."""
    return len({_system_sha256(instance) for instance in instances})


def _system_sha256(instance: Instance) -> str:
    """Hash of the fleet, the models, the classes and what they do, without weights and demand."""
    document = instance_to_document(instance.cut(0, 1))
    return sha256_of({name: each for name, each in document.items() if name not in NOT_SYSTEM})


def _alike(one: list[bytes], two: list[bytes]) -> bool:
    """Whether either begins within the other and is the same as far as both go."""
    if one == two:
        return True
    return _continues(one, two) or _continues(two, one)


def _continues(earlier: list[bytes], later: list[bytes]) -> bool:
    for start, slot in enumerate(earlier):
        if slot != later[0]:
            continue
        common = earlier[start : start + len(later)]
        if common == later[: len(common)] and _is_busy(common):
            return True
    return False


def _is_busy(slots: list[bytes]) -> bool:
    """Whether requests arrive in ``ALIKE_SLOTS`` slots in a row."""
    run = 0
    for slot in slots:
        run = run + 1 if any(slot) else 0
        if run == ALIKE_SLOTS:
            return True
    return False
