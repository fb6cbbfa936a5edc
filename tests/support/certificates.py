"""Certificates of random numbers, and what the package's own text says they prove."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from torta_opt.allocation.bounds.certificate import APART, AS_ONE, Certificate, Cut
from torta_opt.allocation.bounds.certify import certificate_of, merged_certificate
from torta_opt.allocation.bounds.lp import prove
from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.formulations.merged import MergedProgram, build_merged_program
from torta_opt.allocation.formulations.program import AllocationProgram
from torta_opt.allocation.formulations.whole_servers import with_whole_rows
from torta_opt.allocation.instance import Instance

SIZES = (0.001, 0.01, 0.1, 1.0)  # dollars


def noise(rng: np.random.Generator, program: AllocationProgram) -> np.ndarray:
    """Row duals of no meaning: dense or sparse, large or small, on all sides."""
    rows = len(program.row_lower)
    dual = rng.normal(0, rng.choice(SIZES), rows) * (rng.random(rows) < rng.choice([0.05, 0.5, 1]))
    most = np.ones(rows)
    np.maximum.at(most, program.matrix.tocoo().row, np.abs(program.matrix.tocoo().data))
    return dual / most if rng.random() < 0.5 else dual


def apart(instance: Instance) -> AllocationProgram:
    return with_whole_rows(with_knapsack_rows(build_allocation_program(instance)))


def as_one(instance: Instance, tiers: int | None = None) -> MergedProgram:
    merged = build_merged_program(instance, tiers=tiers)
    program = with_whole_rows(with_knapsack_rows(merged.program))
    return dataclasses.replace(merged, program=program)


def random_certificate(
    instance: Instance, rng: np.random.Generator, regions: str, bits: int = 53
) -> tuple[Certificate, float]:
    """A certificate of noise, and what ``prove`` says of the same numbers."""
    if regions == APART:
        program = apart(instance)
        dual = noise(rng, program)
        certificate = certificate_of(program, dual, bits=bits)
    else:
        merged = as_one(instance, int(rng.integers(1, len(instance.system.regions) + 1)))
        program = merged.program
        dual = noise(rng, program)
        certificate = merged_certificate(merged, dual, bits=bits)
    assert certificate is not None
    return certificate, prove(program, dual)


def near(value: float) -> float:
    return 1e-9 * (1 + abs(value)) if math.isfinite(value) else 0.0


def corrupted(certificate: Certificate, rng: np.random.Generator) -> Certificate:
    """One number, cut, group or tangent changed."""
    duals = {name: values.copy() for name, values in certificate.duals.items()}
    kind = rng.choice(["number", "sign", "place", "cut", "cuts", "group", "tangents", "regions"])
    if kind in ("number", "sign", "place") and duals:
        values = duals[str(rng.choice(sorted(duals)))].reshape(-1)
        n, other = rng.integers(values.size), rng.integers(values.size)
        if kind == "number":
            values[n] = rng.choice([1e300, -1e300, 1.0, -1.0, 1e-300, rng.normal()])
        elif kind == "sign":
            values[n] = -values[n]
        else:
            values[[n, other]] = values[[other, n]]
        return dataclasses.replace(certificate, duals=duals)
    if kind == "cut" and certificate.cuts:
        n = int(rng.integers(len(certificate.cuts)))
        cut = certificate.cuts[n]
        alpha = tuple(int(a) for a in rng.integers(0, 9, len(cut.alpha)))
        cuts = list(certificate.cuts)
        cuts[n] = Cut(int(rng.integers(3)), cut.classes, alpha)
        return dataclasses.replace(certificate, cuts=tuple(cuts))
    if kind == "cuts" and certificate.cuts:
        return dataclasses.replace(certificate, cuts=certificate.cuts[::-1])
    if kind == "group":
        group = rng.permutation(certificate.group).tolist()
        return dataclasses.replace(certificate, group=tuple(group))
    if kind == "tangents":
        points = tuple(np.sort(rng.random(len(certificate.tangents))).tolist())
        return dataclasses.replace(certificate, tangents=points)
    other = AS_ONE if certificate.regions == APART else APART
    return dataclasses.replace(certificate, regions=other)
