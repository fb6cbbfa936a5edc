"""Tables brought by a user: what may be left out, and what is refused, by file, line and column."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.instance.imports import load_tables, save_tables
from torta_opt.allocation.instance.imports.tables import OPTIONAL, TITLES
from torta_opt.io import InvalidInput


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_tables(generate("small/outage"), tmp_path)
    return tmp_path


def change(folder: Path, table: str, edit: Callable[[list[str]], None]) -> None:
    """Edit the lines of a table."""
    file = folder / f"{table}.csv"
    lines = file.read_text().splitlines()
    edit(lines)
    file.write_text("\n".join(lines) + "\n")


def complaint(folder: Path) -> str:
    with pytest.raises(InvalidInput) as caught:
        load_tables(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{folder}/")


class TestWhatMayBeLeftOut:
    def test_optional_tables_mean_nothing_happens(self, folder: Path) -> None:
        for name in OPTIONAL:
            (folder / f"{name}.csv").unlink(missing_ok=name == "carbon")  # written if known
        instance = load_tables(folder)
        assert instance.carbon_g_per_kwh is None
        assert instance.up.all()
        assert not instance.system.rent_usd_per_hour.any()
        assert not instance.initial.routing.any()

    def test_tables_may_be_compressed_in_another_order_and_have_more_columns(
        self, folder: Path
    ) -> None:
        before = load_tables(folder)
        file = folder / "arrivals.csv"
        rows = [line.split(",") for line in file.read_text().splitlines()]
        turned = [",".join([*reversed(row), "note"]) for row in [rows[0], *reversed(rows[1:])]]
        (folder / "arrivals.csv.gz").write_bytes(gzip.compress("\r\n".join(turned).encode()))
        file.unlink()
        assert (load_tables(folder).arrivals == before.arrivals).all()

    def test_pairs_without_latency_are_forbidden(self, folder: Path) -> None:
        rows = (folder / "latency.csv").read_text().splitlines()
        away = next(line for line in rows[1:] if line.split(",")[0] != line.split(",")[1])
        origin, region, _ = away.split(",")
        change(folder, "latency", lambda lines: lines.remove(away))
        system = load_tables(folder).system
        assert not system.allowed[system.regions.index(origin), system.regions.index(region)]


class TestWhatIsRefused:
    @pytest.mark.parametrize("table", [name for name in TITLES if name not in OPTIONAL])
    def test_a_table_that_lacks(self, folder: Path, table: str) -> None:
        (folder / f"{table}.csv").unlink()
        assert complaint(folder).endswith(f"lacks {table}.csv")

    @pytest.mark.parametrize("table", list(TITLES))
    def test_a_column_that_lacks(self, folder: Path, table: str) -> None:
        (folder / f"{table}.csv").write_text("something,else\n")
        assert complaint(folder).startswith(f"{table}.csv: line 1: lacks the column")

    @pytest.mark.parametrize("table", list(TITLES))
    @pytest.mark.parametrize(
        ("content", "rule"),
        [(b"", "is empty"), (b"\x1f\x8b\x08\x00cut", "gzip"), (b"a\0b\n", "zero byte")],
    )
    def test_a_broken_file(self, folder: Path, table: str, content: bytes, rule: str) -> None:
        (folder / f"{table}.csv").write_bytes(content)
        told = complaint(folder)
        assert told.startswith(f"{table}.csv: ")
        assert rule in told

    @pytest.mark.parametrize(
        ("table", "row", "told"),
        [
            ("arrivals", "0,west,chat,1.5", "requests: '1.5' is not a whole number"),
            ("arrivals", "0,west,chat,", "requests: is missing"),
            ("arrivals", "99,west,chat,1", "slot: must lie in [0, "),
            ("arrivals", "-1,west,chat,1", "slot: must lie in [0, "),
            ("arrivals", "0,mars,chat,1", "region: names an unknown region, 'mars'"),
            ("arrivals", "0,west", "has 2 fields, expected 4"),
            ("arrivals", f"0,west,chat,{'9' * 100_000}", "is not a whole number"),
            ("arrivals", f"0,west,chat,{'9' * 1_000_000}", "is not CSV"),
            ("arrivals", '0,west,chat,"1', "is not CSV"),
            ("prices", "1,west,nan", "usd_per_kwh: 'nan' is not a number"),
            ("prices", "1,west,1e999", "usd_per_kwh: '1e999' is not a number"),
            ("prices", "1,west,1_0", "usd_per_kwh: '1_0' is not a number"),
            ("settings", "speed,3", "setting: 'speed' is not known; known: name, "),
            ("settings", "slots,3", "repeats slots"),
            ("outages", "nobody,0,1", "server: names an unknown server, 'nobody'"),
            ("backlog", "west,chat,0,1", "age_slots: must lie in [1, "),
        ],
    )
    def test_a_row(self, folder: Path, table: str, row: str, told: str) -> None:
        known = load_tables(folder).system
        row = row.replace("west", known.regions[0]).replace("chat", known.classes[0])
        if table == "arrivals":
            change(folder, table, lambda lines: lines.__delitem__(slice(1, None)))
        change(folder, table, lambda lines: lines.append(row))
        line = len((folder / f"{table}.csv").read_text().splitlines())
        found = complaint(folder)
        assert found.startswith(f"{table}.csv: line {line}")
        assert told in found

    def test_a_row_that_comes_twice(self, folder: Path) -> None:
        for table in ("arrivals", "latency", "service", "loading", "prices"):
            save_tables(generate("small/outage"), folder)
            change(folder, table, lambda lines: lines.append(lines[1]))
            assert "repeats an earlier row" in complaint(folder), table

    def test_a_name_that_comes_twice(self, folder: Path) -> None:
        change(folder, "servers", lambda lines: lines.append(lines[1]))
        assert "server: has the name of an earlier one" in complaint(folder)

    def test_no_price_in_slot_0(self, folder: Path) -> None:
        change(folder, "prices", lambda lines: lines.__delitem__(1))
        assert complaint(folder).startswith("prices.csv: lacks a price in slot 0 for region")

    def test_outages_that_end_before_they_begin(self, folder: Path) -> None:
        server = load_tables(folder).system.servers[0]
        change(folder, "outages", lambda lines: lines.append(f"{server},2,2"))
        assert "must satisfy 0 <= from_slot < to_slot" in complaint(folder)

    def test_a_setting_that_lacks_or_is_out_of_range(self, folder: Path) -> None:
        change(folder, "settings", lambda lines: lines.append("slots,0") or lines.pop(3))
        assert "slots must lie in [1, " in complaint(folder)
        change(folder, "settings", lambda lines: lines.pop())
        assert complaint(folder) == "settings.csv: lacks the setting slots"

    def test_a_file_in_place_of_the_folder(self, folder: Path) -> None:
        with pytest.raises(InvalidInput, match=r"rent\.csv: is not a folder"):
            load_tables(folder / "rent.csv")

    def test_rules_of_the_instance_hold_as_well(self, folder: Path) -> None:
        server = load_tables(folder).system.classes[0]
        change(folder, "service", lambda lines: lines.__delitem__(slice(1, None)))
        with pytest.raises(InvalidInput) as caught:
            load_tables(folder)
        assert str(caught.value).startswith(str(folder))
        assert server in str(caught.value)
