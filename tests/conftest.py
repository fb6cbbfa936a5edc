"""Shared set-up: test helpers importable as ``from support import ...``; profiles of hypothesis.

``--hypothesis-profile all`` tries as many random examples as ``make test-all``: see
``support/sizes.py``.
``--shuffle SEED`` runs the tests in a random order, the same one for the same seed.
"""

from __future__ import annotations

import random
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))

for name, count in {"all": 100, "some": 33}.items():
    settings.register_profile(
        name,
        max_examples=count,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
settings.load_profile("some")

# A shell that starts tests in its background leaves Ctrl-C ignored, and tests that press it would
# wait for ever; processes they start inherit this too.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shuffle", type=int, metavar="SEED", help="run the tests in a random order")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if (seed := config.getoption("shuffle")) is not None:
        random.Random(seed).shuffle(items)
