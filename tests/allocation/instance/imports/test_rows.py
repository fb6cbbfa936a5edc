"""The account of the rows: every bad row counts, the first are named, in order of their lines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torta_opt.allocation.instance.imports.rows import NAMED_BAD_ROWS, Batch, Tally, refuse_where
from torta_opt.io import InvalidInput


@given(lines=st.lists(st.integers(1, 1000), unique=True, max_size=20))
def test_the_first_bad_rows_are_named_whatever_the_order(lines: list[int]) -> None:
    tally = Tally()
    for line in lines:
        tally.refuse(line, "is bad")
    assert tally.bad == len(lines)
    assert [row.line for row in tally.bad_rows] == sorted(lines)[:NAMED_BAD_ROWS]


@given(bad=st.lists(st.booleans(), max_size=30))
def test_marked_rows_are_counted_and_worded(bad: list[bool]) -> None:
    tally = Tally()
    refuse_where(tally, np.arange(len(bad)) + 10, np.array(bad, bool), lambda i: f"row {i}")
    marked = [i for i, is_bad in enumerate(bad) if is_bad]
    assert tally.bad == len(marked)
    assert [str(row) for row in tally.bad_rows] == [
        f"line {i + 10}: row {i}" for i in marked[:NAMED_BAD_ROWS]
    ]


def test_files_are_added_up_and_named() -> None:
    whole, part = Tally(rows=3), Tally(rows=9)
    for line in range(7):
        part.refuse(line, "is bad")
    whole.absorb(part, "part.csv")
    assert (whole.rows, whole.bad) == (12, 7)
    assert str(whole.bad_rows[0]) == "line 0: is bad (part.csv)"


def test_too_many_bad_rows_are_refused() -> None:
    tally = Tally(rows=10)
    tally.refuse(2, "is negative")
    tally.check(0.1, "t.csv")
    tally.refuse(4, "is missing")
    with pytest.raises(InvalidInput) as caught:
        tally.check(0.1, "t.csv")
    assert str(caught.value) == (
        "t.csv: 2 of 10 rows are bad, more than the share of 0.1 that is let pass: "
        "line 2: is negative; line 4: is missing"
    )


@pytest.mark.parametrize(("rows", "bad", "failed"), [(0, 0, 0), (2, 2, 0), (2, 1, 1), (2, 0, 2)])
def test_no_request_at_all_is_refused(rows: int, bad: int, failed: int) -> None:
    with pytest.raises(InvalidInput, match=r"t\.csv: holds no request"):
        Tally(rows=rows, bad=bad, failed=failed).check(1.0, "t.csv")


def test_models_are_numbered_as_they_come() -> None:
    tally = Tally()
    assert [tally.model(name) for name in ("b", "a", "b")] == [0, 1, 0]


def test_a_part_of_a_batch_keeps_its_columns_together() -> None:
    columns = np.arange(4)
    batch = Batch(columns, columns + 10, columns + 20, None, columns.astype(np.uint64))
    kept = batch.where(np.array([True, False, False, True]))
    assert kept.arrival_ms.tolist() == [0, 3]
    assert kept.output_tokens.tolist() == [20, 23]
    assert kept.client is not None
    assert kept.client.tolist() == [0, 3]
    assert kept.model is None
