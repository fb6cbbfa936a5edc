"""``torta-opt compare`` from the command line: what it prints, goes on with, and refuses."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support.tiny import random_tiny_instance

from torta_opt import cli
from torta_opt.instance import save_instance
from torta_opt.instance.generate import generate
from torta_opt.learning.compare import read_table

POLICIES = "round_robin,torta_ot"


@pytest.fixture(scope="module")
def instances(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("instances")
    paths = [folder / f"{n}.json" for n in (1, 2)]
    for path in paths:
        seed = int(path.stem)
        drawn = random_tiny_instance(np.random.default_rng(seed), regions=3, slots=4)
        save_instance(drawn, path)
    return [str(path) for path in paths]


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.run(["compare", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_one_row_per_run_and_means_over_them(instances, tmp_path, capsys):
    table = tmp_path / "t.jsonl"
    arguments = [*instances, "--policies", POLICIES, "--seeds", "2", "-o", str(table)]
    code, out, _ = call(capsys, *arguments, "--json")
    assert code == 0
    found = json.loads(out)
    rows = read_table(table)
    assert found["runs"] == len(rows) == 8
    costs = [row["cost"] for row in rows if row["policy"] == "torta_ot"]
    assert found["cost"]["torta_ot"]["mean"] == pytest.approx(np.mean(costs))
    assert found["cost"]["torta_ot"]["low"] <= np.mean(costs) <= found["cost"]["torta_ot"]["high"]
    before = table.read_bytes()
    assert call(capsys, *arguments, "--json")[1] == out
    assert table.read_bytes() == before


def test_a_single_run_has_no_interval(instances, tmp_path, capsys):
    table = str(tmp_path / "t.jsonl")
    arguments = [instances[0], "--policies", "round_robin", "-o", table]
    assert json.loads(call(capsys, *arguments, "--json")[1])["cost"]["round_robin"]["low"] is None
    assert "one run" in call(capsys, *arguments)[1]


def test_refuses_what_it_cannot_do(instances, tmp_path, capsys):
    table = str(tmp_path / "t.jsonl")
    code, _, err = call(capsys, instances[0], "--policies", "nobody", "-o", table)
    assert (code, "is not a policy" in err) == (2, True)
    assert not Path(table).exists()
    Path(table).write_text("not a table\n")
    code, _, err = call(capsys, instances[0], "--policies", "round_robin", "-o", table)
    assert (code, "line 1 is not a row" in err) == (2, True)
    assert Path(table).read_text() == "not a table\n"


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_goes_on_after_it_was_ended(how: signal.Signals, tmp_path: Path) -> None:
    """What the first start wrote stays as it is; the second does the rest."""
    save_instance(generate("paper/abilene", slots=60), tmp_path / "i.json.gz")
    table = tmp_path / "t.jsonl"
    arguments = ["--policies", "round_robin,sdib", "--seeds", "15", "-o", str(table)]
    command = [sys.executable, "-m", "torta_opt", "compare", str(tmp_path / "i.json.gz")]
    process = subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE, text=True)
    while not (table.exists() and table.read_bytes().count(b"\n") >= 2):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(how)
    _, err = process.communicate(timeout=60)
    expected = (0, "interrupted\n") if how == signal.SIGINT else (-how, "")
    assert (process.returncode, err) == expected
    kept = table.read_bytes()
    kept = kept[: kept.rfind(b"\n") + 1]
    assert kept.count(b"\n") < 30
    again = subprocess.run([*command, *arguments], check=True, capture_output=True, timeout=300)
    assert again.returncode == 0
    assert table.read_bytes().startswith(kept)
    assert len(read_table(table)) == 30
