"""Small tables: cells by title, and faults by line and title."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from torta_opt.allocation.instance.imports import small_csv
from torta_opt.allocation.instance.imports.small_csv import Table, read_table
from torta_opt.io import InvalidInput


def table_of(tmp_path: Path, content: str | bytes) -> Table:
    path = tmp_path / "t.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(path)


@pytest.mark.parametrize(
    "content",
    [
        "a, b\n1,x\n\n2,y\n",
        "a,b\r\n1,x\r\n\r\n2,y",
        b"\xef\xbb\xbfa,b\n1,x\n\n2,y\n",
        gzip.compress(b"a,b\n1,x\n\n2,y\n"),
        '"a","b"\n"1","x"\n\n2,"y"\n',
    ],
    ids=["space in title", "carriage returns", "byte order mark", "gzip", "quotes"],
)
def test_rows_and_their_lines(tmp_path: Path, content: str | bytes) -> None:
    table = table_of(tmp_path, content)
    assert table.titles == ["a", "b"]
    assert [(row.line, row.whole("a"), row.text("b")) for row in table] == [
        (2, 1, "x"),
        (4, 2, "y"),
    ]


def test_a_cell_may_hold_commas_quotes_and_line_ends(tmp_path: Path) -> None:
    table = table_of(tmp_path, 'a,b\n"1, ""2""\n3",x\n4,y\n')
    assert table.rows[0].text("a") == '1, "2"\n3'
    assert table.rows[1].line == 4


@pytest.mark.parametrize("cell", ["nan", "inf", "-inf", "1e999", "1_0", "x", "0x1", "1,5"])
def test_what_is_no_number(tmp_path: Path, cell: str) -> None:
    row = table_of(tmp_path, f'a,b\n"{cell}",1\n').rows[0]
    with pytest.raises(InvalidInput) as caught:
        row.number("a")
    assert str(caught.value) == f"{tmp_path / 't.csv'}: line 2, a: {cell!r} is not a number"


@pytest.mark.parametrize("cell", ["1.0", "1e3", "+1", "１", "1_0", "--1", "9" * 19, "9" * 100_000])
def test_what_is_no_whole_number(tmp_path: Path, cell: str) -> None:
    row = table_of(tmp_path, f"a,b\n{cell},1\n").rows[0]
    with pytest.raises(InvalidInput, match=r"line 2, a: .* is not a whole number"):
        row.whole("a")


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("a,a\n", "line 1: has the title 'a' twice"),
        ("a,b\n1\n", "line 2: has 1 fields, expected 2"),
        ("a,b\n1,2,3\n", "line 2: has 3 fields, expected 2"),
        ('a,b\n"1,2\n', "line 2: is not CSV"),
        ("a,b\n" + "9" * 200_000 + ",1\n", "line 2: is not CSV"),
        (b"a,b\n\xff,1\n", "is not UTF-8 text (byte 4)"),
        (b"a,b\n\0,1\n", "line 2: is not UTF-8 text: it holds a zero byte"),
        (gzip.compress(b"a,b\n" * 1000)[:-5], "is not a complete gzip file"),
    ],
    ids=[
        "nothing",
        "blank lines",
        "title twice",
        "field missing",
        "field too many",
        "open quote",
        "field too long",
        "not UTF-8",
        "zero byte",
        "gzip cut off",
    ],
)
def test_broken_files(tmp_path: Path, content: str | bytes, rule: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        table_of(tmp_path, content)
    assert str(caught.value).startswith(f"{tmp_path / 't.csv'}: {rule}")


def test_a_file_that_is_too_large_also_once_decompressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small_csv, "MAX_BYTES", 1000)
    with pytest.raises(InvalidInput, match=r"is larger than 1000 bytes$"):
        table_of(tmp_path, "a\n" + "1\n" * 600)
    with pytest.raises(InvalidInput, match="is larger than 1000 bytes once decompressed"):
        table_of(tmp_path, gzip.compress(b"a\n" + b"1\n" * 600))


def test_needed_columns(tmp_path: Path) -> None:
    table = table_of(tmp_path, "a,b\n")
    table.require("b", "a")
    with pytest.raises(InvalidInput, match="lacks the column c; needed: a, c; found: a, b"):
        table.require("a", "c")


def test_a_table_of_too_many_cells_is_refused_before_it_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small_csv, "MAX_CELLS", 30)
    assert len(table_of(tmp_path, "a,b\n" + "1,2\n" * 14).rows) == 14
    for content in ("a,b\n" + "1,2\n" * 15, "a\n" + "\n" * 30):
        with pytest.raises(InvalidInput, match=r"t\.csv: holds more than 30 cells"):
            table_of(tmp_path, gzip.compress(content.encode()))
