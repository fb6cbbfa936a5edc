"""The instance file: there and back, and every kind of bad file refused in one line."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.sizes import examples
from support.tiny import tiny_instances

from torta_opt.allocation.instance import (
    Instance,
    instance_from_document,
    instance_sha256,
    instance_to_document,
    load_instance,
    save_instance,
)
from torta_opt.allocation.instance.document import json_schema
from torta_opt.allocation.instance.generate import generate
from torta_opt.io import InvalidInput, document_bytes, read_document

Edit = Callable[[dict[str, Any]], None]


def base() -> dict[str, Any]:
    """A valid file with something in every field: two models, classes, types, servers, regions."""
    document = instance_to_document(generate("small/switch"))
    document["transfer_usd"] = [[[0.0, 0.0], [0.1, 0.2]], [[0.1, 0.2], [0.0, 0.0]]]
    document["outages"] = [{"server": "server-2", "from_slot": 1, "to_slot": 3}]
    document["initial"] = {
        "servers": {"server-1": {"model": "a", "loading_ms": 0, "processing": {"ask-a": 2}}},
        "backlog": [{"region": "east", "class": "ask-b", "age_slots": 1, "requests": 4}],
        "routing": [[3, 0], [0, 1]],
    }
    return copy.deepcopy(document)


def same(one: Instance, other: Instance) -> bool:
    return document_bytes(instance_to_document(one)) == document_bytes(instance_to_document(other))


class TestThereAndBack:
    @settings(max_examples=examples(150))
    @given(tiny_instances())
    def test_any_instance(self, instance: Instance) -> None:
        text = json.dumps(instance_to_document(instance))
        again = instance_from_document(json.loads(text))
        assert same(instance, again)
        for field in ("arrivals", "price_usd_per_kwh", "up"):
            np.testing.assert_array_equal(getattr(instance, field), getattr(again, field))
        for owner in ("system", "initial"):
            one, other = getattr(instance, owner), getattr(again, owner)
            for entry in dataclasses.fields(one):
                value, back = getattr(one, entry.name), getattr(other, entry.name)
                if entry.name in ("start_usd", "switch_usd"):  # means nothing where not held
                    value = np.where(instance.system.holds, value, 0.0)
                if isinstance(value, np.ndarray) and entry.name != "backlog":
                    np.testing.assert_array_equal(value, back)
        assert instance.requests == again.requests

    @pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
    def test_through_a_file(self, name: str, tmp_path: Path) -> None:
        instance = instance_from_document(base())
        save_instance(instance, tmp_path / name)
        content = (tmp_path / name).read_bytes()
        assert content.startswith(b"\x1f\x8b") == name.endswith(".gz")
        assert same(load_instance(tmp_path / name), instance)
        save_instance(load_instance(tmp_path / name), tmp_path / f"again-{name}")
        assert (tmp_path / f"again-{name}").read_bytes() == content

    def test_base_keeps_every_field(self) -> None:
        document = base()
        assert instance_to_document(instance_from_document(document)) == document

    def test_defaults_may_be_left_out(self) -> None:
        document = base()
        for name in ("transfer_usd", "outages", "initial", "description"):
            del document[name]
        instance = instance_from_document(document)
        assert not instance.system.transfer_usd.any()
        assert instance.up.all()
        assert (instance.initial.model == -1).all()
        assert instance.description == ""

    def test_whole_numbers_may_stand_for_reals(self) -> None:
        document = base()
        document["price_usd_per_kwh"] = [[0, 1]] * 5
        assert instance_from_document(document).price_usd_per_kwh[0].tolist() == [0.0, 1.0]

    def test_outages_of_one_server_may_touch_and_overlap(self) -> None:
        document = base()
        document["outages"] = [
            {"server": "server-2", "from_slot": first, "to_slot": last}
            for first, last in ((0, 2), (1, 3), (3, 4))
        ]
        instance = instance_from_document(document)
        assert instance.up[:, 1].tolist() == [False] * 4 + [True]
        assert len(instance_to_document(instance)["outages"]) == 1

    def test_hash_names_the_content(self) -> None:
        one, other = instance_from_document(base()), generate("small/switch")
        assert instance_sha256(one) == instance_sha256(instance_from_document(base()))
        assert instance_sha256(one) != instance_sha256(other)

    def test_utf8_with_byte_order_mark(self, tmp_path: Path) -> None:
        document = base()
        document["name"] = "Zürich"
        path = tmp_path / "a.json"
        path.write_bytes(b"\xef\xbb\xbf" + json.dumps(document, ensure_ascii=False).encode())
        assert load_instance(path).name == "Zürich"


class TestSchema:
    @pytest.mark.parametrize("preset", ["small/outage", "small/switch", "paper/polska+outage"])
    def test_presets_meet_it(self, preset: str) -> None:
        document = json.loads(document_bytes(instance_to_document(generate(preset))))
        jsonschema.validate(document, json_schema())

    def test_is_a_schema_and_refuses(self) -> None:
        jsonschema.Draft202012Validator.check_schema(json_schema())
        document = base()
        document["classes"][0]["deadline_slots"] = -1
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(document, json_schema())


# --- refused ------------------------------------------------------------------------------------


def put(value: Any, *path: str | int) -> Edit:
    def edit(document: dict[str, Any]) -> None:
        owner: Any = document
        for part in path[:-1]:
            owner = owner[part]
        owner[path[-1]] = value

    return edit


def drop(*path: str | int) -> Edit:
    def edit(document: dict[str, Any]) -> None:
        owner: Any = document
        for part in path[:-1]:
            owner = owner[part]
        del owner[path[-1]]

    return edit


def both(*edits: Edit) -> Edit:
    def edit(document: dict[str, Any]) -> None:
        for one in edits:
            one(document)

    return edit


HUGE = 10**400
SERVED_A = ("types", 0, "service", "ask-a")
LOADED_A = ("types", 0, "loading", "a")
BACKLOG = ("initial", "backlog", 0)

# name: (edit, field as the message gives it, words of the rule)
MALFORMED: dict[str, tuple[Edit, str, str]] = {
    # envelope
    "no format": (drop("format"), "format", 'must be "torta-opt/allocation"'),
    "another format": (put("torta-opt/schedule", "format"), "format", 'found "torta-opt/schedule"'),
    "format is a number": (put(1, "format"), "format", "found 1"),
    "no version": (drop("version"), "version", 'is missing; add "version": 1'),
    "unknown version": (put(99, "version"), "version", "99 is not known"),
    "version is text": (put("1", "version"), "version", "is not known"),
    "version is true": (put(True, "version"), "version", "is not known"),
    # fields
    "unknown field": (put(1, "weigths"), "weigths", "is not a known field"),
    "unknown nested field": (
        put(1, "types", 0, "price"),
        "types[0].price",
        "is not a known field",
    ),
    "field with a line break": (put(1, "a\nb"), "a\\nb", "is not a known field"),
    "no name": (drop("name"), "name", "is missing"),
    "empty name": (put("", "name"), "name", "at least 1 character"),
    "name of 201 letters": (put("x" * 201, "name"), "name", "at most 200 characters"),
    "name with a line break": (put("a\nb", "name"), "name", "must not hold control characters"),
    "no arrivals": (drop("arrivals"), "arrivals", "is missing"),
    "no weights": (drop("weights"), "weights", "is missing"),
    "classes is an object": (put({}, "classes"), "classes", "must be a valid list"),
    "a class is a list": (put([], "classes", 0), "classes[0]", "must be an object"),
    "loading is null": (put(None, "types", 0, "loading"), "types[0].loading", "must be an object"),
    "weights is a number": (put(1, "weights"), "weights", "must be an object"),
    # names
    "no regions": (put([], "regions"), "servers[0].region", "names an unknown region, 'east'"),
    "no servers": (
        both(put([], "servers"), put({}, "initial"), put([], "outages")),
        "servers",
        "must hold at least one entry",
    ),
    "two regions alike": (put("east", "regions", 1), "regions[1]", "earlier one, 'east'"),
    "two models alike": (put("a", "models", 1), "models[1]", "has the name of an earlier one"),
    "two classes alike": (put("ask-a", "classes", 1, "name"), "classes[1]", "earlier one, 'ask-a'"),
    "two types alike": (put("gpu-east", "types", 1, "name"), "types[1]", "earlier one"),
    "two servers alike": (put("server-1", "servers", 1, "name"), "servers[1]", "earlier one"),
    "unknown model": (put("c", "classes", 1, "model"), "classes[1].model", "unknown model, 'c'"),
    "unknown region": (put("north", "servers", 1, "region"), "servers[1].region", "'north'"),
    "unknown type": (put("tpu", "servers", 0, "type"), "servers[0].type", "unknown type, 'tpu'"),
    "unknown class served": (
        put({"service_s": 1.0, "hot_service_s": 1.0, "server_ms": 1}, "types", 0, "service", "x"),
        "types[0].service",
        "unknown class, 'x'",
    ),
    "unknown model loaded": (
        put({"start_ms": 1, "switch_ms": 1}, "types", 0, "loading", "x"),
        "types[0].loading",
        "unknown model, 'x'",
    ),
    "unknown region rented": (
        put(1.0, "types", 0, "rent_usd_per_hour", "x"),
        "types[0].rent_usd_per_hour",
        "unknown region, 'x'",
    ),
    "unknown class expires": (put(1.0, "weights", "expiry_usd", "x"), "weights.expiry_usd", "'x'"),
    "no class expires": (drop("weights", "expiry_usd", "ask-b"), "weights.expiry_usd", "lacks"),
    # slots
    "slot of 0 ms": (put(0, "slot_ms"), "slot_ms", "must lie in [1, 100000000], found 0"),
    "slot of 1.5 ms": (put(1.5, "slot_ms"), "slot_ms", "must be a valid integer"),
    "slot is true": (put(True, "slot_ms"), "slot_ms", "must be a valid integer"),
    "slot of 10^400 ms": (put(HUGE, "slot_ms"), "slot_ms", "must lie in"),
    "hot share of 1001": (put(1001, "hot_permille"), "hot_permille", "must lie in [0, 1000]"),
    # arrivals
    "no slots": (both(put([], "arrivals"), put([], "outages")), "arrivals", "at least one slot"),
    "arrivals of one class": (
        put([[[1], [1]]] * 5, "arrivals"),
        "arrivals",
        "has shape 5×2×1, expected 5×2×2 (slot, region, class)",
    ),
    "ragged slot": (put([[1, 1]], "arrivals", 2), "arrivals[2]", "has 1 entries, expected 2"),
    "ragged region": (put([1], "arrivals", 2, 1), "arrivals[2][1]", "has 1 entries, expected 2"),
    "arrivals are flat": (put([1, 2], "arrivals"), "arrivals[0]", "must be a valid list"),
    "negative arrivals": (put(-1, "arrivals", 0, 1, 0), "arrivals[0][1][0]", "equal to 0"),
    "arrivals of 0.5": (put(0.5, "arrivals", 0, 1, 0), "arrivals[0][1][0]", "valid integer"),
    "arrivals of 1.0": (put(1.0, "arrivals", 0, 1, 0), "arrivals[0][1][0]", "valid integer"),
    "arrivals of 10^400": (put(HUGE, "arrivals", 0, 1, 0), "arrivals[0][1][0]", "100000000"),
    "arrivals are null": (put(None, "arrivals", 0, 1, 0), "arrivals[0][1][0]", "valid integer"),
    # prices
    "prices of 4 slots": (
        put([[0.1, 0.1]] * 4, "price_usd_per_kwh"),
        "price_usd_per_kwh",
        "has shape 4×2, expected 5×2 (slot, region)",
    ),
    "price is text": (put("0.1", "price_usd_per_kwh", 1, 0), "price_usd_per_kwh[1][0]", "number"),
    "price is null": (put(None, "price_usd_per_kwh", 1, 0), "price_usd_per_kwh[1][0]", "number"),
    "price of 10^400": (put(HUGE, "price_usd_per_kwh", 1, 0), "price_usd_per_kwh[1][0]", "number"),
    "price of 1e300": (
        put(1e300, "price_usd_per_kwh", 1, 0),
        "price_usd_per_kwh[1][0]",
        "must lie in [-1e+09, 1e+09], found 1e+300",
    ),
    # routes
    "latency of 3 regions": (
        put([[0.1] * 3] * 3, "latency_s"),
        "latency_s",
        "has shape 3×3, expected 2×2",
    ),
    "ragged latency": (put([0.1], "latency_s", 1), "latency_s[1]", "has 1 entries, expected 2"),
    "negative latency": (put(-0.1, "latency_s", 0, 1), "latency_s[0][1]", "must not be negative"),
    "nowhere to send": (
        put([None, None], "latency_s", 1),
        "latency_s[1]",
        "leaves region 'west' no region to send to",
    ),
    "negative transfer": (
        put(-1.0, "transfer_usd", 0, 1, 1),
        "transfer_usd[0][1][1]",
        "must not be negative, found -1.0",
    ),
    "transfer of one class": (
        put([[[0.0]] * 2] * 2, "transfer_usd"),
        "transfer_usd",
        "has shape 2×2×1, expected 2×2×2",
    ),
    # classes
    "negative deadline": (
        put(-1, "classes", 0, "deadline_slots"),
        "classes[0].deadline_slots",
        "greater than or equal to 0",
    ),
    "deadline of 10^6 slots": (
        put(10**6, "classes", 0, "deadline_slots"),
        "classes[0].deadline_slots",
        "must lie in [0, 100000]",
    ),
    "negative target": (put(-1.0, "classes", 1, "slo_s"), "classes[1].slo_s", "negative"),
    # service
    "hot slower than cold": (
        put(11.0, *SERVED_A, "hot_service_s"),
        "types[0].service.ask-a.hot_service_s",
        "must not exceed service_s",
    ),
    "negative service": (
        both(put(-2.0, *SERVED_A, "service_s"), put(-3.0, *SERVED_A, "hot_service_s")),
        "types[0].service.ask-a.service_s",
        "must not be negative",
    ),
    "server time 0": (
        put(0, *SERVED_A, "server_ms"),
        "types[0].service.ask-a.server_ms",
        "greater than 0",
    ),
    "service without server time": (
        drop(*SERVED_A, "server_ms"),
        "types[0].service.ask-a.server_ms",
        "is missing",
    ),
    "class nobody serves": (
        drop("types", 0, "service", "ask-b"),
        "classes[1]",
        "class 'ask-b' cannot be served by any server within one slot of 45000 ms",
    ),
    "class nobody serves in a slot": (
        put(45_001, "types", 0, "service", "ask-b", "server_ms"),
        "classes[1]",
        "cannot be served by any server within one slot",
    ),
    "serves a model it cannot hold": (
        drop("types", 0, "loading", "b"),
        "types[0].service.ask-b.server_ms",
        "is given on a type that cannot hold the class's model",
    ),
    # servers
    "peak below idle": (put(0.1, "types", 0, "peak_kw"), "types[0].peak_kw", "below idle_kw"),
    "negative idle": (put(-0.1, "types", 0, "idle_kw"), "types[0].idle_kw", "must not be negative"),
    "negative rent": (
        put(-1.0, "types", 0, "rent_usd_per_hour", "west"),
        "types[0].rent_usd_per_hour.west",
        "must not be negative",
    ),
    "negative start": (
        put(-1, *LOADED_A, "start_ms"),
        "types[0].loading.a.start_ms",
        "greater than or equal to 0",
    ),
    "start of 10^9 ms": (
        put(10**9, *LOADED_A, "start_ms"),
        "types[0].loading.a.start_ms",
        "less than or equal to 100000000",
    ),
    "negative switch cost": (
        put(-0.1, *LOADED_A, "switch_usd"),
        "types[0].loading.a.switch_usd",
        "must not be negative",
    ),
    # initial data
    "unknown initial server": (
        put({"model": "a"}, "initial", "servers", "server-9"),
        "initial.servers",
        "unknown server, 'server-9'",
    ),
    "unknown initial model": (
        put("c", "initial", "servers", "server-1", "model"),
        "initial.servers.server-1.model",
        "unknown model, 'c'",
    ),
    "initial model not held": (
        put({"model": "b"}, "initial", "servers", "server-2"),
        "initial.servers.server-2.model",
        "is a model that this server's type cannot hold",
    ),
    "initial work while loading": (
        put(5, "initial", "servers", "server-1", "loading_ms"),
        "initial.servers.server-1.processing.ask-a",
        "was not ready with a model that serves this class",
    ),
    "initial work of another model": (
        put({"ask-b": 1}, "initial", "servers", "server-1", "processing"),
        "initial.servers.server-1.processing.ask-b",
        "was not ready with a model that serves this class",
    ),
    "initial work beyond a slot": (
        put({"ask-a": 4}, "initial", "servers", "server-1", "processing"),
        "initial.servers.server-1.processing.ask-a",
        "more than one slot allows",
    ),
    "initial routing of 1 region": (
        put([[1]], "initial", "routing"),
        "initial.routing",
        "has shape 1×1, expected 2×2",
    ),
    "initial routing over a forbidden pair": (
        both(put(None, "latency_s", 0, 1), put([[0, 1], [0, 0]], "initial", "routing")),
        "initial.routing[0][1]",
        "must be 0 where latency_s is null",
    ),
    "backlog past its deadline": (
        put(2, *BACKLOG, "age_slots"),
        "initial.backlog[0].age_slots",
        "has expired before slot 0",
    ),
    "backlog of age 0": (put(0, *BACKLOG, "age_slots"), "initial.backlog[0].age_slots", "to 1"),
    "backlog twice": (
        put([{"region": "east", "class": "ask-b", "age_slots": 1, "requests": 4}] * 2,
            "initial", "backlog"),
        "initial.backlog[1]",
        "repeats an earlier region, class and age",
    ),
    "backlog of an unknown class": (
        put("x", *BACKLOG, "class"),
        "initial.backlog[0].class",
        "unknown class, 'x'",
    ),
    # outages
    "outage of an unknown server": (
        put("x", "outages", 0, "server"),
        "outages[0].server",
        "unknown server, 'x'",
    ),
    "outage beyond the end": (
        put(6, "outages", 0, "to_slot"),
        "outages[0].to_slot",
        "must satisfy from_slot < to_slot <= 5",
    ),
    "outage of no slot": (put(1, "outages", 0, "to_slot"), "outages[0].to_slot", "must satisfy"),
    "negative outage": (put(-1, "outages", 0, "from_slot"), "outages[0].from_slot", "equal to 0"),
    # weights
    "negative time": (
        put(-1.0, "weights", "time_usd_per_s"),
        "weights.time_usd_per_s",
        "must lie in [0, 1e+09]",
    ),
    "time is text": (put("1", "weights", "time_usd_per_s"), "weights.time_usd_per_s", "number"),
    "negative expiry": (
        put(-1.0, "weights", "expiry_usd", "ask-a"),
        "weights.expiry_usd.ask-a",
        "must not be negative",
    ),
    "factor is true": (put(True, "weights", "rent_factor"), "weights.rent_factor", "number"),
}  # fmt: skip


def refusal(path: Path) -> str:
    with pytest.raises(InvalidInput) as caught:
        load_instance(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < 1000
    assert caught.value.exit_code == 2
    return message.removeprefix(f"{path}: ")


def test_base_is_good() -> None:
    assert instance_from_document(base()).slots == 5


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed(case: str, tmp_path: Path) -> None:
    edit, field, words = MALFORMED[case]
    document = base()
    edit(document)
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(document))
    message = refusal(path)
    assert message.startswith(f"{field}: ")
    assert words in message


GOOD = json.dumps(base())

UNREADABLE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is not JSON: Expecting value at line 1, column 1"),
    "text": (b"hello", "is not JSON"),
    "cut off": (GOOD[: len(GOOD) // 2].encode(), "is not JSON"),
    "two documents": ((GOOD + GOOD).encode(), "is not JSON: Extra data"),
    "array": (b"[1, 2]", "must hold a JSON object, found an array"),
    "string": (b'"instance"', "must hold a JSON object, found a string"),
    "null": (b"null", "must hold a JSON object, found null"),
    "number": (b"5", "must hold a JSON object, found a number"),
    "not UTF-8": (b'{"name": "\xff\xfe"}', "is not UTF-8 text (byte 10)"),
    "NaN": (GOOD.replace("0.05", "NaN", 1).encode(), "latency_s[0][1]: must be a finite number"),
    "Infinity": (
        GOOD.replace("0.05", "-Infinity", 1).encode(),
        "latency_s[0][1]: must be a finite number",
    ),
    "1e400": (GOOD.replace("0.05", "1e400", 1).encode(), "latency_s[0][1]: must be a finite"),
    "5000 digits": (GOOD.replace("0.05", "9" * 5000, 1).encode(), "too many digits"),
    "key twice": (
        GOOD.replace('"slot_ms"', '"slot_ms": 1, "slot_ms"', 1).encode(),
        "slot_ms: is given twice",
    ),
    "nested key twice": (
        GOOD.replace('"start_ms"', '"start_ms": 1, "start_ms"', 1).encode(),
        "start_ms: is given twice",
    ),
    "deep nesting": (b"[" * 200_000 + b"]" * 200_000, "is nested too deeply"),
    "deep nesting in a field": (
        GOOD.replace("0.05", "[" * 500 + "]" * 500, 1).encode(),
        "latency_s[0][1]: must be a valid number",
    ),
    "gzip cut off": (gzip.compress(GOOD.encode())[:-40], "is not a complete gzip file"),
    "gzip header alone": (gzip.compress(GOOD.encode())[:10], "is not a complete gzip file"),
    "gzip damaged": (
        gzip.compress(GOOD.encode(), mtime=0)[:60] + b"\x00" * 40,
        "is not a complete gzip file",
    ),
    "zip archive": (b"PK\x03\x04" + bytes(100), "is not"),
    "UTF-16": (GOOD.encode("utf-16"), "is not UTF-8 text"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_unreadable(case: str, tmp_path: Path) -> None:
    content, words = UNREADABLE[case]
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    assert words in refusal(path)


def test_missing_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.json") == "cannot be read: No such file or directory"


def test_folder(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "cannot be read: Is a directory"


def test_control_characters_in_the_name_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_instance(tmp_path / "a\nb.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("packed", [False, True])
def test_oversized(packed: bool, tmp_path: Path) -> None:
    path = tmp_path / "bomb.json"
    content = b'{"name": "' + b"x" * 5_000_000 + b'"}'
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(InvalidInput, match="is larger than 1000000 bytes once decompressed"):
        read_document(path, {"torta-opt/allocation": 1}, max_bytes=1_000_000)


def paths_of(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in a document."""
    inside = value.items() if isinstance(value, dict) else ()
    inside = enumerate(value) if isinstance(value, list) else inside
    deeper = [found for key, part in inside for found in paths_of(part, (*path, key))]
    return [path, *deeper] if path else deeper


