"""Breaking anything in the checker is noticed: numbers, comparisons, sums, conditions, entries."""

from __future__ import annotations

import dataclasses
import math
import sys
import types
from collections.abc import Iterator
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from support.certificates import near, random_certificate
from support.checker_mutants import Mutant, mutants
from support.tiny import random_tiny_instance

from torta_opt.allocation.bounds.certificate import (
    APART,
    AS_ONE,
    AXES,
    Certificate,
    Cut,
    Rounding,
    shape_of,
)
from torta_opt.allocation.bounds.checker import check
from torta_opt.allocation.bounds.checker.columns import SCALE, Columns
from torta_opt.allocation.bounds.checker.counted import count
from torta_opt.allocation.bounds.checker.rows import NoSuchRow, Rows
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.data import Initial
from torta_opt.allocation.instance.generate import generate
from torta_opt.io import InvalidInput

MUTANTS = mutants()

# Mutants that do no harm, by the reason why.
HARMLESS = {
    "what is read only where it is right, or not at all": (
        "counted: since, until = [0] * slots, [0] * slots | 0 + 1",
        "columns: found = 0, 1 | 0 + 1",
        "columns: found = 0, 1 | 1 + 1",
        "columns: return 0, 1 | 0 + 1",
        "columns: return 0, 1 | 1 + 1",
        "columns: hot, best = data.instance.system.hot_permille, Fraction(-1) | 1 + 1",
        "rows: model = self.data.model_of[cut.classes[0]] | 0 + 1",
    ),
    "server time beyond a slot leaves no room for a request either way": (
        "counted: work = [ms if ms <= system.slot_ms else 0 for ms in "
        "system.server_ms[kind].tolist()] | always: ms <= system.slot_ms",
    ),
    "slot −1 is slot T−1 here, whose entry says t itself": (
        "counted: since[t] = since[t - 1] if t > 0 and is_up[t] and is_up[t - 1] else t"
        " | turned: t > 0",
    ),
    "another unit": ("columns: SCALE = 2**80 | 2 + 1", "columns: SCALE = 2**80 | 80 + 1"),
    "columns more that no row or no cost needs": (
        "columns: if not (self.has_moved or self.has_change): | "
        "never: not (self.has_moved or self.has_change)",
        "columns: if self.data.groups[p].up[t]: | always: self.data.groups[p].up[t]",
        "columns: if not data.allowed[i][j] or not less: | "
        "never: not data.allowed[i][j] or not less",
        "columns: if not data.allowed[i][j] or not less: | "
        "turned: not data.allowed[i][j] or not less",
        "columns: if _is_faster_hot(data, group, c): | always: _is_faster_hot(data, group, c)",
        "columns: return bool(system.hot_service_s[group.kind, c] < "
        "system.service_s[group.kind, c]) | turned: system.hot_service_s[group.kind, c] < "
        "system.service_s[group.kind, c]",
        "columns: if not self.processed[t][p][c]: | never: not self.processed[t][p][c]",
        "columns: self.has_moved = not data.as_one and weights.reroute_usd > 0 | "
        "turned: weights.reroute_usd > 0",
        "columns: for k, (usd, length) in enumerate(slopes if self.has_change else ()): | "
        "always: self.has_change",
    ),
    "h/1000 is attained at n = 1000": (
        "columns: for n in range(1, min(data.slot_ms // group.work_ms[c], 1000) + 1): | 1000 + 1",
    ),
    "some right cuts and tangents are refused as well": (
        "columns: if len(points) < 2 or points[-1] > 1 or any(b <= a for a, b in "
        "pairwise(points)): | 2 + 1",
        "columns: if len(points) < 2 or points[-1] > 1 or any(b <= a for a, b in "
        "pairwise(points)): | turned: len(points) < 2",
        "rows: if any(alpha < 0 for alpha in cut.alpha): | turned: alpha < 0",
        "rows: if any(alpha < 0 for alpha in cut.alpha): | 0 + 1",
    ),
    "a size of memory": ("knapsack: @lru_cache(maxsize=100_000) | 100000 + 1",),
    "entries of columns that do not exist": (
        "rows: if t > group.since[t]: | always: t > group.since[t]",
        "rows: if t > group.since[t]: | turned: t > group.since[t]",
        "rows: if loading is not None and t - loading.slots + 1 >= group.since[t]: | 1 + 1",
    ),
    "the same sum, or lower by 2⁻⁸⁰ dollars": (
        "check: if row.over == 1: | never: row.over == 1",
        "check: reduced = cost - activity.get(column, 0) | 0 + 1",
    ),
    "whole numbers on either side of the limit give the same": (
        "check: if reduced < 0: | turned: reduced < 0",
        "check: side = row.lower if y > 0 else row.upper | turned: y > 0",
        "check: if reduced < 0: | 0 + 1",
        "check: side = row.lower if y > 0 else row.upper | 0 + 1",
        "check: return -math.inf if value < 0 else math.nextafter(math.inf, 0) | turned: value < 0",
        "check: return -math.inf if value < 0 else math.nextafter(math.inf, 0) | 0 + 1",
    ),
}


