"""What is said of the pinned packages: hashes and licences."""

from __future__ import annotations

import re
from pathlib import Path

import licences
import pytest
from packaging.markers import default_environment

import hashes

PINS = {licences.normalised(name): version for name, version in licences.pins().items()}


def pinned_in(file: str) -> dict[str, str]:
    """Name → version of a file of hashes, in which every package has a hash."""
    found: dict[str, str] = {}
    lines = [
        line.rstrip(" \\")
        for line in (hashes.FOLDER / file).read_text().splitlines()
        if line[0] != "#"
    ]
    for line, following in zip(lines, [*lines[1:], "end"], strict=True):
        if line.startswith(" "):
            assert re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}", line), line
            continue
        name, version = line.split("==")
        assert following.startswith("    --hash"), f"{name} has no hash"
        found[licences.normalised(name)] = version
    return found


def test_hashes_are_of_the_versions_of_the_constraints() -> None:
    assert pinned_in("all.txt") == PINS


def test_the_hashed_run_environment_is_all_that_the_package_requires_but_torch() -> None:
    run = pinned_in("run.txt")
    assert run.items() <= PINS.items()
    assert set(run) == licences.closure(["torta-opt"], licences.installed()) - {
        "torch",
        "torta-opt",
    }


def test_every_pinned_package_has_a_row_with_a_licence() -> None:
    rows = re.findall(
        r"^\| (\S+) \| (\S+) \| (.+?) \| (?:run)? ?\|$", licences.PAGE.read_text(), re.M
    )
    assert {licences.normalised(name): version for name, version, _ in rows} == PINS
    assert all(text.strip() for *_, text in rows)


def test_licences_on_the_page_are_those_of_the_installed_packages() -> None:
    page, known = licences.PAGE.read_text(), licences.installed()
    checked = 0
    for name, version in licences.pins().items():
        package = known.get(licences.normalised(name))
        if package and package.version.split("+")[0] == version:
            assert f"| {name} | {version} | {licences.licence(package)} |" in page
            checked += 1
    assert checked > 60


def test_nothing_that_runs_is_under_the_gpl() -> None:
    rows = [line for line in licences.PAGE.read_text().splitlines() if line.endswith("| run |")]
    assert len(rows) > 40
    assert not [row for row in rows if "GPL" in row or "General Public" in row]


def test_a_package_without_licence_or_of_another_version_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        licences.page({})
    assert ended.value.code == 2
    assert "torch==" in capsys.readouterr().err


def test_a_closure_follows_requirements(tmp_path: Path) -> None:
    texts = {"one": "two ; extra == 'more'", "two": "", "three": "One_1>=2"}
    texts = {**texts, "one": "Two", "other": f"two ; python_version > '{_later()}'"}
    for name, wanted in texts.items():
        folder = tmp_path / f"{name}-1.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n"
            + (f"Requires-Dist: {wanted}\n" if wanted else "")
        )
    known = licences.installed([str(tmp_path)])
    assert licences.closure(["one"], known) == {"one", "two"}
    assert licences.closure(["three"], known) == {"three"}
    assert licences.closure(["other"], known) == {"other"}


def _later() -> str:
    return default_environment()["python_version"]