PLACES = paths_of(base())
ODD_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**8 - 2, 10**9 + 2)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["east", "a", "ask-b", "server-2", 2**63, 2**64, -(2**63) - 1, 10**400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@settings(max_examples=examples(400))
@given(st.lists(st.tuples(st.sampled_from(PLACES), ODD_VALUES), min_size=1, max_size=2))
def test_any_damage_is_refused_in_one_line_or_harmless(damage: list[tuple[Any, Any]]) -> None:
    document = base()
    for path, value in damage:
        with contextlib.suppress(LookupError, TypeError):  # the first damage took the place away
            put(value, *path)(document)
    instance, complaint = None, None
    try:
        instance = instance_from_document(document)
    except InvalidInput as error:
        complaint = error
    if instance is not None:
        assert same(instance, instance_from_document(instance_to_document(instance)))
    else:
        assert complaint is not None
        assert complaint.field
        assert "\n" not in str(complaint)


def test_many_complaints_are_counted(tmp_path: Path) -> None:
    document = base()
    document["slot_ms"], document["hot_permille"], document["regions"] = "1", "2", 3
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(document))
    assert refusal(path).endswith("(and 2 more)")


def test_of_a_table_only_the_first_complaint_is_kept(tmp_path: Path) -> None:
    """Millions of them would fill the memory."""
    document = base()
    document["arrivals"] = [[[-1, -1], [-1, -1]]] * 5
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(document))
    assert refusal(path) == "arrivals[0][0][0]: must be greater than or equal to 0"


def test_a_document_of_very_many_fields_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(base() | {f"more {n}": n for n in range(200)}))
    assert refusal(path) == "holds more than 100 fields"


def test_reading_changes_nothing_about_the_caller(tmp_path: Path) -> None:
    """A document that was refused is left as it was."""
    document = base()
    document["slot_ms"] = 0
    before = copy.deepcopy(document)
    with pytest.raises(InvalidInput):
        instance_from_document(document)
    assert document == before
