"""Processor seconds of a benchmark: those of processes that have ended count too."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "bench_engines.py"
BUSY = """
import time
while time.process_time() < 0.3:
    pass
input()
"""


def test_seconds_of_a_process_that_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("bench_engines", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "EVERY", 0.01)
    with module.ProcessorSeconds() as spent:
        command = [sys.executable, "-S", "-c", BUSY]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
            until = time.monotonic() + 60
            while (
                max((s for (pid, _), s in spent.latest.items() if pid == child.pid), default=0)
                < 0.1  # what the system counts comes in steps
            ):
                assert time.monotonic() < until
                time.sleep(0.01)
            child.communicate(b"\n")
    assert child.returncode == 0
    assert spent.total >= 0.1
