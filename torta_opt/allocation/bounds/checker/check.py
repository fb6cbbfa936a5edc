"""What a certificate proves, in exact arithmetic and without a solver.

For a program  min c·v + k,  l ≤ A·v ≤ u,  0 ≤ v ≤ b  and any row of numbers y

    c·v + k  ≥  k + Σ_i y_i·(l_i if y_i > 0 else u_i) + Σ_j min(0, (c − Aᵀy)_j)·b_j

holds for all v that keep rows and boxes (Neumaier and Shcherbina, Safe bounds in linear and
mixed-integer linear programming, Mathematical Programming 99, 2004). An entry of y on a side that
its row does not have is left out. Here y is taken as a whole number of units (2⁻⁸⁰ dollars: any y
will do); costs and quotients are rounded down, all else is exact, and so the sum is a lower bound.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from fractions import Fraction

from torta_opt.allocation.bounds.certificate import APART, AXES, Certificate
from torta_opt.allocation.bounds.checker.columns import SCALE, Column, Columns, units
from torta_opt.allocation.bounds.checker.counted import count
from torta_opt.allocation.bounds.checker.rows import NoSuchRow, Rows
from torta_opt.allocation.instance.data import Instance
from torta_opt.io.errors import InvalidInput

Charges = Mapping[Column, float]


def proven_by(
    certificate: Certificate, instance: Instance, charges: Charges | None = None
) -> Fraction:
    """Dollars that no legal schedule of ``instance`` costs less than.

    charges   dollars by column that a schedule pays beside its cost, for each unit of the column:
              a penalty on foresight. The rows do not depend on them

    Raises InvalidInput where the certificate does not fit the instance.
    """
    data = count(instance, certificate.group, as_one=certificate.regions != APART)
    columns = Columns(data, certificate.tangents)
    rows = Rows(columns, certificate.cuts, certificate.roundings)
    activity: dict[Column, int] = defaultdict(int)  # Aᵀy, rounded up
    total = columns.constant
    for family, cell, y in _numbers(certificate, instance, len(data.groups)):
        try:
            row = rows.of_family[family](*cell)
        except NoSuchRow:
            raise InvalidInput(f"has no row {cell}", f"certificate.duals.{family}") from None
        side = row.lower if y > 0 else row.upper
        if side is None:
            continue
        total += y * side // row.over
        if row.over == 1:
            for column, coefficient in row.entries:
                activity[column] += y * coefficient
        else:
            for column, coefficient in row.entries:
                activity[column] -= -y * coefficient // row.over
    for column, cost, most in columns:
        reduced = cost - activity.get(column, 0)
        if charges is not None and column in charges:
            reduced += units(charges[column])
        if reduced < 0:
            total += reduced * most // 1
    return Fraction(total, SCALE)


def certified_bound(
    certificate: Certificate, instance: Instance, charges: Charges | None = None
) -> float:
    """The same as the largest float64 that is not above it; −inf if there is none."""
    return rounded_down(proven_by(certificate, instance, charges))


def rounded_down(value: Fraction) -> float:
    try:
        nearest = float(value)
    except OverflowError:
        return -math.inf if value < 0 else math.nextafter(math.inf, 0)
    return nearest if nearest <= value else math.nextafter(nearest, -math.inf)


def _numbers(
    certificate: Certificate, instance: Instance, groups: int
) -> Iterator[tuple[str, tuple[int, ...], int]]:
    """(family, cell, number in units) of every number that is not 0."""
    for family, values in certificate.duals.items():
        field = f"certificate.duals.{family}"
        if family not in AXES:
            raise InvalidInput("is not a family of rows", field)
        shape = certificate.shape_of(family, instance, groups)
        if values.shape != shape:
            raise InvalidInput(f"must have the shape {shape}, found {values.shape}", field)
        cells = zip(*(axis.tolist() for axis in values.nonzero()), strict=True)
        for cell, number in zip(cells, values[values.nonzero()].tolist(), strict=True):
            if number - number != 0:
                raise InvalidInput("must be finite numbers", field)
            yield family, cell, _in_units(number)


def _in_units(number: float) -> int:
    numerator, denominator = number.as_integer_ratio()
    return numerator * SCALE // denominator
