"""No certificate, of whatever numbers, proves more than the cheapest of all schedules costs."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from support.certificates import apart, as_one, corrupted, near, random_certificate
from support.optima import slack, tiniest
from support.sizes import examples
from support.tiny import random_tiny_instance

from torta_opt.allocation.bounds.certificate import APART, AS_ONE, Certificate, Cut
from torta_opt.allocation.bounds.certify import certificate_of, merged_certificate
from torta_opt.allocation.bounds.checker.check import certified_bound, proven_by, rounded_down
from torta_opt.allocation.bounds.lp import lp_bound
from torta_opt.allocation.bounds.merged import merged_bound
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.io import InvalidInput

REGIONS = (APART, AS_ONE)


def solved(instance: Instance, regions: str) -> tuple[Certificate, float]:
    """The certificate of an optimal dual vector, and the value of the method."""
    if regions == APART:
        found = lp_bound(instance)
        certificate = certificate_of(found.program, found.dual)
    else:
        found = merged_bound(instance)
        certificate = merged_certificate(found.program, found.dual)
    assert certificate is not None
    return certificate, found.value


# --- what is proven -----------------------------------------------------------------------------


@pytest.mark.parametrize("regions", REGIONS)
def test_the_checker_derives_what_the_method_proves(regions: str) -> None:
    rng = np.random.default_rng(1)
    for _ in range(examples(30)):
        instance = random_tiny_instance(rng)
        certificate, value = solved(instance, regions)
        assert certified_bound(certificate, instance) == pytest.approx(value, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("regions", REGIONS)
def test_any_numbers_prove_the_same_here_and_there(regions: str) -> None:
    """Rows, sides, boxes, costs: a slip in any of them moves the sum for noise."""
    rng = np.random.default_rng(2)
    for _ in range(examples(60)):
        instance = random_tiny_instance(rng)
        certificate, value = random_certificate(instance, rng, regions)
        found = certified_bound(certificate, instance)
        assert found == pytest.approx(value, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("regions", REGIONS)
def test_no_schedule_beats_a_certificate(regions: str) -> None:
    for instance, best in tiniest(count=examples(30)):
        certificate, _ = solved(instance, regions)
        assert certified_bound(certificate, instance) <= best + slack(best)


@pytest.mark.parametrize("regions", REGIONS)
def test_no_schedule_beats_a_certificate_of_noise(regions: str) -> None:
    """Noise alone, and noise on top of the best numbers."""
    rng = np.random.default_rng(4)
    for instance, best in tiniest(count=examples(30)):
        noisy, _ = random_certificate(instance, rng, regions)
        assert certified_bound(noisy, instance) <= best + slack(best)
        certificate, _ = solved(instance, regions)
        for size in (1e-6, 1e-3, 0.1):
            disturbed = {
                name: values + rng.normal(0, size, values.shape) * (values != 0)
                for name, values in certificate.duals.items()
            }
            changed = dataclasses.replace(certificate, duals=disturbed)
            assert certified_bound(changed, instance) <= best + slack(best)


# --- corrupted ----------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [30, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.parametrize("regions", REGIONS)
def test_a_corrupted_certificate_is_refused_or_proves_what_is_true(
    regions: str, count: int
) -> None:
    rng, refused, weaker = np.random.default_rng(5), 0, 0
    for instance, best in tiniest(count):
        certificate, value = solved(instance, regions)
        for _ in range(12):
            changed = corrupted(certificate, rng)
            try:
                found = certified_bound(changed, instance)
            except InvalidInput:
                refused += 1
                continue
            assert found <= best + slack(best)
            weaker += found < value - near(value)
    assert refused > 30
    assert weaker > 30


def some_certificate() -> tuple[Instance, Certificate]:
    instance = generate("small/switch")
    certificate, _ = solved(instance, APART)
    return instance, certificate


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused(number: float) -> None:
    instance, certificate = some_certificate()
    certificate.duals["route"][0, 0, 0] = number
    with pytest.raises(InvalidInput, match=r"certificate\.duals\.route: must be finite numbers"):
        proven_by(certificate, instance)


def test_numbers_beyond_float64_prove_nothing_but_do_no_harm() -> None:
    instance, certificate = some_certificate()
    certificate.duals["queue"][0, 0, 0] = 1.7e308
    assert certified_bound(certificate, instance) == -math.inf


def test_the_wrong_length_is_refused() -> None:
    instance, certificate = some_certificate()
    longer = np.concatenate([certificate.duals["queue"]] * 2)
    changed = dataclasses.replace(certificate, duals=certificate.duals | {"queue": longer})
    with pytest.raises(InvalidInput, match=r"certificate\.duals\.queue: must have the shape"):
        proven_by(changed, instance)


def test_an_unknown_family_is_refused() -> None:
    instance, certificate = some_certificate()
    changed = dataclasses.replace(certificate, duals={"wish": np.ones(1)})
    with pytest.raises(InvalidInput, match="wish: is not a family of rows"):
        proven_by(changed, instance)


def test_a_number_without_a_row_is_refused() -> None:
    instance = generate("small/outage")
    certificate, _ = solved(instance, APART)
    program = apart(instance)
    t, p = np.argwhere(~program.pools.up)[0]
    certificate.duals["off_flow"][t, p] = 1.0
    with pytest.raises(InvalidInput, match=r"certificate\.duals\.off_flow: has no row"):
        proven_by(certificate, instance)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda group: group[:-1], "must name the group of each"),
        (lambda group: tuple(g + 1 for g in group), "without gaps"),
        (lambda group: (0,) * len(group), "may not be counted together"),
    ],
)
def test_servers_that_differ_are_not_counted_together(change: object, rule: str) -> None:
    rng = np.random.default_rng(6)
    instance = random_tiny_instance(rng, servers=4, types=3, regions=2)
    certificate, _ = solved(instance, APART)
    assert len(set(certificate.group)) > 1
    changed = dataclasses.replace(certificate, group=change(certificate.group), duals={})
    with pytest.raises(InvalidInput, match=rule):
        proven_by(changed, instance)


@pytest.mark.parametrize(
    ("cut", "rule"),
    [
        (Cut(99, (0,), (1,)), "group 99 is not known"),
        (Cut(0, (0, 0), (1, 1)), "names a class twice"),
        (Cut(0, (0,), (-1,)), "alpha must be at least 0"),
        (Cut(0, (0,), (1, 2)), "as many alpha as classes"),
        (Cut(0, (), ()), "as many alpha as classes"),
        (Cut(0, (0, 1), (1, 1)), "not of one model"),
    ],
)
def test_a_cut_is_about_classes_of_one_model(cut: Cut, rule: str) -> None:
    instance, certificate = some_certificate()
    assert len(set(instance.system.class_model.tolist())) > 1
    changed = dataclasses.replace(certificate, cuts=(cut,), duals={})
    with pytest.raises(InvalidInput, match=rule):
        proven_by(changed, instance)


@pytest.mark.parametrize("tangents", [(), (0.5, 0.5), (0.5, 0.25), (0.0, 0.5), (0.5, 2.0)])
def test_tangents_grow(tangents: tuple[float, ...]) -> None:
    instance, certificate = some_certificate()
    with pytest.raises(InvalidInput, match=r"certificate\.tangents"):
        proven_by(dataclasses.replace(certificate, tangents=tangents), instance)


def test_an_empty_certificate_proves_what_costs_below_zero_may_give() -> None:
    rng = np.random.default_rng(7)
    for _ in range(20):
        instance = random_tiny_instance(rng)
        merged = as_one(instance)
        group = tuple(merged.program.pools.of_server.tolist())
        found = certified_bound(Certificate(AS_ONE, group, (), (1.0,), {}), instance)
        assert math.isfinite(found)


# --- arithmetic ---------------------------------------------------------------------------------


def test_rounding_goes_down() -> None:
    third = Fraction(1, 3)
    assert Fraction(rounded_down(third)) <= third < Fraction(math.nextafter(1 / 3, 1))
    assert rounded_down(Fraction(1, 2)) == 0.5
    assert rounded_down(Fraction(2**2000)) == sys.float_info.max
    assert rounded_down(-Fraction(2**2000)) == -math.inf
    assert rounded_down(-Fraction(1, 10**400)) < 0


# --- independence -------------------------------------------------------------------------------

RUN = """
import sys
import torta_opt.allocation.bounds.checker.check
loaded = {name for name in sys.modules if name.startswith("torta_opt.")}
print(*sorted(loaded))
print(*sorted({"scipy", "highspy", "pyomo", "cvxpy", "torch"} & set(sys.modules)))
"""


def test_the_checker_knows_instances_and_nothing_else() -> None:
    done = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, check=True)
    modules, heavy = done.stdout.split("\n")[:2]
    known = ("torta_opt.io", "torta_opt.allocation.instance", "torta_opt.allocation.bounds.checker")
    own = {name for name in modules.split() if not name.startswith(known)}
    packages = {"torta_opt.allocation", "torta_opt.allocation.bounds"}  # which hold nothing
    assert own == {*packages, "torta_opt.allocation.bounds.certificate"}
    assert not heavy
