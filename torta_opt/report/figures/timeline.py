"""The time axis of pictures over slots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torta_opt.allocation.instance import Instance

FEW = 100  # slots that people count


def hours_of(instance: Instance) -> np.ndarray:
    """(T,) start of each slot: slots where there are few, hours otherwise."""
    slots = np.arange(instance.slots)
    return slots if instance.slots <= FEW else slots * instance.system.slot_hours


def time_axis(instance: Instance) -> str:
    """The label that goes with ``hours_of``."""
    if instance.slots <= FEW:
        return f"slot of {instance.system.slot_s:g} s"
    return "hours from the start"
