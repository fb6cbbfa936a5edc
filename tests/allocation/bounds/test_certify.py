"""Certificates of what the methods find: all of the bound, under every method and option."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
import pytest
from support.certificates import as_one, near, noise
from support.tiny import random_tiny_instance

from torta_opt.allocation.bounds import registry
from torta_opt.allocation.bounds.certify import certificate_of, merged_certificate
from torta_opt.allocation.bounds.checker.check import certified_bound
from torta_opt.allocation.bounds.lp import prove
from torta_opt.allocation.bounds.registry import compute
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.formulations.user_constraint import UserConstraint
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.family import Request


@pytest.mark.parametrize("method", ["lp", "merged", "windows"])
def test_bounds_of_programs_are_certified_to_the_last_digits(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    instances = [random_tiny_instance(rng) for _ in range(6)]
    instances += [generate("small/hot"), generate("paper/polska").cut(3, 5)]
    for instance in instances:
        result = compute(instance, method)
        assert result.certified
        assert result.certificate is not None
        assert registry.rederived(result.certificate, instance) == result.value
        with monkeypatch.context() as patch:
            patch.setattr(registry, "_checked", lambda instance, found, began: found)
            proven = compute(instance, method).value
        assert result.value == pytest.approx(proven, rel=1e-7, abs=1e-7)


def test_the_certificate_of_a_cut_instance_is_about_the_cut() -> None:
    instance = generate("small/switch")
    whole, part = (compute(each, "lp") for each in (instance, instance.cut(1, 4)))
    assert part.value < whole.value
    assert registry.rederived(part.certificate, instance.cut(1, 4)) == part.value


def test_servers_one_by_one_have_certificates_too() -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        instance = random_tiny_instance(rng, servers=4)
        program = build_allocation_program(instance, named=True)
        dual = noise(rng, program)
        certificate = certificate_of(program, dual, bits=53)
        value = prove(program, dual)
        assert certified_bound(certificate, instance) == pytest.approx(value, rel=1e-9, abs=1e-9)


def test_rounding_numbers_loses_little() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        instance = random_tiny_instance(rng)
        merged = as_one(instance)
        dual = noise(rng, merged.program)
        exact, rounded = (
            certified_bound(merged_certificate(merged, dual, bits=bits), instance)
            for bits in (53, 34)
        )
        assert rounded == pytest.approx(exact, rel=1e-6, abs=1e-6)


def few(most: int) -> UserConstraint:
    """No more than so many starts: a row that binds."""

    def add(model: pyo.ConcreteModel, instance: Instance) -> None:
        model.few = pyo.Constraint(expr=sum(model.start.values()) <= most)

    return UserConstraint("few", add, lambda instance, schedule: 0.0)


def test_a_bound_that_needs_a_users_row_is_not_certified() -> None:
    instance = generate("small/loading")
    free = compute(instance, "lp")
    bound = compute(instance, "lp", Request(constraints=(few(0),)))
    assert bound.value > free.value + near(free.value)
    assert (bound.certified, bound.certificate) == (False, None)
    idle = compute(instance, "lp", Request(constraints=(few(10_000),)))
    assert idle.certified
    assert idle.value == pytest.approx(free.value, rel=1e-7)


def test_a_certificate_that_proves_too_little_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    instance = generate("small/switch")
    value = compute(instance, "lp").value
    monkeypatch.setattr(registry, "rederived", lambda *_: 0.9 * value)
    result = compute(instance, "lp")
    assert (result.certified, result.certificate) == (False, None)
    assert result.value == pytest.approx(value, rel=1e-6)


def test_ctrl_c_during_the_check_leaves_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(registry, "rederived", stop)
    result = compute(generate("small/switch"), "lp")
    assert (result.certified, result.interrupted) == (False, True)
