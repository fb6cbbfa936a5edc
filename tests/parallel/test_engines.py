"""Each engine gives what this process alone gives, also if a worker is killed in the middle."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tiny import random_tiny_instance
from support.work import killed_once, process, square

from torta_opt.allocation.bounds.windows import windows_bound
from torta_opt.allocation.instance import save_instance
from torta_opt.allocation.policies.experiment import compare
from torta_opt.cli import app as cli
from torta_opt.io import InvalidInput
from torta_opt.parallel import BACKENDS, engine, engines, in_order
from torta_opt.solvers import Limits

CLUSTERS = [name for name in BACKENDS if name != "loky"]
PACKAGES = {"dask": "distributed", "ray": "ray"}
ONE_THREAD = ["--host", "127.0.0.1", "--nthreads", "1", "--no-dashboard"]
TESTS = str(Path(__file__).parents[1])


@pytest.fixture
def workers_find_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers inherit the path of ``support.work``; Ray's have a token of this test alone."""
    path = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([TESTS, path]))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))


@contextlib.contextmanager
def cluster(name: str, folder: Path) -> Iterator[str]:
    """Address of a cluster of two workers on 127.0.0.1, each a process of its own."""
    pytest.importorskip(PACKAGES[name], reason=f"needs the extra: pip install 'torta-opt[{name}]'")
    with {"dask": dask_cluster, "ray": ray_cluster}[name](folder) as address:
        yield address


def started(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """A process with what it starts in a session of its own."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, cwd=folder, start_new_session=True, **quiet)


def ended(process: subprocess.Popen[bytes]) -> None:
    """It is asked to end, then it and what it has started are made to."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=20)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=60)


@contextlib.contextmanager
def dask_cluster(folder: Path) -> Iterator[str]:
    """A scheduler and two workers, as one starts them on machines of their own."""
    found = folder / "scheduler.json"
    tool = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    commands = [
        [*tool, "--host", "127.0.0.1", "--port", "0", "--no-dashboard"],
        *2 * [[sys.executable, "-m", "distributed.cli.dask_worker", *ONE_THREAD]],
    ]
    running = []
    try:
        for command in commands:
            running.append(started([*command, "--scheduler-file", str(found)], folder))
        while not found.exists():
            assert running[0].poll() is None, "the scheduler has ended"
            time.sleep(0.1)
        address = str(json.loads(found.read_text())["address"])
        distributed = importlib.import_module("distributed")
        with distributed.Client(address, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
        yield address
    finally:
        for each in reversed(running):
            ended(each)


@contextlib.contextmanager
def ray_cluster(folder: Path) -> Iterator[str]:
    """A head node with two processors."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    tool = [sys.executable, "-m", "ray.scripts.scripts"]
    start = ["start", "--head", "--node-ip-address=127.0.0.1", f"--port={port}", "--num-cpus=2"]
    options = ["--include-dashboard=false", "--disable-usage-stats", "--block"]
    head = started([*tool, *start, *options], folder)
    try:
        for _ in range(600):
            assert head.poll() is None, "the head node has ended"
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        ended(head)


def without_times(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if "second" not in k and "_s" not in k} for row in rows]


def dual_bytes(**options: Any) -> bytes:
    """The dual vector of a bound by windows, byte by byte."""
    instance = random_tiny_instance(np.random.default_rng(3), regions=3, slots=4)
    found = windows_bound(instance, Limits(**options), merged=False, passes=1, window=2)
    return np.asarray(found.dual).tobytes()


@pytest.mark.slow
@pytest.mark.usefixtures("workers_find_the_tests")
@pytest.mark.parametrize("name", CLUSTERS)
def test_a_cluster_gives_the_same_bytes_and_survives_a_kill(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    instances = [
        random_tiny_instance(np.random.default_rng(seed), regions=3, slots=4) for seed in (1, 2)
    ]
    here = compare(instances, ["round_robin", "torta_ot"], [0], tmp_path / "here.jsonl")
    alone = dual_bytes()
    given = [(x,) for x in range(12)]
    with cluster(name, tmp_path) as address, engine(name, address):
        assert list(in_order(square, given)) == [x * x for x in range(12)]
        assert len(set(in_order(process, given)) - {os.getpid()}) == 2
        marker = str(tmp_path / "killed")
        assert list(in_order(killed_once, [(x, marker) for x in range(12)])) == [
            x * x for x in range(12)
        ]
        assert Path(marker).exists()
        assert capfd.readouterr().out == ""  # also of the killed worker
        assert dual_bytes() == alone
        there = compare(instances, ["round_robin", "torta_ot"], [0], tmp_path / "there.jsonl")
        assert without_times(there) == without_times(here)
    assert list(in_order(square, given)) == [x * x for x in range(12)]


def test_loky_gives_the_same_bytes() -> None:
    """The fast twin: two processes of this machine."""
    with engine("loky"):
        assert dual_bytes(threads=2) == dual_bytes(threads=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", CLUSTERS)
def test_a_cluster_of_this_machine_needs_no_address(name: str, tmp_path: Path) -> None:
    """In processes of their own: Ray starts one cluster in the life of a process."""
    pytest.importorskip(PACKAGES[name], reason=f"needs the extra: pip install 'torta-opt[{name}]'")
    path, tables = tmp_path / "i.json", [tmp_path / "here.jsonl", tmp_path / "there.jsonl"]
    save_instance(random_tiny_instance(np.random.default_rng(1), regions=3, slots=4), path)
    common = [sys.executable, "-m", "torta_opt", "compare", str(path), "--json"]
    common += ["--policies", "round_robin,torta_ot"]
    for table, options in zip(tables, ([], ["--backend", name, "--jobs", "2"]), strict=True):
        run = subprocess.run([*common, "-o", table, *options], stdout=subprocess.PIPE, check=True)
        assert json.loads(run.stdout)["runs"] == 2  # the document and nothing else
    rows = [[json.loads(line) for line in each.read_text().splitlines()] for each in tables]
    key = lambda row: json.dumps([row.get("policy"), row.get("bound")])  # noqa: E731
    assert sorted(without_times(rows[0]), key=key) == sorted(without_times(rows[1]), key=key)


@pytest.mark.slow
@pytest.mark.parametrize("name", CLUSTERS)
def test_an_address_where_nothing_answers_is_one_line(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(PACKAGES[name], reason=f"needs the extra: pip install 'torta-opt[{name}]'")
    monkeypatch.setattr(engines, "PATIENCE_S", 2)
    with (
        pytest.raises(InvalidInput, match=r"address: no workers at 127\.0\.0\.1:9: "),
        engine(name, "127.0.0.1:9"),
    ):
        pass


@pytest.mark.parametrize("name", CLUSTERS)
def test_a_missing_extra_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = importlib.import_module

    def missing(module: str) -> Any:
        if module == PACKAGES[name]:
            raise ImportError(module)
        return original(module)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(InvalidInput, match=rf"pip install 'torta-opt\[{name}\]'"), engine(name):
        pass


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--backend", "spark"], "--backend: 'spark' is not known; known: loky, dask, ray"),
        (["--address", "tcp://127.0.0.1:8786"], "--address: loky runs on this machine only"),
        (["--backend", "dask", "--address", "x", "--jobs", "2"], "--jobs: the cluster at"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    options: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "i.json"
    save_instance(random_tiny_instance(np.random.default_rng(1), regions=2, slots=2), path)
    table = str(tmp_path / "t.jsonl")
    assert cli.run(["compare", str(path), "-o", table, *options]) == 2
    assert line in capsys.readouterr().err
