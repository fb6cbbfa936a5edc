"""CSV rows: what is read, what is refused and how it is worded; both ways of reading agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.traces import AZURE_TITLES, azure_rows, write, write_azure

from torta_opt.allocation.instance.imports import csv_rows
from torta_opt.allocation.instance.imports.azure import COLUMNS, read_azure
from torta_opt.allocation.instance.imports.csv_rows import Column, read_csv_columns
from torta_opt.allocation.instance.imports.rows import MAX_TOKENS, Tally
from torta_opt.io import InvalidInput

GOOD = "2023-11-16 18:17:03.9799600,4808,10"


def read(path: Path) -> tuple[np.ndarray, Tally]:
    """(time, input, output) by row, and the account."""
    tally = Tally()
    batches = list(read_azure(path, tally))
    columns = [
        np.concatenate([getattr(batch, name) for batch in batches])
        for name in ("arrival_ms", "input_tokens", "output_tokens")
    ]
    return np.stack(columns, axis=1), tally


class TestGoodFiles:
    def test_published_forms_of_a_timestamp_mean_utc(self, tmp_path: Path) -> None:
        rows = [
            "2023-11-16 18:17:03.9799600,1,2",
            "2023-11-16 18:17:03.979960+00:00,1,2",
            "2023-11-16T18:17:03.979Z,1,2",
            "2023-11-16 19:17:03.979+01:00,1,2",
            "2023-11-16 18:17:03+00:00,1,2",
        ]
        table, tally = read(write_azure(tmp_path / "t.csv", rows))
        second = 1_700_158_623_000
        assert table[:, 0].tolist() == [second + 979] * 4 + [second]
        assert (tally.rows, tally.bad) == (5, 0)

    @pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    @pytest.mark.parametrize("last", ["", "\n", "\n\n\n"])
    def test_line_ends_and_compression(
        self, tmp_path: Path, name: str, end: str, last: str
    ) -> None:
        text = "\n".join([AZURE_TITLES, GOOD, GOOD]) + last
        table, tally = read(write(tmp_path / name, text.replace("\n", end)))
        assert table[:, 1:].tolist() == [[4808, 10]] * 2
        assert (tally.rows, tally.bad) == (2, 0)

    def test_titles_in_any_order_case_and_company(self, tmp_path: Path) -> None:
        titles = "NumImages, generatedtokens,TIMESTAMP,CONTEXTTOKENS"
        path = write_azure(tmp_path / "t.csv", ["3,10,2023-11-16 18:17:03,4808"], titles)
        table, _ = read(path)
        assert table[0, 1:].tolist() == [4808, 10]

    def test_byte_order_mark_and_quotes(self, tmp_path: Path) -> None:
        text = f'{AZURE_TITLES}\n"2023-11-16 18:17:03","4808",10\n'
        table, tally = read(write(tmp_path / "t.csv", b"\xef\xbb\xbf" + text.encode()))
        assert table[0, 1:].tolist() == [4808, 10]
        assert tally.bad == 0

    def test_whole_numbers_may_be_written_as_floats(self, tmp_path: Path) -> None:
        table, tally = read(write_azure(tmp_path / "t.csv", [f"{GOOD[:27]},48.0, 1e2"]))
        assert table[0, 1:].tolist() == [48, 100]
        assert tally.bad == 0

    def test_progress_reaches_the_end(self, tmp_path: Path) -> None:
        path = write_azure(tmp_path / "t.csv", azure_rows(100))
        seen: list[tuple[int, int]] = []
        list(read_azure(path, Tally(), lambda done, total: seen.append((done, total))))
        assert seen[-1] == (path.stat().st_size, path.stat().st_size)


class TestBadRows:
    @pytest.mark.parametrize(
        ("row", "reason"),
        [
            ("", None),
            ("yesterday,1,2", "TIMESTAMP 'yesterday' is not an ISO 8601 date and time"),
            ("2023-11-16,1,2", "TIMESTAMP '2023-11-16' is not an ISO 8601 date and time"),
            ("1700158623.97,1,2", "TIMESTAMP '1700158623.97' is not an ISO 8601 date and time"),
            ("2023-02-30 00:00:00,1,2", "is not an ISO 8601 date and time"),
            ("0023-11-16 18:17:03,1,2", "TIMESTAMP"),
            ("2500-11-16 18:17:03,1,2", "TIMESTAMP"),
            (",1,2", "TIMESTAMP '' is not an ISO 8601 date and time"),
            ("2023-11-16 18:17:03,,2", "ContextTokens is missing"),
            ("2023-11-16 18:17:03,nan,2", "ContextTokens 'nan' is not a whole number"),
            ("2023-11-16 18:17:03,inf,2", "ContextTokens 'inf' is not a whole number"),
            ("2023-11-16 18:17:03,1.5,2", "ContextTokens '1.5' is not a whole number"),
            ("2023-11-16 18:17:03,1_000,2", "ContextTokens '1_000' is not a whole number"),
            ("2023-11-16 18:17:03,ten,2", "ContextTokens 'ten' is not a whole number"),
            ("2023-11-16 18:17:03,-5,2", "ContextTokens '-5' is negative"),
            ("2023-11-16 18:17:03,1,99999999", "GeneratedTokens '99999999' is more than"),
            ("2023-11-16 18:17:03,1,9" + "0" * 40, "is more than"),
            ("2023-11-16 18:17:03,1", "has 2 fields, expected 3"),
            ("2023-11-16 18:17:03,1,2,3", "has 4 fields, expected 3"),
            ('2023-11-16 18:17:03,1,"2', "is not CSV"),
        ],
    )
    def test_is_counted_and_named(self, tmp_path: Path, row: str, reason: str | None) -> None:
        table, tally = read(write_azure(tmp_path / "t.csv", [GOOD, row, GOOD]))
        assert table[:, 1:].tolist() == [[4808, 10]] * 2
        if reason is None:
            assert (tally.rows, tally.bad) == (2, 0)
        else:
            assert (tally.rows, tally.bad) == (3, 1)
            assert tally.bad_rows[0].line == 3
            assert reason in tally.bad_rows[0].reason

    def test_in_another_encoding(self, tmp_path: Path) -> None:
        text = f"{AZURE_TITLES}\n{GOOD}\n2023-11-16 18:17:03,1,2\xb2\n"
        table, tally = read(write(tmp_path / "t.csv", text.encode("latin-1")))
        assert len(table) == 1
        assert str(tally.bad_rows[0]) == "line 3: is not UTF-8 text"

    def test_the_first_are_named_by_line_across_blocks(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("torta_opt.allocation.instance.imports.text.BLOCK_BYTES", 200)
        rows = [f"2023-11-16 18:17:03,{'x' if i % 10 == 7 else i},2" for i in range(100)]
        table, tally = read(write_azure(tmp_path / "t.csv", rows))
        assert len(table) == 90
        assert (tally.rows, tally.bad) == (100, 10)
        assert [row.line for row in tally.bad_rows] == [9, 19, 29, 39, 49]

    def test_a_row_with_two_faults_counts_once(self, tmp_path: Path) -> None:
        _, tally = read(write_azure(tmp_path / "t.csv", ["never,-1,-1", GOOD]))
        assert (tally.rows, tally.bad, len(tally.bad_rows)) == (2, 1, 1)


class TestBadFiles:
    @pytest.mark.parametrize(
        ("content", "complaint"),
        [
            (b"", "t.csv: is empty"),
            (
                b"a,b\n1,2\n",
                "t.csv: line 1: lacks the column TIMESTAMP; needed: TIMESTAMP, C",
            ),
            (b"TIMESTAMP;ContextTokens;GeneratedTokens\n", "line 1: lacks the column TIMESTAMP"),
            (f"{AZURE_TITLES},contexttokens\n".encode(), "is the title of two columns"),
            (
                "TIMESTAMP,Contexté\n".encode("latin-1"),
                "line 1: is not UTF-8 text (byte 17)",
            ),
            (f"{AZURE_TITLES}\n{GOOD}\n".encode("utf-16"), "t.csv: line 1: is not UTF-8 text"),
            (f"{AZURE_TITLES}\n{GOOD}\n\0\n".encode(), "t.csv: line 3: is not UTF-8 text"),
            (bytes(range(256)) * 20, "t.csv: line 1: is not UTF-8 text"),
            (b"\x1f\x8b\x08\x00garbage", "t.csv: is not a complete gzip file"),
            (b"x" * 5_000_000, "t.csv: line 1: "),
            (f"{AZURE_TITLES}\n".encode() + b"1" * 20_000_000, "line 2: is longer than"),
        ],
    )
    def test_is_refused_in_one_line(self, tmp_path: Path, content: bytes, complaint: str) -> None:
        path = tmp_path / "t.csv"
        path.write_bytes(content)
        with pytest.raises(InvalidInput) as caught:
            read(path)
        assert complaint in str(caught.value)
        assert str(caught.value).startswith(str(path))
        assert "\n" not in str(caught.value)

    def test_a_truncated_gzip_file(self, tmp_path: Path) -> None:
        path = write_azure(tmp_path / "t.csv.gz", azure_rows(2000))
        path.write_bytes(path.read_bytes()[:-2000])
        with pytest.raises(InvalidInput, match=r"t\.csv\.gz: is not a complete gzip file"):
            read(path)

    def test_no_file_and_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidInput, match=r"none\.csv: cannot be read: No such file"):
            read(tmp_path / "none.csv")
        with pytest.raises(InvalidInput, match="cannot be read: Is a directory"):
            read(tmp_path)

    def test_titles_alone_hold_no_request(self, tmp_path: Path) -> None:
        tally = Tally()
        path = write_azure(tmp_path / "t.csv", [])
        assert list(read_azure(path, tally)) == []
        with pytest.raises(InvalidInput, match="t: holds no request"):
            tally.check(0.1, "t")


_CELL = st.one_of(
    st.integers(-3, MAX_TOKENS + 3).map(str),
    st.sampled_from(["", " 7", "8 ", "nan", "inf", "-inf", "1e3", "2.0", "2.5", "x", "0x1", "+4"]),
    st.sampled_from(["9" * 30, "1e400", "-0", "0012", "1_0", "true", "NA", "1,2", "é", "12\r"]),
    st.floats(allow_nan=False).map(str),
)
_TIME = st.sampled_from(
    [
        "2023-11-16 18:17:03.9799600",
        "2024-05-12 00:00:00+00:00",
        "2024-05-12T00:00:00.5Z",
        "2024-05-12",
        "2024-W20-7 00:00:00",
        "soon",
        "",
        "1969-12-31 23:59:59",
        "99999-01-01 00:00:00",
    ]
)


class TestBothWaysOfReading:
    @given(rows=st.lists(st.tuples(_TIME, _CELL, _CELL, _CELL), min_size=1, max_size=6))
    def test_agree(
        self, rows: list[tuple[str, ...]], tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """At once or row by row: the same rows pass, with the same values."""
        columns = {**COLUMNS, "real": Column("Real", "number")}
        path = tmp_path_factory.mktemp("rows") / "t.csv"
        text = "\n".join([f"{AZURE_TITLES},Real", *(",".join(row) for row in rows)])
        path.write_bytes(text.encode() + b"\n")
        results = []
        for at_once in (csv_rows._parse_at_once, lambda *_: None):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(csv_rows, "_parse_at_once", at_once)
                tally = Tally()
                tables = list(read_csv_columns(path, columns, tally))
            found = {
                key: np.concatenate([table[key] for table in tables]).tolist() for key in tables[0]
            }
            results.append((found, tally.rows, tally.bad, [row.line for row in tally.bad_rows]))
        assert results[0] == results[1]
