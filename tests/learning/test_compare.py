"""Comparison: a table that grows, resumes after a kill, and gives intervals."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading

import numpy as np
import pytest
from support.tiny import random_tiny_instance

from torta_opt.instance.generate import generate
from torta_opt.io import InvalidInput
from torta_opt.learning import compare as module
from torta_opt.learning.compare import compare, interval, ratios, read_table, summary
from torta_opt.policies.registry import create
from torta_opt.policies.runner import run
from torta_opt.schedule import evaluate

POLICIES = ("round_robin", "torta_ot")


@pytest.fixture(scope="module")
def instances():
    return [random_tiny_instance(np.random.default_rng(n), regions=3, slots=4) for n in (1, 2)]


def test_rows_are_what_evaluate_says(instances, tmp_path):
    rows = compare(instances, POLICIES, [0, 7], tmp_path / "t.jsonl")
    assert len(rows) == 8
    expected = evaluate(instances[1], run(create("torta_ot"), instances[1], 7).schedule).cost
    assert rows[-1]["policy"] == "torta_ot"
    assert rows[-1]["cost"] == expected


def test_goes_on_after_a_kill(instances, tmp_path, monkeypatch):
    table = tmp_path / "t.jsonl"
    whole = compare(instances, POLICIES, [0], table)
    lines = table.read_bytes().splitlines(keepends=True)
    table.write_bytes(b"".join(lines[:2]) + lines[2][:20])
    ran = []
    original = module._run
    monkeypatch.setattr(module, "_run", lambda *task: ran.append(task[2]) or original(*task))
    again = compare(instances, POLICIES, [0], table)
    assert len(ran) == 2
    assert [row["cost"] for row in again] == [row["cost"] for row in whole]
    assert len(read_table(table)) == 4


def test_processes_give_the_same(instances, tmp_path):
    one = compare(instances, POLICIES, [0], tmp_path / "one.jsonl")
    two = compare(instances, POLICIES, [0], tmp_path / "two.jsonl", jobs=2)
    assert [row["cost"] for row in one] == [row["cost"] for row in two]


def test_another_version_is_run_again(instances, tmp_path):
    table = tmp_path / "t.jsonl"
    compare(instances[:1], POLICIES[:1], [0], table)
    row = json.loads(table.read_text())
    table.write_text(json.dumps({**row, "version": "0.0.0"}) + "\n")
    compare(instances[:1], POLICIES[:1], [0], table)
    assert len(read_table(table)) == 2


def test_a_strange_table_is_refused(tmp_path):
    table = tmp_path / "t.jsonl"
    table.write_text("{}\n")
    with pytest.raises(InvalidInput, match="line 1 is not a row"):
        read_table(table)


@pytest.mark.parametrize(
    "content", [b'{"instance": 3}', b'{"a": 1}\nlast line', b"\x1f\x8b\x08", b"["]
)
def test_a_file_that_is_something_else_stays_as_it_is(content, instances, tmp_path):
    table = tmp_path / "mine.json"
    table.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"mine\.json: (is not a table|line 1 is not a row)"):
        compare(instances[:1], POLICIES[:1], [0], table)
    assert table.read_bytes() == content


def test_intervals():
    found = interval([1.0, 2.0, 3.0, 4.0])
    assert found.mean == 2.5
    half = 3.182446 * np.sqrt(5 / 3) / 2  # t of 3 degrees of freedom, from a table
    assert [found.low, found.high] == pytest.approx([2.5 - half, 2.5 + half], rel=1e-6)
    assert interval([3.0, 3.0]).low == 3.0
    assert np.isnan(interval([3.0]).low)
    assert interval([]).count == 0
    rows = [
        {"policy": p, "sha256": s, "seed": 0, "cost": c, "metrics": {}}
        for p, s, c in (("a", "x", 2.0), ("b", "x", 1.0), ("a", "y", 3.0), ("b", "y", 1.0))
    ]
    assert ratios(rows, "b")["a"].mean == 2.5
    assert summary(rows)["b"].count == 2


class TestWhereTheTableCannotGrow:
    """Disks and devices that are full: one plain line, and no part of a row."""

    def test_disk(self, tmp_path, monkeypatch):
        monkeypatch.setattr("torta_opt.learning.compare.write_fully", half_written)
        with pytest.raises(InvalidInput, match="cannot be written: No space left"):
            compare([generate("small/outage")], ["round_robin"], [0], tmp_path / "t.jsonl")
        assert (tmp_path / "t.jsonl").read_bytes() == b""

    def test_pipe(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        found = []
        reader = threading.Thread(
            target=lambda: found.append((tmp_path / "pipe").read_text()), daemon=True
        )
        reader.start()
        rows = compare([generate("small/outage")], ["round_robin"], [0], tmp_path / "pipe")
        reader.join(timeout=60)
        assert [json.loads(line) for line in found[0].splitlines()] == rows

    def test_device(self, tmp_path):
        device = tmp_path / "full"
        try:
            os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 7))
            os.close(os.open(device, os.O_WRONLY))
        except OSError:
            pytest.skip("needs the right to make and open devices")
        with pytest.raises(InvalidInput, match="full: cannot be written: No space left"):
            compare([generate("small/outage")], ["round_robin"], [0], device)
        assert stat.S_ISCHR(device.stat().st_mode)


def half_written(handle, content):
    os.write(handle, content[: len(content) // 2])
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
