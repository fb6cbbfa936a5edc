"""Which part of a trace becomes the slots of an instance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.instance.imports.counts import Counts
from torta_opt.allocation.instance.imports.spool import Spool
from torta_opt.io import InvalidInput

DEFAULT_SLOTS = 480  # the paper's horizon; a longer trace is cut unless the user says otherwise
MAX_SLOTS = 100_000


@dataclass(frozen=True)
class Part:
    """Slots ``start_ms`` + [0, slots)·slot_ms of a trace, by the trace's own clock.

    Says in ``reason`` why this part, if it is not the whole.
    """

    start_ms: int
    slots: int
    slot_ms: int
    reason: str = ""

    @property
    def end_ms(self) -> int:
        return self.start_ms + self.slots * self.slot_ms


def choose_part(spool: Spool, slot_ms: int, start_s: float | None, slots: int | None) -> Part:
    """The part that the user asks for; by default all, or the busiest ``DEFAULT_SLOTS`` slots.

    ``start_s`` counts from the first request; slots are counted from there too.
    """
    length_ms = spool.last_ms - spool.first_ms + 1
    if start_s is not None:
        offset_ms = round(start_s * 1000)
        if offset_ms >= length_ms:
            raise InvalidInput(
                f"must lie within the trace, which is {length_ms / 1000:.6g} s long",
                field="start_s",
            )
        return given_part(spool.first_ms + offset_ms, length_ms - offset_ms, slot_ms, slots)
    whole = -(-length_ms // slot_ms)
    wanted = DEFAULT_SLOTS if slots is None else slots
    if whole <= wanted:
        return Part(spool.first_ms, whole, slot_ms)
    first = _busiest(spool, slot_ms, wanted)
    reason = f"the busiest {wanted} of the trace's {whole} slots"
    return Part(spool.first_ms + first * slot_ms, wanted, slot_ms, reason)


def given_part(start_ms: int, left_ms: int, slot_ms: int, slots: int | None) -> Part:
    """``slots`` slots from ``start_ms`` on, as far as the trace goes."""
    left = -(-left_ms // slot_ms)
    wanted = DEFAULT_SLOTS if slots is None else slots
    reason = "the part asked for" if left <= wanted else f"{wanted} of the {left} slots from there"
    return Part(start_ms, min(wanted, left), slot_ms, reason)


def _busiest(spool: Spool, slot_ms: int, length: int) -> int:
    """First slot of the ``length`` slots in a row with the most requests, the earliest of these."""
    by_slot = Counts()
    for batch in spool.batches():
        by_slot.add((batch.arrival_ms - spool.first_ms) // slot_ms)
    before = np.concatenate([[0], np.cumsum(by_slot.counts)])
    end = np.searchsorted(by_slot.values, by_slot.values + length)
    first = int(by_slot.values[np.argmax(before[end] - before[:-1])])
    last_start = int(by_slot.values[-1]) + 1 - length
    return min(first, last_start)
