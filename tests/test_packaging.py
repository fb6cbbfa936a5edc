"""What an install from an empty machine relies on."""

from __future__ import annotations

import re
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import torta_opt

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = dict(
    line.split("==")
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line and not line.startswith("#")
)


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_dependency_is_pinned() -> None:
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]
    names = {normalised(re.split(r"[<>=\[;]", entry)[0]) for entry in wanted}
    assert names <= {normalised(name) for name in PINS}


def test_pins_are_versions_of_a_registry() -> None:
    assert all(re.fullmatch(r"[0-9][0-9a-z.]*", pin) for pin in PINS.values())


def test_torch_is_the_release_whose_cpu_build_make_installs_first() -> None:
    recipe = (ROOT / "Makefile").read_text()
    assert f"torch=={PINS['torch']}" in recipe
    assert recipe.index("torch==") < recipe.index("-e .")


def test_installed_version_is_the_code_s() -> None:
    assert version("torta-opt") == torta_opt.__version__


@pytest.mark.parametrize(
    "target",
    [
        "gap",
        "test",
        "test-all",
        "bench",
        "instances",
        "schemas",
        "fuzz",
        "dist",
        "hashes",
        "licences",
    ],
)
def test_make_knows_its_targets(target: str) -> None:
    done = subprocess.run(
        ["make", "-n", "-C", str(ROOT), target], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_an_old_python_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text("")
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")  # what sys.exit(version < 3.11) answers
    old.chmod(0o755)
    done = subprocess.run(
        ["make", "-s", "-C", str(tmp_path), "gap", f"PYTHON={old}"],
        capture_output=True,
        text=True,
        check=False,
    )
    first = done.stderr.splitlines()[0]
    assert done.returncode != 0
    assert first.startswith("torta-opt needs Python 3.11 or newer")
    assert not (tmp_path / ".venv").exists()


def test_the_citation_is_of_this_version_and_names_both_papers() -> None:
    text = (ROOT / "CITATION.cff").read_text()
    top = dict(re.findall(r'^([a-z-]+): "?(.*?)"?$', text, re.M))
    assert top["cff-version"] == "1.2.0"
    assert top["version"] == torta_opt.__version__
    assert top["license"] == PROJECT["license"]
    assert {"message", "title"} <= set(top)
    assert re.search(r'^authors:\n  - name: "torta-opt contributors"$', text, re.M)
    for paper in ("2507.10259", "2512.21884"):
        assert f"https://arxiv.org/abs/{paper}" in text


def test_hooks_before_a_commit_check_what_make_lint_checks() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    assert "repo: local" in hooks
    assert re.findall(r"^  - repo: (?!local)", hooks, re.M) == []  # nothing is downloaded
    entries = re.findall(r"entry: (?:\.venv/bin/)(ruff \w+)", hooks)
    assert entries == ["ruff check", "ruff format"]
    lint = subprocess.run(
        ["make", "-n", "-C", str(ROOT), "lint"], capture_output=True, text=True, check=True
    )
    assert all(entry in lint.stdout for entry in entries)
