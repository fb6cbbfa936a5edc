"""The certificate in a bound file: there and back to the bit; what does not fit is refused."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import numpy as np
import pytest
from support.certificates import random_certificate
from support.sizes import examples
from support.tiny import random_tiny_instance

from torta_opt.allocation.bounds.certificate import APART, AS_ONE, Certificate
from torta_opt.allocation.bounds.document import (
    bound_from_document,
    bound_to_document,
    certificate_from_document,
)
from torta_opt.allocation.bounds.registry import compute
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.io import InvalidInput, document_bytes
from torta_opt.results import BoundResult


def document_of(instance: Instance, certificate: Certificate) -> dict[str, Any]:
    proved = BoundResult(1.5, "lp", True, 0.0, certificate=certificate)
    return json.loads(document_bytes(bound_to_document(proved, instance)))


def read(document: dict[str, Any], instance: Instance) -> Certificate:
    certificate = certificate_from_document(bound_from_document(document, instance), instance)
    assert certificate is not None
    return certificate


@pytest.mark.parametrize("regions", [APART, AS_ONE])
def test_there_and_back_to_the_bit(regions: str) -> None:
    rng = np.random.default_rng(1)
    for _ in range(examples(40)):
        instance = random_tiny_instance(rng)
        before, _ = random_certificate(instance, rng, regions)
        after = read(document_of(instance, before), instance)
        for name in ("regions", "group", "cuts", "tangents"):
            assert getattr(after, name) == getattr(before, name)
        assert after.duals.keys() == before.duals.keys()
        for name, values in before.duals.items():
            assert values.tobytes() == after.duals[name].tobytes()


def test_the_same_certificate_gives_the_same_bytes() -> None:
    instance = generate("small/switch")
    once, twice = (bound_to_document(compute(instance, "lp"), instance) for _ in range(2))
    assert document_bytes(once) == document_bytes(twice)


@pytest.fixture(scope="module")
def written() -> tuple[Instance, str]:
    instance = generate("small/switch")
    return instance, json.dumps(bound_to_document(compute(instance, "lp"), instance))


def text_of(numbers: bytes) -> str:
    return base64.b64encode(zlib.compress(numbers)).decode()


def first(entry: dict[str, Any]) -> dict[str, Any]:
    return entry["duals"]["queue"]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda e: e.update(version=2), "certificate.version"),
        (lambda e: e.update(regions="some"), "certificate.regions"),
        (lambda e: e.update(colour=1), "certificate.colour: is not a known field"),
        (lambda e: e.update(group=[7] * len(e["group"])), "certificate.group: must be numbered"),
        (lambda e: e.update(group=[0.5]), "certificate.group"),
        (lambda e: e.update(tangents=[2.0]), "certificate.tangents"),
        (lambda e: e["duals"].update(wish=first(e)), "certificate.duals.wish: is not a family"),
        (lambda e: first(e).update(shape=[1]), r"queue.shape: must be \["),
        (lambda e: first(e).update(values="?"), "queue.values: is not compressed numbers"),
        (lambda e: first(e).update(values=""), "queue.values: must hold"),
        (lambda e: first(e).update(values="AAAA"), "queue.values: is not compressed"),
        (lambda e: first(e).update(values="\u00e9"), "queue.values: is not compressed numbers"),
        (lambda e: first(e).update(values=text_of(b"")), "queue.values: must hold"),
        (lambda e: first(e).update(values=text_of(bytes(8_000_000))), "queue.values: must hold"),
        (
            lambda e: first(e).update(
                values=text_of(b"\xff" * 8 * int(np.prod(first(e)["shape"])))
            ),
            "queue.values: must be finite",
        ),
        (
            lambda e: e["cuts"].append({"group": 0, "classes": ["none"], "alpha": [1]}),
            "'none' is not a class",
        ),
        (lambda e: e["cuts"].append({"group": 0, "classes": [], "alpha": []}), "cuts"),
        (lambda e: e["cuts"].append({"group": 0, "classes": ["a"], "alpha": [-1]}), "alpha"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    written: tuple[Instance, str], change: Any, rule: str
) -> None:
    instance, text = written
    document = json.loads(text)
    change(document["certificate"])
    with pytest.raises(InvalidInput, match=rule):
        read(document, instance)


def test_a_truncated_string_is_refused(written: tuple[Instance, str]) -> None:
    instance, text = written
    for name, numbers in json.loads(text)["certificate"]["duals"].items():
        document = json.loads(text)
        raw = base64.b64decode(numbers["values"])
        document["certificate"]["duals"][name]["values"] = base64.b64encode(raw[:-3]).decode()
        with pytest.raises(InvalidInput, match=name):
            read(document, instance)


def test_certified_without_a_certificate_is_refused(written: tuple[Instance, str]) -> None:
    instance, text = written
    document = json.loads(text)
    del document["certificate"]
    with pytest.raises(InvalidInput, match="certificate: is missing"):
        bound_from_document(document, instance)
