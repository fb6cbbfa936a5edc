"""The schedule file: there and back, and every malformed file refused by name, field and rule."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from support.plain import make_instance, make_schedule
from support.sizes import examples
from support.tiny import feasible_cases

from torta_opt.allocation.instance.document import instance_sha256
from torta_opt.allocation.instance.rules import MAX_COUNT
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.schedule.document import (
    json_schema,
    load_schedule,
    save_schedule,
    schedule_from_document,
    schedule_to_document,
)
from torta_opt.io import InvalidInput, document_bytes

# Three slots, two regions (one server each), two models, two classes.
INSTANCE = make_instance(
    [[[3, 1], [2, 0]], [[0, 4], [1, 1]], [[0, 0], [0, 0]]],
    models=2,
    class_model=[0, 1],
    initial={"model": [0, -1]},
)
SCHEDULE = make_schedule(
    INSTANCE,
    moves=[(0, 0, 1, 0, 1)],
    commands=[(0, 1, "start", 1), (1, 0, "switch", 1), (2, 1, "stop", None)],
    processing=[(0, 0, 0, 2), (1, 1, 1, 1)],
    forecast=[[4.0, 2.0], [3.5, 2.0], [0.25, 0.0]],
)


def document() -> dict[str, Any]:
    made = schedule_to_document(SCHEDULE)
    made |= {"instance": INSTANCE.name, "instance_sha256": instance_sha256(INSTANCE)}
    return copy.deepcopy(made)


def same(one: Schedule, two: Schedule) -> bool:
    return all(
        np.array_equal(getattr(one, field.name), getattr(two, field.name))
        if isinstance(getattr(one, field.name), np.ndarray)
        else getattr(one, field.name) == getattr(two, field.name)
        for field in fields(Schedule)
    )


class TestRoundTrip:
    @settings(max_examples=examples(300))
    @given(feasible_cases())
    def test_any_schedule(self, case):
        instance, schedule = case
        made = schedule_to_document(schedule)
        text = document_bytes(made)
        back = schedule_from_document(json.loads(text), instance)
        assert same(back, schedule)
        assert document_bytes(schedule_to_document(back)) == text

    @pytest.mark.parametrize("name", ["schedule.json", "schedule.json.gz"])
    def test_files(self, tmp_path: Path, name: str):
        path = tmp_path / name
        save_schedule(SCHEDULE, path)
        assert same(load_schedule(path, INSTANCE), SCHEDULE)
        assert (path.read_bytes()[:2] == b"\x1f\x8b") == name.endswith(".gz")
        first = path.read_bytes()
        save_schedule(SCHEDULE, path)
        assert path.read_bytes() == first
        assert [entry.name for entry in tmp_path.iterdir()] == [name]

    def test_everything_is_kept(self):
        made = document() | {"method": "by hand", "seed": 7}
        back = schedule_from_document(made, INSTANCE)
        assert (back.method, back.seed, back.instance) == ("by hand", 7, INSTANCE.name)
        assert back.instance_sha256 == instance_sha256(INSTANCE)
        assert schedule_to_document(back) == made

    def test_rows_come_in_any_order_and_zeros_may_be_written(self):
        made = document()
        for table in ("routing", "commands", "processing"):
            made[table] = {name: column[::-1] for name, column in made[table].items()}
        for column, value in zip(made["processing"].values(), (2, 0, 0, 0), strict=True):
            column.append(value)
        assert schedule_to_document(schedule_from_document(made, INSTANCE)) == document()

    def test_another_tool_need_not_say_for_what_and_by_what(self):
        made = document()
        for name in ("instance", "instance_sha256", "method", "seed", "forecast"):
            del made[name]
        back = schedule_from_document(made, INSTANCE)
        assert np.array_equal(back.routing, SCHEDULE.routing)
        assert (back.instance_sha256, back.forecast, back.seed) == (None, None, None)

    def test_the_published_schema_agrees(self):
        jsonschema = pytest.importorskip("jsonschema")
        validator = jsonschema.Draft202012Validator(json_schema())
        assert list(validator.iter_errors(document())) == []
        negative = document()
        negative["routing"]["requests"][0] = -1
        extra = document() | {"cost": 1.0}
        assert list(validator.iter_errors(negative))
        assert list(validator.iter_errors(extra))


# --- malformed files ----------------------------------------------------------------------------

Edit = Callable[[dict[str, Any]], Any]


def put(value: Any, *path: str | int) -> Edit:
    """Set one entry of the document."""

    def edit(made: dict[str, Any]) -> None:
        target: Any = made
        for part in path[:-1]:
            target = target[part]
        target[path[-1]] = value

    return edit


def drop(*path: str | int) -> Edit:
    def edit(made: dict[str, Any]) -> None:
        target: Any = made
        for part in path[:-1]:
            target = target[part]
        del target[path[-1]]

    return edit


def repeat_row(table: str, **changes: Any) -> Edit:
    """Write the first row of a table again at its end, with some columns changed."""

    def edit(made: dict[str, Any]) -> None:
        for name, column in made[table].items():
            column.append(changes.get(name, column[0]))

    return edit


# name: (edit, field as the message gives it, words of the rule)
MALFORMED: dict[str, tuple[Edit, str, str]] = {
    "no format": (drop("format"), "format", "must be"),
    "another format": (put("torta-opt/allocation", "format"), "format", "torta-opt/schedule"),
    "format is a number": (put(1, "format"), "format", "must be"),
    "no version": (drop("version"), "version", "is missing"),
    "unknown version": (put(2, "version"), "version", "2 is not known"),
    "version 0": (put(0, "version"), "version", "0 is not known"),
    "version is text": (put("1", "version"), "version", "is not known"),
    "version is true": (put(True, "version"), "version", "is not known"),
    "unknown field": (put(1.0, "cost"), "cost", "is not a known field"),
    "unknown column": (put([], "routing", "from"), "routing.from", "is not a known field"),
    "no table": (drop("processing"), "processing", "is missing"),
    "no column": (drop("routing", "requests"), "routing.requests", "is missing"),
    "no slots": (drop("slots"), "slots", "is missing"),
    "zero slots": (put(0, "slots"), "slots", "greater than or equal to 1"),
    "too few slots": (put(2, "slots"), "slots", "is 2, the instance has 3"),
    "too many slots": (put(10**6, "slots"), "slots", "is 1000000, the instance has 3"),
    "slots is a fraction": (put(3.0, "slots"), "slots", "valid integer"),
    "a table is a list": (put([], "routing"), "routing", "object"),
    "a table is null": (put(None, "commands"), "commands", "object"),
    "a column is a number": (put(3, "routing", "slot"), "routing.slot", "valid list"),
    "a count is negative": (
        put(-1, "routing", "requests", 0),
        "routing.requests[0]",
        "greater than or equal to 0",
    ),
    "a count is huge": (
        put(MAX_COUNT + 1, "processing", "requests", 1),
        "processing.requests[1]",
        f"less than or equal to {MAX_COUNT}",
    ),
    "a count beyond 64 bits": (
        put(2**70, "processing", "requests", 0),
        "processing.requests[0]",
        f"less than or equal to {MAX_COUNT}",
    ),
    "a count is a fraction": (
        put(1.5, "routing", "requests", 0),
        "routing.requests[0]",
        "valid integer",
    ),
    "a count is a whole float": (
        put(1.0, "routing", "requests", 0),
        "routing.requests[0]",
        "valid integer",
    ),
    "a count is text": (put("1", "routing", "requests", 0), "routing.requests[0]", "valid integer"),
    "a count is true": (
        put(True, "routing", "requests", 0),
        "routing.requests[0]",
        "valid integer",
    ),
    "a count is null": (
        put(None, "routing", "requests", 0),
        "routing.requests[0]",
        "valid integer",
    ),
    "a count is a list": (
        put([1], "processing", "requests", 0),
        "processing.requests[0]",
        "valid integer",
    ),
    "a position is negative": (
        put(-1, "routing", "origin", 0),
        "routing.origin[0]",
        "greater than or equal to 0",
    ),
    "unknown slot": (put(3, "routing", "slot", 1), "routing.slot[1]", "is 3, the instance has 3"),
    "unknown origin": (put(2, "routing", "origin", 0), "routing.origin[0]", "positions 0 to 1"),
    "unknown region": (put(9, "routing", "region", 2), "routing.region[2]", "is 9"),
    "unknown class": (put(2, "routing", "class", 0), "routing.class[0]", "the instance has 2"),
    "unknown server": (put(2, "commands", "server", 0), "commands.server[0]", "is 2"),
    "unknown slot of a command": (put(7, "commands", "slot", 2), "commands.slot[2]", "is 7"),
    "unknown server at work": (
        put(5, "processing", "server", 0),
        "processing.server[0]",
        "the instance has 2",
    ),
    "unknown class at work": (put(4, "processing", "class", 1), "processing.class[1]", "is 4"),
    "a position beyond 64 bits": (
        put(2**64, "processing", "slot", 0),
        "processing.slot[0]",
        "less than or equal to",
    ),
    "a route twice": (repeat_row("routing"), "routing", "row 7 repeats an earlier slot, origin"),
    "a route twice with another count": (
        repeat_row("routing", requests=9),
        "routing",
        "repeats an earlier",
    ),
    "a server commanded twice": (
        repeat_row("commands", command="stop", model=None),
        "commands",
        "row 3 repeats an earlier slot, server",
    ),
    "work twice": (repeat_row("processing"), "processing", "row 2 repeats an earlier slot, server"),
    "a column too short": (drop("routing", "class", 0), "routing.class", "rows"),
    "a column too long": (
        lambda made: made["processing"]["requests"].append(1),
        "processing.requests",
        "rows",
    ),
    "a command column too short": (drop("commands", "model", 0), "commands.model", "has 2 rows"),
    "unknown command": (
        put("pause", "commands", "command", 0),
        "commands.command[0]",
        "'start', 'stop' or 'switch'",
    ),
    "a command is a number": (
        put(1, "commands", "command", 0),
        "commands.command[0]",
        "'start', 'stop' or 'switch'",
    ),
    "a start without a model": (
        put(None, "commands", "model", 0),
        "commands.model[0]",
        "must name a model",
    ),
    "a stop with a model": (
        put(0, "commands", "model", 2),
        "commands.model[2]",
        "must be null for a stop",
    ),
    "unknown model": (put(2, "commands", "model", 1), "commands.model[1]", "the instance has 2"),
    "a model by name": (put("large", "commands", "model", 0), "commands.model[0]", "integer"),
    "made for another instance": (
        put("0" * 64, "instance_sha256"),
        "instance_sha256",
        "made for another one",
    ),
    "the hash is a number": (put(5, "instance_sha256"), "instance_sha256", "valid string"),
    "the seed is text": (put("7", "seed"), "seed", "valid integer"),
    "a slot without forecast": (
        drop("forecast", 1),
        "forecast",
        "must have 3 rows of 2 entries",
    ),
    "a region without forecast": (
        drop("forecast", 1, 0),
        "forecast",
        "must have 3 rows of 2 entries",
    ),
    "a negative forecast": (
        put(-0.5, "forecast", 2, 1),
        "forecast[2][1]",
        "greater than or equal to 0",
    ),
    "a forecast is text": (put("4", "forecast", 0, 0), "forecast[0][0]", "valid number"),
}

TEXTS: dict[str, tuple[Callable[[str], str], str, str]] = {
    "nothing": (lambda text: "", "", "is not JSON"),
    "truncated": (lambda text: text[: len(text) // 2], "", "is not JSON"),
    "truncated by one byte": (lambda text: text.rstrip()[:-1], "", "is not JSON"),
    "something after the end": (lambda text: text + "{}", "", "is not JSON"),
    "not JSON": (lambda text: "slot,origin,region\n0,0,0\n", "", "is not JSON"),
    "a list": (lambda text: f"[{text}]", "", "must hold a JSON object, found an array"),
    "a number": (lambda text: "3", "", "must hold a JSON object, found a number"),
    "NaN": (lambda text: text.replace("3.5", "NaN"), "forecast[1][0]", "must be a finite number"),
    "Infinity": (
        lambda text: text.replace("3.5", "Infinity"),
        "forecast[1][0]",
        "must be a finite number",
    ),
    "a float that overflows": (
        lambda text: text.replace("3.5", "1e999"),
        "forecast[1][0]",
        "finite",
    ),
    "a field twice": (lambda text: text.replace("{", '{"slots":3,', 1), "slots", "is given twice"),
    "a column twice": (
        lambda text: text.replace('"routing":{', '"routing":{"slot":[],'),
        "slot",
        "is given twice",
    ),
    "too many digits": (
        lambda text: text.replace('"slots":3', '"slots":' + "9" * 5000),
        "",
        "too many digits",
    ),
    "nested too deeply": (lambda text: "[" * 200_000, "", "nested too deeply"),
}


def refusal(path: Path) -> str:
    with pytest.raises(InvalidInput) as caught:
        load_schedule(path, INSTANCE)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(f"{path}: ")
    return line.removeprefix(f"{path}: ")


def check_line(line: str, field: str, words: str) -> None:
    if field:
        assert line.startswith(f"{field}: "), line
    assert words in line, line


class TestRefused:
    def test_what_is_made_malformed_below_is_well_formed(self, tmp_path: Path):
        path = tmp_path / "schedule.json"
        path.write_bytes(document_bytes(document()))
        assert np.array_equal(load_schedule(path, INSTANCE).routing, SCHEDULE.routing)

    @pytest.mark.parametrize("name", MALFORMED)
    def test_malformed(self, tmp_path: Path, name: str):
        edit, field, words = MALFORMED[name]
        made, path = document(), tmp_path / "schedule.json"
        edit(made)
        path.write_text(json.dumps(made))
        check_line(refusal(path), field, words)

    @pytest.mark.parametrize("name", TEXTS)
    def test_text(self, tmp_path: Path, name: str):
        spoil, field, words = TEXTS[name]
        path = tmp_path / "schedule.json"
        text = document_bytes(document()).decode()
        assert spoil(text) != text
        path.write_text(spoil(text))
        check_line(refusal(path), field, words)

    def test_not_text(self, tmp_path: Path):
        path = tmp_path / "schedule.json"
        path.write_bytes(b'{"format": "\xff\xfe"}')
        check_line(refusal(path), "", "is not UTF-8 text")

    def test_absent(self, tmp_path: Path):
        check_line(refusal(tmp_path / "none.json"), "", "cannot be read: No such file")

    def test_a_folder(self, tmp_path: Path):
        check_line(refusal(tmp_path), "", "cannot be read")

    @pytest.mark.parametrize("kept", [3, 40, -1, -9])
    def test_truncated_gzip(self, tmp_path: Path, kept: int):
        path = tmp_path / "schedule.json.gz"
        path.write_bytes(gzip.compress(document_bytes(document()))[:kept])
        check_line(refusal(path), "", "is not a complete gzip file")

    def test_damaged_gzip(self, tmp_path: Path):
        path = tmp_path / "schedule.json.gz"
        packed = bytearray(gzip.compress(document_bytes(document())))
        packed[len(packed) // 2] ^= 0xFF
        path.write_bytes(packed)
        check_line(refusal(path), "", "is not a complete gzip file")
