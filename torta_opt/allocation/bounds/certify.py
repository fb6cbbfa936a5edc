"""Certificates from what a bound method has found: a program and a row of duals.

Only the form changes: numbers are put into the order of cells, and cuts are named by what they
weigh. What the certificate is worth says the checker (``checker``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torta_opt.allocation.bounds.certificate import APART, AS_ONE, AXES, Certificate, Cut, Rounding
from torta_opt.allocation.formulations.whole_servers import roundings_of

if TYPE_CHECKING:
    from torta_opt.allocation.formulations.merged import MergedProgram
    from torta_opt.allocation.formulations.program import AllocationProgram

BITS = 34  # per number: costs a hundred-millionth of the bound, saves a third of the file


def certificate_of(
    program: AllocationProgram, dual: np.ndarray, *, bits: int = BITS
) -> Certificate | None:
    """The certificate of duals of an allocation program, rounded to ``bits`` binary digits.

    None if they use rows that no certificate can name, as a user's own.
    """
    return _certificate(program, dual, APART, bits)


def merged_certificate(
    merged: MergedProgram, dual: np.ndarray, *, bits: int = BITS
) -> Certificate | None:
    """The certificate of duals of a merged program.

    The program charges the least price and rent anywhere for a server that is on, and the rest by
    columns off and stop; a certificate is about one that charges the least of the group at once.
    The same numbers prove the same if those of server flows are higher by the rest, summed over
    the slots to come: it is the same objective, plus flow rows.
    """
    program = merged.program
    dual = dual.copy()
    ahead = _dearer_ahead(program)
    for name, sign in (("off_flow", 1.0), ("ready_flow", 1.0), ("switch_flow", -1.0)):
        family = program.rows[name]
        t, p = family.index.T[:2]
        dual[family.numbers] += sign * ahead[t, p]
    return _certificate(program, dual, AS_ONE, bits)


def _dearer_ahead(program: AllocationProgram) -> np.ndarray:
    """(T, G) what columns off take back per server from slot t to the end of its run."""
    off, pools = program.columns["off"], program.pools
    ahead = np.zeros(off.number.shape)
    ahead[tuple(off.index.T)] = -program.cost[off.numbers]
    for t in range(len(ahead) - 2, -1, -1):
        ahead[t] += np.where(pools.up[t] & pools.up[t + 1], ahead[t + 1], 0.0)
    return ahead


def _certificate(
    program: AllocationProgram, dual: np.ndarray, regions: str, bits: int
) -> Certificate | None:
    dual = np.where(np.isfinite(dual), dual, 0.0)
    dual = np.where((dual > 0) & ~np.isfinite(program.row_lower), 0.0, dual)
    dual = np.where((dual < 0) & ~np.isfinite(program.row_upper), 0.0, dual)
    mantissa, exponent = np.frexp(dual)
    dual = np.ldexp(np.round(mantissa * 2.0**bits) / 2.0**bits, exponent)
    used = {name: family for name, family in program.rows.items() if dual[family.numbers].any()}
    if not used.keys() <= AXES.keys() or dual[len(dual) - len(program.further_rows) :].any():
        return None
    duals = {}
    for name, family in used.items():
        if name != "hull":
            duals[name] = np.zeros(family.number.shape)
            duals[name][tuple(family.index.T)] = dual[family.numbers]
    cuts, values = _cuts(program, dual)
    if cuts:
        duals["hull"] = values
    roundings: tuple[Rounding, ...] = ()
    if "whole" in used:
        roundings = tuple(Rounding(n.class_, n.divisor) for n in roundings_of(program.pools))
    group = tuple(program.pools.of_server.tolist())
    return Certificate(regions, group, cuts, program.tangents, duals, roundings)


def _cuts(program: AllocationProgram, dual: np.ndarray) -> tuple[tuple[Cut, ...], np.ndarray]:
    """Cuts with a number that is not 0, and (T, cuts) their numbers."""
    found: list[Cut] = []
    numbers: list[np.ndarray] = []
    family = program.rows.get("hull")
    if family is None:
        return (), np.zeros((program.instance.slots, 0))
    values = np.zeros(family.number.shape)
    values[tuple(family.index.T)] = dual[family.numbers]
    z = program.columns["z"]
    for p, m, k in np.argwhere(values.any(axis=0)).tolist():
        t = int(np.argmax(values[:, p, m, k] != 0))
        row = program.matrix[[int(family.number[t, p, m, k])]].tocoo()
        entries = {
            int(z.index[column - z.first][2]): int(value)
            for column, value in zip(row.col.tolist(), row.data.tolist(), strict=True)
            if z.first <= column < z.first + len(z)
        }
        found.append(Cut(p, tuple(entries), tuple(entries.values())))
        numbers.append(values[:, p, m, k])
    return tuple(found), np.stack(numbers, axis=1) if numbers else values[:, 0, 0, :0]
