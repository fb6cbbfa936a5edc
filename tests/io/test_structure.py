"""What a document may hold is counted before it is built, wherever its bytes are cut."""

from __future__ import annotations

import gzip
import itertools
import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torta_opt.io import InvalidInput, document_bytes, read_document
from torta_opt.io import unpacking as unpacking_module
from torta_opt.io.structure import MOST, Most, Structure

FORMATS = {"x": 1}
VALUES = st.recursive(
    st.none()
    | st.integers()
    | st.booleans()
    | st.text(st.sampled_from('a"\\,:[]{}é\n'), max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('a"\\', max_size=4), inner),
    max_leaves=15,
)


def counted(content: bytes, size: int) -> Structure:
    structure = Structure()
    for start in range(0, len(content), size):
        structure.add(content[start : start + size])
    return structure


def parts(value: Any) -> Iterator[Any]:
    """Every value in a document, itself first, keys as strings."""
    yield value
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from parts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from parts(inner)


@given(VALUES, st.integers(1, 12), st.booleans())
def test_counts_are_those_of_the_document(value: Any, size: int, plain: bool) -> None:
    content = json.dumps(value, ensure_ascii=plain, indent=None if plain else 1).encode()
    found = counted(content, size)
    every = list(parts(value))
    dicts = [each for each in every if isinstance(each, dict)]
    texts = [each for each in every if isinstance(each, str)]
    assert found.containers == sum(isinstance(each, list | dict) for each in every)
    assert found.keys == sum(map(len, dicts))
    assert found.strings == len(texts)
    lengths = [len(json.dumps(each, ensure_ascii=plain).encode()) - 2 for each in texts]
    assert found.text_bytes == sum(lengths)
    held = sum(len(each) for each in every if isinstance(each, list | dict))
    assert held <= found.values <= held + found.containers


FEW = Most(values=100, containers=10, keys=10, strings=20, text_bytes=1000)
TOO_MUCH = {
    "values": ([0] * 101, "holds more than 100 values"),
    "containers": ([[]] * 10, "holds more than 10 arrays and objects"),
    "keys": ([{str(n): 0} for n in range(8)], "holds more than 10 keys"),
    "strings": ([""] * 20, "holds more than 20 strings"),
    "text": ("a" * 1000, "holds more than 1,000 bytes of text"),
    "escaped text": ('"\\' * 500, "holds more than 1,000 bytes of text"),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("case", TOO_MUCH)
def test_more_of_anything_is_refused(case: str, packed: bool, tmp_path: Path) -> None:
    value, words = TOO_MUCH[case]
    content = document_bytes({"format": "x", "version": 1, "value": value})
    path = tmp_path / "bomb.json"
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(InvalidInput) as caught:
        read_document(path, FORMATS, most=FEW)
    assert str(caught.value) == f"{path}: {words}"
    assert read_document(path, FORMATS)["value"] == value  # it is no more than that


def test_a_document_just_within_the_limits_is_read(tmp_path: Path) -> None:
    value = [[1] * 30, [2] * 30, {"a,:[{": "b" * 900}]
    path = tmp_path / "fine.json"
    path.write_bytes(document_bytes({"format": "x", "version": 1, "value": value}))
    assert read_document(path, FORMATS, most=FEW)["value"] == value


@pytest.mark.parametrize("size", [99_000, 1_000_000])
def test_a_file_may_not_expand_too_far(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking_module, "FREE_BYTES", 100_000)
    path = tmp_path / "spaces.json"
    content = b'{"format": "x", ' + b" " * size + b'"version": 1}'
    path.write_bytes(gzip.compress(content))
    assert path.stat().st_size * 200 < 1_000_000
    if size < 100_000:
        assert read_document(path, FORMATS) == {"format": "x", "version": 1}
    else:
        with pytest.raises(InvalidInput, match=r"spaces.json: expands to more than 200 times"):
            read_document(path, FORMATS)
    path.write_bytes(content)  # a plain file may be as large as it is
    assert read_document(path, FORMATS) == {"format": "x", "version": 1}


BOMBS: dict[str, tuple[bytes, bytes, int]] = {
    "empty arrays": (b'"arrivals":[', b"[],", 26_000_000),
    "zeros": (b'"arrivals":[', b"0,", 250_000_000),
    "keys": (b'"arrivals":{', b'"a":0,', 21_000_000),
    "a string": (b'"name":"', b"a", 1_000_000_000),
    "spaces": (b'"name":', b" ", 1_000_000_000),
}
COMMAND = """
import sys
from torta_opt.cli import app as cli
sys.exit(cli.run(["describe", sys.argv[1]]))
"""


def write_bomb(path: Path, head: bytes, unit: bytes, count: int) -> None:
    """``count`` times ``unit``; a gzip file may consist of parts, which repeat here."""
    times = 1_000_000
    part = gzip.compress(unit * times, 9)
    start = gzip.compress(b'{"format":"torta-opt/allocation","version":1,' + head)
    path.write_bytes(start + part * (count // times))


def limited(megabytes: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))


SLOW = ("zeros", "a string", "spaces")


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.slow) if case in SLOW else case for case in BOMBS]
)
def test_bombs_need_little_memory(case: str, tmp_path: Path) -> None:
    """Address space: 500 MB, and what the libraries map without using it."""
    path = tmp_path / "bomb.json.gz"
    write_bomb(path, *BOMBS[case])
    assert path.stat().st_size < 2_000_000
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, path],
        preexec_fn=limited(1000),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert f"{path}: " in done.stderr
    assert "holds more than" in done.stderr or "expands to more than" in done.stderr


