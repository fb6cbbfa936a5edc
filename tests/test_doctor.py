from __future__ import annotations

import os

import pytest

from torta_opt import doctor as module
from torta_opt.doctor import environment, environment_rows, is_complete


def test_this_machine_is_complete() -> None:
    found = environment()
    assert is_complete(found)
    assert 1 <= found["threads"] <= (os.cpu_count() or 1)
    assert all(len(row) == 3 for row in environment_rows(found))


def test_a_missing_package_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PACKAGES", {"no-such-package": "nothing"})
    found = environment()
    assert not is_complete(found)
    assert ("no-such-package", "missing", "nothing") in environment_rows(found)


def test_a_solver_that_does_not_work_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_highs", lambda: None)
    found = environment()
    assert not is_complete(found)
    assert ("HiGHS", "does not work", "solves a program of one row") in environment_rows(found)
