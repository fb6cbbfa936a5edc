"""The requests that the plan sends to each region, as a trace in Mooncake's format.

JSON lines: ``timestamp`` in milliseconds from slot 0, ``input_length``, ``output_length``,
``hash_ids`` (blocks of 512 tokens; all different, since a plan knows no prefixes). Requests of a
slot are spread evenly over it, the classes among each other; lengths are the means of the class.
"""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.plan.data import Plan
from torta_opt.allocation.plan.exports.replicas import distinct, kubernetes_name
from torta_opt.io import InvalidInput

BLOCK = 512
MAX_REQUESTS = 5_000_000


def export(plan: Plan, minutes: int) -> dict[str, bytes]:
    """One trace per region that is sent requests."""
    if plan.site is None:
        raise InvalidInput(
            "needs the token counts of the classes: --site SITE", field="--export mooncake"
        )
    total = int(plan.schedule.routing.sum())
    if total > MAX_REQUESTS:
        raise InvalidInput(
            f"writes {total:,} requests, more than {MAX_REQUESTS:,}: plan fewer slots (--slots)",
            field="--export mooncake",
        )
    system = plan.instance.system
    inflow = plan.schedule.routing.sum(axis=1)  # (T, R, C)
    tokens = [tuple(round(n) for n in plan.site.tokens[name]) for name in system.classes]
    names = distinct(map(kubernetes_name, system.regions))
    return {
        f"{name}.jsonl.gz": _lines(inflow[:, j], tokens, system.slot_ms)
        for j, name in enumerate(names)
        if inflow[:, j].any()
    }


def _lines(inflow: np.ndarray, tokens: list[tuple[int, ...]], slot_ms: int) -> bytes:
    """``inflow`` (T, C): requests by slot and class."""
    lines: list[str] = []
    block = 0
    for t, counts in enumerate(inflow.tolist()):
        at = [
            (slot_ms * (2 * n + 1) // (2 * count), c)
            for c, count in enumerate(counts)
            for n in range(count)
        ]
        for ms, c in sorted(at):
            given, out = tokens[c]
            blocks = -(-given // BLOCK)
            ids = ", ".join(map(str, range(block, block + blocks)))
            block += blocks
            lines.append(
                f'{{"timestamp": {t * slot_ms + ms}, "input_length": {given}, '
                f'"output_length": {out}, "hash_ids": [{ids}]}}\n'
            )
    return "".join(lines).encode()