def test_the_limits_leave_room_for_480_slots_of_200_regions() -> None:
    """Counted by hand: 50 classes, 100,000 servers, each with an outage and a state."""
    slots, regions, classes, servers = 480, 200, 50, 100_000
    arrivals, transfers = slots * regions, regions**2
    needed = Most(
        values=2 * (arrivals + transfers) * classes + 20 * servers,
        containers=2 * (arrivals + transfers) + 4 * servers,
        keys=10 * servers,
        strings=20 * servers,
        text_bytes=100 << 20,
    )
    assert all(most >= need for most, need in zip(astuple(MOST), astuple(needed), strict=True))


@pytest.mark.slow
def test_an_instance_of_480_slots_and_200_regions_is_read(tmp_path: Path) -> None:
    from torta_opt.allocation.instance import load_instance, save_instance
    from torta_opt.allocation.instance.document import instance_from_document

    document = large_document(slots=480, regions=200, classes=12, servers=2000)
    made = instance_from_document(document)
    save_instance(made, tmp_path / "large.json.gz")
    read = load_instance(tmp_path / "large.json.gz")
    assert np.array_equal(read.arrivals, made.arrivals)
    assert read.arrivals.shape == (480, 200, 12)


def large_document(slots: int, regions: int, classes: int, servers: int) -> dict[str, Any]:
    from torta_opt.allocation.instance.document import instance_to_document
    from torta_opt.allocation.instance.generate import generate

    document = instance_to_document(generate("small/outage"))
    rng = np.random.default_rng(0)
    names = [f"region {j}" for j in range(regions)]
    kinds = [f"class {c}" for c in range(classes)]
    latency = rng.random((regions, regions))
    np.fill_diagonal(latency, 0.0)
    kind = document["types"][0]
    service = next(iter(kind["service"].values()))
    homes = zip(range(servers), itertools.cycle(names))
    return document | {
        "regions": names,
        "classes": [document["classes"][0] | {"name": name} for name in kinds],
        "types": [kind | {"service": dict.fromkeys(kinds, service), "rent_usd_per_hour": {}}],
        "servers": [{"name": f"s{s}", "region": j, "type": kind["name"]} for s, j in homes],
        "latency_s": latency.tolist(),
        "transfer_usd": (rng.random((regions, regions, classes)) / 1e4).tolist(),
        "weights": document["weights"] | {"expiry_usd": dict.fromkeys(kinds, 1.0)},
        "initial": {},
        "outages": [{"server": f"s{s}", "from_slot": 1, "to_slot": 9} for s in range(servers)],
        "price_usd_per_kwh": rng.random((slots, regions)).tolist(),
        "arrivals": rng.integers(0, 2000, (slots, regions, classes)).tolist(),
    }
