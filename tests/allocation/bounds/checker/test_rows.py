"""The checker's program is the package's, though the two share no line: row by row, by cell."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from typing import Any

import numpy as np
import pytest
from support.tiny import random_tiny_instance

from torta_opt.allocation.bounds.certificate import APART, AS_ONE, AXES, Cut, Rounding
from torta_opt.allocation.bounds.checker.columns import SCALE, Columns
from torta_opt.allocation.bounds.checker.counted import count
from torta_opt.allocation.bounds.checker.rows import NoSuchRow, Row, Rows
from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.formulations.merged import build_merged_program
from torta_opt.allocation.formulations.program import AllocationProgram
from torta_opt.allocation.formulations.whole_servers import roundings_of, with_whole_rows
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate


def programs(regions: str) -> Iterator[tuple[Instance, AllocationProgram]]:
    rng = np.random.default_rng(31)
    instances = [random_tiny_instance(rng) for _ in range(20)]
    instances += [generate(f"small/{name}") for name in ("outage", "switch", "hot", "residency")]
    for instance in [*instances, generate("paper/polska").cut(0, 2)]:
        if regions == APART:
            program = with_knapsack_rows(build_allocation_program(instance))
        else:
            tiers = int(rng.integers(1, len(instance.system.regions) + 1))
            merged = build_merged_program(instance, tiers=tiers)
            program = with_knapsack_rows(merged.program)
        yield instance, with_whole_rows(program)


def columns_of(instance: Instance, program: AllocationProgram, regions: str) -> Columns:
    data = count(instance, program.pools.of_server.tolist(), as_one=regions == AS_ONE)
    return Columns(data, program.tangents)


def cuts_of(program: AllocationProgram) -> tuple[dict[tuple[int, ...], int], list[Cut]]:
    """Cuts of the rows hull, and number of each by (p, m, k)."""
    place: dict[tuple[int, ...], int] = {}
    cuts = []
    z, hull = program.columns["z"], program.rows.get("hull")
    for n, (_, p, m, k) in enumerate([] if hull is None else hull.index.tolist()):
        if (p, m, k) not in place:
            row = program.matrix[[hull.first + n]].tocoo()
            alpha = {
                int(z.index[at - z.first][2]): int(value)
                for at, value in zip(row.col, row.data, strict=True)
                if z.first <= at < z.first + len(z)
            }
            place[p, m, k] = len(cuts)
            cuts.append(Cut(p, tuple(alpha), tuple(alpha.values())))
    return place, cuts


@pytest.mark.parametrize("regions", [APART, AS_ONE])
def test_every_row_of_the_program_is_the_checkers(regions: str) -> None:
    compared = dict.fromkeys(AXES, 0)
    for instance, program in programs(regions):
        columns = columns_of(instance, program, regions)
        place, cuts = cuts_of(program)
        roundings = [Rounding(n.class_, n.divisor) for n in roundings_of(program.pools)]
        rows = Rows(columns, cuts, roundings)
        has = {column for column, _, most in columns if most}
        names = [(name, *cell) for name, f in program.columns.items() for cell in f.index.tolist()]
        for name, family in program.rows.items():
            for number, cell in enumerate(family.index.tolist(), start=family.first):
                at = (cell[0], place[tuple(cell[1:])]) if name == "hull" else cell
                own = as_floats(rows.of_family[name](*at), has)
                row = program.matrix[[number]].tocoo()
                theirs = {names[n]: v for n, v in zip(row.col, row.data, strict=True)}
                assert own[0] == pytest.approx(theirs, rel=1e-12), (name, cell)
                sides = [program.row_lower[number], program.row_upper[number]]
                assert own[1:] == pytest.approx(sides, rel=1e-12, abs=1e-12), (name, cell)
                compared[name] += 1
    left_out = {"spread"} if regions == APART else {"reroute", "change"}
    assert {name for name, number in compared.items() if not number} == left_out


def as_floats(row: Row, has: set[tuple[object, ...]]) -> tuple[Any, ...]:
    """Coefficients by column, without columns that are 0 anyway; lower and upper side."""
    entries: dict[tuple[object, ...], float] = {}
    for column, value in row.entries:
        if column in has and value:
            assert column not in entries
            entries[column] = value / row.over
    lower = -np.inf if row.lower is None else row.lower / row.over
    upper = np.inf if row.upper is None else row.upper / row.over
    return entries, lower, upper


@pytest.mark.parametrize("regions", [APART, AS_ONE])
def test_columns_are_the_programs_boxes_included(regions: str) -> None:
    for instance, program in programs(regions):
        own = {c: float(most) for c, _, most in columns_of(instance, program, regions) if most}
        theirs = {
            (name, *cell): most
            for name, family in program.columns.items()
            for cell, most in zip(
                family.index.tolist(), program.upper[family.numbers].tolist(), strict=True
            )
        }
        if regions == AS_ONE:  # segments of equal cost may stand in any order
            own = {c: most for c, most in own.items() if c[0] != "excess"}
            theirs = {c: most for c, most in theirs.items() if c[0] != "excess"}
        further = {c: own.pop(c) for c in own.keys() - theirs.keys()}
        assert own == pytest.approx(theirs, rel=1e-12)
        ways = instance.system.allowed.sum(axis=1)  # no way to change, so no column
        assert all(c[0] in ("moved", "rise", "fall") and ways[c[2]] == 1 for c in further)


def test_costs_are_the_programs_and_never_above_the_exact_ones() -> None:
    for instance, program in islice(programs(APART), 44):
        columns = columns_of(instance, program, APART)
        own = {column: usd for column, usd, most in columns if most}
        for name, family in program.columns.items():
            for cell, usd in zip(
                family.index.tolist(), program.cost[family.numbers].tolist(), strict=True
            ):
                assert own[(name, *cell)] / SCALE == pytest.approx(usd, rel=1e-12, abs=1e-15)
        assert columns.constant / SCALE == pytest.approx(program.constant, rel=1e-12, abs=1e-12)
        v, system = Fraction(system_weight(instance)), instance.system
        for (name, *cell), usd in own.items():
            if name == "x":
                _, i, j, c = cell
                transfer = Fraction(system.weights.transfer_factor) * Fraction(
                    float(system.transfer_usd[i, j, c])
                )
                exact = v * Fraction(float(system.latency_s[i, j])) + transfer
                assert 0 <= exact - Fraction(usd, SCALE) < Fraction(1, SCALE)


def system_weight(instance: Instance) -> float:
    return instance.system.weights.time_usd_per_s


def test_rows_that_the_rules_do_not_know_are_refused() -> None:
    instance = generate("small/outage")
    program = build_allocation_program(instance)
    columns = columns_of(instance, program, APART)
    rows = Rows(columns, [])
    t, p = np.argwhere(~program.pools.up)[0].tolist()
    for name, cell in (
        ("off_flow", (t, p)),
        ("ready_flow", (t, p, 0)),
        ("switch_flow", (t, p)),
        ("capacity", (t, p, 0)),
        ("fit", (t, p, 0)),
        ("spread", (t, p)),
        ("reuse", (0, p, 0)),
    ):
        with pytest.raises(NoSuchRow):
            rows.of_family[name](*cell)


def test_nothing_is_compared_where_changes_cost_nothing() -> None:
    """There is no column for what nobody pays, so a row would forbid it."""
    import dataclasses

    instance = generate("small/residency")
    weights = dataclasses.replace(instance.system.weights, reroute_usd=0.0, frobenius_usd=0.0)
    instance = instance.with_weights(weights)
    rows = Rows(columns_of(instance, build_allocation_program(instance), APART), [])
    for name in ("reroute", "change"):
        with pytest.raises(NoSuchRow):
            rows.of_family[name](1, 0, 0)
