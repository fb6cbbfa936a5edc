"""Real data sets for tests: skipped with a reason where they are not at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def real_data(name: str) -> Path:
    """A file or folder of the real data, found through TORTA_DATA or beside the repository."""
    beside = Path(__file__).parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("TORTA_DATA", beside))
    if not (folder / name).exists():
        pytest.skip(f"real data {name} is not in {folder}; set TORTA_DATA")
    return folder / name
