"""Processor seconds of a benchmark: those of processes that have ended count too."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "bench_engines.py"
BUSY = """
import time
while time.process_time() < 0.3:
    pass
"""


def test_seconds_of_a_process_that_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("bench_engines", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "EVERY", 0.005)
    with module.ProcessorSeconds() as spent:
        subprocess.run([sys.executable, "-S", "-c", BUSY], check=True)
    # The last reading may be some milliseconds old; this process reads meanwhile, too.
    assert spent.total > 0.1
