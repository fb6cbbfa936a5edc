"""Readers meet broken files: some here, a million with ``make fuzz``."""

from __future__ import annotations

import json
import os
import random
import re
from pathlib import Path
from typing import Any

import fuzz
import pytest
from fuzz_mutate import MOST_BYTES, mutate
from fuzz_seeds import GROWTH, PROFILES, REPORT
from fuzz_targets import TARGETS, Target

from torta_opt.allocation.profiles.readers import READERS

FEW = 10
MANY = int(os.environ.get("TORTA_FUZZ", "3000"))  # files of each kind in the slow tests


def changed(kind: str, **fields: float) -> bytes:
    """The valid profile of a kind with other numbers."""
    text = PROFILES[kind][0].decode()
    for name, value in fields.items():
        text, times = re.subn(rf'"{name}": [0-9.]+', f'"{name}": {value!r}', text)
        assert times
    return text.encode()


PLACEMENT = (Path(__file__).parents[2] / "instances" / "placement" / "tiny.json").read_bytes()
FOUND = {  # files that once ended a reader with an error of its own: target → files
    "profile-aibrix": (
        b'{"gpu": "g", "tputs": [[8.0, 4.0], 0.5], "indexes": [[16, 64], [128, 512]], "e2e": []}',
        b'{"gpu": "g", "tputs": [[8.0], 1], "e2e": [[0.2], 1], "indexes": [[16, 64], [128]]}',
        b'{"gpu": "g", "tputs": [], "e2e": [], "indexes": [16, 64]}',
    ),
    "profile-vllm": (b"{}\n" + b"[" * 100_000 + b"\n", changed("vllm", completed=10**400)),
    "profile-inferno": (
        changed("inferno", maxBatchSize=1e308, atTokens=1e308),
        changed("inferno", maxBatchSize=10**9, atTokens=10**9),
    ),
    "profile-inferencex": (changed("inferencex", osl=0), changed("inferencex", isl=-1)),
    "profile-aiperf": (PROFILES["aiperf"][0].replace(b'"unit": "ms"', b'"unit": ["ms"]'),),
    "profile-aiconfigurator": (PROFILES["aiconfigurator"][0].replace(b"system", b"sistem"),),
    "trace-folder": (b"\1" + b"0,1.5,1e-320,Gamma,1.0,2.0\n600,1.5,1.0,Gamma,1.0,2.0\n",),
    "printed": (
        json.dumps(GROWTH).replace("[1, 2, 4]", f"[1, 2, {10**30}]").encode(),
        json.dumps(REPORT).replace('"cost": 1.6', '"cost": null').encode(),
        json.dumps(REPORT).replace('"gap": 0.9', '"gap": -1e308').encode(),
    ),
    "futures": tuple(
        b"\1" + text.encode()
        for text in ('{"spec": "s"}', "[" * 100_000, '{"spec": "s", "spec": "t"}')
    ),
    "checkpoint": (b"{}", b"[" * 100_000, b'{"made": 1}'),
    "placement": (PLACEMENT.replace(b'"blocks":4', b'"blocks":4' + b"0" * 400),),
}


def test_every_reader_of_profiles_has_a_target() -> None:
    assert set(PROFILES) == set(READERS)


def record_of(name: str, tries: int, folder: Path, seed: int = 0) -> fuzz.Record:
    record = fuzz.Record(folder / "record.json", folder / "faults")
    (folder / "scratch").mkdir()
    once, seeds = fuzz.execution(name, folder / "scratch", record)
    for each in seeds:
        once(each)
    assert record.refused == 0, "a reader refuses a valid file"
    draw = random.Random(f"{name} {seed}")
    for _ in range(tries):
        once(mutate(TARGETS[name].form, draw.choice(seeds), draw))
    assert record.executions == tries + len(seeds)
    return record


@pytest.fixture(autouse=True)
def _alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz.signal, "setitimer", lambda *_: None)  # no handler is set here


LONG = ("checkpoint", "futures")  # train and solve first: their files in FOUND are the fast test
FAST = [pytest.param(n, marks=pytest.mark.slow) if n in LONG else n for n in TARGETS]


@pytest.mark.parametrize("name", FAST)
def test_broken_files_are_read_or_refused(name: str, tmp_path: Path) -> None:
    record = record_of(name, FEW, tmp_path)
    assert not record.faults


@pytest.mark.parametrize("name", FOUND)
def test_what_once_ended_a_reader_is_refused(name: str, tmp_path: Path) -> None:
    record = fuzz.Record(tmp_path / "record.json", tmp_path / "faults")
    (tmp_path / "scratch").mkdir()
    once, _ = fuzz.execution(name, tmp_path / "scratch", record)
    for data in FOUND[name]:
        once(data)
    assert not record.faults
    assert record.refused == len(FOUND[name])


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("carbon", b"region,g_per_kwh,slot\neast,300,0\nwest,301,0\x1d"),
        (
            "log",
            b"\1time_s,region,type,model,replicas\n0,east,gpu-east,a,1\n1e308,east,gpu-east,a,1\n",
        ),
    ],
)
def test_what_once_ended_a_reader_is_read(name: str, data: bytes, tmp_path: Path) -> None:
    record = fuzz.Record(tmp_path / "record.json", tmp_path / "faults")
    (tmp_path / "scratch").mkdir()
    once, _ = fuzz.execution(name, tmp_path / "scratch", record)
    once(data)
    assert not record.faults
    assert record.refused == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_many_broken_files_are_read_or_refused(name: str, tmp_path: Path) -> None:
    record = record_of(name, MANY, tmp_path, seed=1)
    assert not record.faults
    assert record.refused > MANY / 10


def test_a_fault_is_kept_once_with_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path) -> Any:
        return json.loads(path.read_bytes())["a"]

    monkeypatch.setitem(TARGETS, "bad", Target("json", ".json", lambda _: (read, [b'{"a": 1}'])))
    record = fuzz.Record(tmp_path / "bad.json", tmp_path / "faults")
    once, _ = fuzz.execution("bad", tmp_path, record)
    for data in (b"{", b"{}", b"{", b'{"b": 2}', b'{"a": 2}'):
        once(data)
    assert record.executions == 5
    assert len(record.faults) == 2  # JSONDecodeError and KeyError
    assert {file.read_bytes() for file in (tmp_path / "faults").iterdir()} == {b"{", b"{}"}
    again = fuzz.Record(tmp_path / "bad.json", tmp_path / "faults")
    assert again.faults == record.faults


def test_a_message_with_control_characters_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torta_opt.io.errors import Infeasible

    def read(path: Path) -> None:
        raise Infeasible("\x1b[2J")

    monkeypatch.setitem(TARGETS, "bad", Target("text", ".txt", lambda _: (read, [b"a"])))
    record = fuzz.Record(tmp_path / "bad.json", tmp_path / "faults")
    once, _ = fuzz.execution("bad", tmp_path, record)
    once(b"a")
    assert len(record.faults) == 1


@pytest.mark.parametrize("form", ["json", "csv", "text", "pick+csv"])
def test_changes_are_bounded_and_drawn_from_the_seed(form: str) -> None:
    for data in (b"", b"\xff\x00", b'{"a": [1, {"b": null}]}', b"a,b\n1,2\n", b"[" * 5000):
        for n in range(40):
            changed = mutate(form, data, random.Random(n))
            assert changed == mutate(form, data, random.Random(n))
            assert len(changed) <= MOST_BYTES
