from __future__ import annotations

import pytest
from support.plain import make_instance

from torta_opt.allocation.bounds.document import bound_from_document, bound_to_document
from torta_opt.allocation.bounds.registry import compute
from torta_opt.io import InvalidInput, document_bytes

INSTANCE = make_instance([[[3]], [[0]]], weights={"time_usd_per_s": 1.0, "expiry_usd": 9.0})
OTHER = make_instance([[[2]], [[0]]])


def test_there_and_back() -> None:
    proved = compute(INSTANCE, "floor")
    entry = bound_from_document(bound_to_document(proved, INSTANCE), INSTANCE)
    assert (entry.source, entry.value, entry.certified) == ("floor", 3.0, False)


def test_the_same_bound_gives_the_same_bytes_however_long_it_took() -> None:
    once, twice = (
        document_bytes(bound_to_document(compute(INSTANCE, "floor"), INSTANCE)) for _ in range(2)
    )
    assert once == twice
    assert b"seconds" not in once


def test_a_bound_of_another_instance_is_refused() -> None:
    document = bound_to_document(compute(INSTANCE, "floor"), INSTANCE)
    with pytest.raises(InvalidInput, match="instance_sha256: is not that of instance"):
        bound_from_document(document, OTHER)


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("value", float("inf"), "value: must be a finite number"),
        ("value", "3", "value: must be a valid number"),
        ("value", None, "value: must be a valid number"),
        ("source", "", "source: must have at least 1 character"),
        ("extra", 1, "extra: is not a known field"),
    ],
)
def test_broken_fields_are_refused(field: str, value: object, rule: str) -> None:
    document = bound_to_document(compute(INSTANCE, "floor"), INSTANCE) | {field: value}
    with pytest.raises(InvalidInput, match=rule):
        bound_from_document(document, INSTANCE)