@cache
def cases(count: int) -> list[tuple[Instance, Certificate, float]]:
    """Certificates of noise and what they prove."""
    rng, found = np.random.default_rng(50), []
    for n in range(count):
        instance = random_tiny_instance(rng)
        if n % 10 < 2:
            instance = _cut_off(instance)
        found.append((instance, *random_certificate(instance, rng, (APART, AS_ONE)[n % 2])))
    return found


def _cut_off(instance: Instance) -> Instance:
    """The same, but servers that hold a model load it still, and an outage in slot 0 ends that.

    The loading would end in the middle of slot 1, with time left that the outage takes away.
    """
    initial, up = instance.initial, instance.up.copy()
    up[0] = False
    loading = np.where(initial.model >= 0, 3 * instance.system.slot_ms // 2, 0)
    initial = dataclasses.replace(
        initial, loading_ms=loading, processing=np.zeros_like(initial.processing)
    )
    return dataclasses.replace(instance, up=up, initial=initial)


@cache
def wrong_sides() -> list[tuple[Instance, Certificate, float]]:
    """Numbers on sides that rows do not have: they count as 0."""
    found = []
    for instance, certificate, _ in cases(60):
        duals = {}
        for name, sign in (("deadline", 1.0), ("hot_served", 2.0), ("spread", -1.0)):
            if name in certificate.duals:
                there = certificate.duals[name] != 0
                duals[name] = np.where(there, sign, 0.0)
        kept = {name: v for name, v in certificate.duals.items() if name not in duals}
        base = dataclasses.replace(certificate, duals=kept)
        if duals:
            changed = dataclasses.replace(certificate, duals=kept | duals)
            found.append((instance, changed, check.certified_bound(base, instance)))
    return found


@cache
def refusals() -> list[tuple[Instance, Certificate]]:
    """Certificates that say something the checker must not believe."""
    return [*_bad_parts(), *_rows_that_do_not_exist()]


def _bad_parts() -> Iterator[tuple[Instance, Certificate]]:
    rng = np.random.default_rng(51)
    instance = random_tiny_instance(rng, servers=4, types=3, regions=2, classes=3, models=2)
    good = Certificate(APART, tuple(range(4)), (), (0.5, 1.0), {})
    for group in ((0, 0, 0, 0), (0, 1, 2), (1, 2, 3, 4), (0, 1, 3, 4)):
        yield instance, dataclasses.replace(good, group=group)
    for points in ((), (0.5, 0.5), (0.5, 0.25), (0.0, 1.0), (0.5, 1.5)):
        yield instance, dataclasses.replace(good, tangents=points)
    for duals in (
        {"wish": np.ones(1)},
        {"route": np.ones((1, 1, 1))},
        {"route": np.full((instance.slots, 2, 3), np.nan)},
        {"route": np.full((instance.slots, 2, 3), np.inf)},
    ):
        yield instance, dataclasses.replace(good, duals=duals)
    instance = generate("small/switch")
    good = Certificate(APART, tuple(range(len(instance.system.servers))), (), (1.0,), {})
    for cut in (
        Cut(99, (0,), (1,)),
        Cut(-1, (0,), (1,)),
        Cut(len(good.group), (0,), (1,)),
        Cut(0, (0, 0), (1, 1)),
        Cut(0, (0,), (-1,)),
        Cut(0, (0,), (1, 2)),
        Cut(0, (), ()),
        Cut(0, (0, 1), (1, 1)),
    ):
        yield instance, dataclasses.replace(good, cuts=(cut,))
    for each in (Rounding(-1, 1), Rounding(len(instance.system.classes), 1), Rounding(0, 0)):
        yield instance, dataclasses.replace(good, roundings=(each,))


def _rows_that_do_not_exist() -> Iterator[tuple[Instance, Certificate]]:
    rng = np.random.default_rng(52)
    instances = [random_tiny_instance(rng, servers=3, slots=4) for _ in range(20)]
    for instance in instances:
        for regions in (APART, AS_ONE):
            group = tuple(range(3))
            columns = Columns(count(instance, group, as_one=regions == AS_ONE), (1.0,))
            roundings = tuple(Rounding(c, 2) for c in range(len(instance.system.classes)))
            rows = Rows(columns, (), roundings)
            for name in AXES:
                shape = shape_of(name, instance, regions, 3, 0, len(roundings))
                missing = [cell for cell in np.ndindex(shape) if not exists(rows, name, cell)]
                for cell in missing[:2] + missing[-1:]:
                    duals = {name: np.zeros(shape)}
                    duals[name][cell] = -1.0
                    yield instance, Certificate(regions, group, (), (1.0,), duals, roundings)


def exists(rows: Rows, name: str, cell: tuple[int, ...]) -> bool:
    try:
        rows.of_family[name](*cell)
    except NoSuchRow:
        return False
    return True


# --- killers ------------------------------------------------------------------------------------


def is_noticed(mutant: Mutant, most: int) -> bool:
    try:
        changed = mutant.load()
    except Exception:  # a mutant may fail in any way: that is being noticed
        return True
    return (
        any(differs(changed, *case) for case in cases(most))
        or any(differs(changed, *case) for case in wrong_sides())
        or any(believes(changed, *case) for case in refusals())
        or rounds_up(changed)
        or charges_too_much(changed)
        or forgets_charges(changed)
    )


def differs(
    module: types.ModuleType, instance: Instance, certificate: Certificate, value: float
) -> bool:
    """Its bound is not the one that is proven."""
    try:
        return not abs(module.certified_bound(certificate, instance) - value) <= near(value)
    except Exception:  # a mutant may fail in any way: that is being noticed
        return True


def believes(module: types.ModuleType, instance: Instance, certificate: Certificate) -> bool:
    """It does not refuse what must be refused."""
    try:
        module.certified_bound(certificate, instance)
    except InvalidInput:
        return False
    except Exception:  # a mutant may fail in any way: that is being noticed
        return True
    return True


def rounds_up(module: types.ModuleType) -> bool:
    """To float64, and where the best there is must be stepped down from."""
    third, most = Fraction(1, 3), Fraction(2**2000)
    try:
        found = [module.rounded_down(x) for x in (third, -third, Fraction(1, 2), most, -most)]
    except Exception:  # a mutant may fail in any way: that is being noticed
        return True
    down = [third - Fraction(found[0]), -third - Fraction(found[1])]
    steps = [Fraction(math.ulp(1 / 3))] * 2
    in_step = all(0 <= by < step for by, step in zip(down, steps, strict=True))
    return not in_step or found[2:] != [0.5, sys.float_info.max, -math.inf]


def charges_too_much(module: types.ModuleType) -> bool:
    """By 2⁻⁸⁰ dollars, which no float64 shows: what is free costs nothing at all."""
    rng = np.random.default_rng(53)
    for n in range(8):
        instance = random_tiny_instance(rng, servers=2)
        regions, classes = instance.arrivals.shape[1:]
        initial = Initial.all_off(2, regions, classes)
        instance = dataclasses.replace(instance, initial=initial, arrivals=0 * instance.arrivals)
        busy = dataclasses.replace(instance, arrivals=instance.arrivals + 1)
        for given, as_one in ((instance, n % 2 == 1), (busy, True)):
            columns = module.Columns(module.count(given, (0, 1), as_one=as_one), (0.5, 1.0))
            free = {"inflow", "off", "stop", "leave", *(["x"] if as_one else [])}
            if any(usd for column, usd, _ in columns if column[0] in free):
                return True
            if given is instance and columns.constant:
                return True
    return False


def forgets_charges(module: types.ModuleType) -> bool:
    """What a schedule pays beside its cost, by column: added to the cost, below and above 0."""
    rng = np.random.default_rng(59)
    for _ in range(4):
        instance = random_tiny_instance(rng, servers=2)
        certificate = Certificate(AS_ONE, (0, 1), (), (0.5, 1.0), {})
        try:
            columns = Columns(count(instance, (0, 1), as_one=True), (0.5, 1.0))
        except InvalidInput:
            continue
        cells = [(column, cost, most) for column, cost, most in columns]
        usds = rng.normal(0, 1, len(cells)).tolist()
        charges = {cell[0]: usd for cell, usd in zip(cells, usds, strict=True)}
        del charges[cells[0][0]]
        total = Fraction(columns.constant)
        for column, cost, most in cells:
            usd = cost + int(Fraction(charges.get(column, 0.0)) * SCALE // 1)
            total += min(0, usd) * most // 1
        try:
            found = module.proven_by(certificate, instance, charges)
            if abs(found - total / SCALE) > Fraction(1, 2**60):  # other units round otherwise
                return True
        except Exception:  # a mutant may fail in any way: that is being noticed
            return True
    return False


# --- tests --------------------------------------------------------------------------------------

EXCUSED = {name for names in HARMLESS.values() for name in names}


def test_the_killers_let_the_checker_itself_live() -> None:
    assert not any(differs(check, *case) for case in [*cases(60), *wrong_sides()])
    assert not any(believes(check, *case) for case in refusals())
    assert not rounds_up(check)
    assert not charges_too_much(check)
    assert not forgets_charges(check)
    assert len(refusals()) > 100


def test_what_is_excused_can_happen() -> None:
    assert {mutant.name for mutant in MUTANTS} >= EXCUSED


@pytest.mark.parametrize("mutant", MUTANTS[::50], ids=lambda mutant: mutant.name)
def test_some_mutants_are_noticed(mutant: Mutant) -> None:
    assert mutant.name in EXCUSED or is_noticed(mutant, 150)


@pytest.mark.slow
def test_all_mutants_are_noticed() -> None:
    alive = {mutant.name for mutant in MUTANTS if not is_noticed(mutant, 800)}
    assert alive == EXCUSED
