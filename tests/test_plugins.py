"""Entries of other packages: listed by name, loaded when used, named where they fail."""

from __future__ import annotations

import os
import sys
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path

import pytest

from torta_opt import plugins
from torta_opt.io.errors import InvalidInput, MethodFailed

GROUP = plugins.BOUNDS


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Packages with one module, installed as far as importlib.metadata can tell."""
    made = []

    def install(name: str, entries: str, code: str = "") -> None:
        folder = tmp_path / name / f"{name}-1.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (folder / "entry_points.txt").write_text(f"[{GROUP}]\n{entries}\n")
        (folder.parent / f"{name}.py").write_text(code)
        monkeypatch.syspath_prepend(folder.parent)
        made.append(name)

    yield install
    for name in made:
        sys.modules.pop(name, None)


def test_entries_are_listed_without_being_loaded_and_without_names_of_ours(install) -> None:
    install("pluginone", "zebra = pluginone:A\nfloor = pluginone:A\nant = pluginone:A", "1 // 0")
    found = plugins.entries(GROUP, ("floor",))
    assert [name for name in found if name in ("ant", "floor", "zebra")] == ["ant", "zebra"]
    assert plugins.origin(found["ant"]) == "package pluginone"
    assert "pluginone" not in sys.modules


def test_the_first_on_the_path_has_the_name(install) -> None:
    install("pluginone", "same = pluginone:A")
    install("plugintwo", "same = plugintwo:A")  # goes before the one above
    assert plugins.entries(GROUP, ())["same"].module == "plugintwo"


def test_a_package_that_appears_in_a_known_folder_is_found(
    install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    os.utime(tmp_path, ns=(0, 0))  # file systems with a coarse clock see a change too
    assert "late" not in plugins.entries(GROUP, ())
    folder = tmp_path / "late-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: late\nVersion: 1\n")
    (folder / "entry_points.txt").write_text(f"[{GROUP}]\nlate = late:A\n")
    assert plugins.origin(plugins.entries(GROUP, ())["late"]) == "package late"


def test_packages_are_read_once_while_no_folder_changes(
    install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("pluginone", "ant = pluginone:A")
    read: list[str] = []

    def counted(group: str) -> EntryPoints:
        read.append(group)
        return entry_points(group=group)

    monkeypatch.setattr(plugins, "entry_points", counted)
    found = [plugins.entries(GROUP, ()) for _ in range(3)]
    assert [list(each) for each in found] == [list(found[0])] * 3
    assert "ant" in found[0]
    assert len(read) <= 1


def test_what_cannot_be_loaded_or_is_of_another_kind_fails_in_one_line(install) -> None:
    install("pluginone", "gone = pluginone:Missing\nnumber = pluginone:NUMBER", "NUMBER = 5")
    found = plugins.entries(GROUP, ())
    assert plugins.load(found["number"], int) == 5
    with pytest.raises(MethodFailed, match="gone: loading it from package pluginone: Attribute"):
        plugins.load(found["gone"], int)
    with pytest.raises(MethodFailed, match=r"number: pluginone:NUMBER of .* is no str"):
        plugins.load(found["number"], str)


def test_what_others_raise_is_theirs_and_what_we_raise_is_not(install) -> None:
    code = "def fail():\n    raise ValueError('no room\\nleft')"
    install("pluginone", "fail = pluginone:fail", code)
    fail = plugins.entries(GROUP, ())["fail"].load()
    with pytest.raises(ValueError, match="no room") as raised:
        fail()
    told = "package pluginone: ValueError: no room left (pluginone.py, line 2)"
    assert str(plugins.failure_of(raised.value)) == told
    with pytest.raises(ZeroDivisionError) as ours:
        1 // 0  # noqa: B018
    assert plugins.failure_of(ours.value) is None


def test_refusals_pass_where_they_may() -> None:
    refusal = InvalidInput("is empty", file="log.csv")
    with (
        pytest.raises(InvalidInput) as raised,
        plugins.blamed_on("mine", "reading", passing=plugins.ANY_OF_OURS),
    ):
        raise refusal
    assert raised.value is refusal
    said = r"mine: reading: InvalidInput: log\.csv: is empty"
    with pytest.raises(MethodFailed, match=said), plugins.blamed_on("mine", "reading"):
        raise refusal


def test_ctrl_c_goes_through_and_an_exit_does_not() -> None:
    with pytest.raises(KeyboardInterrupt), plugins.blamed_on("mine", "working"):
        raise KeyboardInterrupt
    with pytest.raises(MethodFailed, match="SystemExit"), plugins.blamed_on("mine", "working"):
        raise SystemExit(0)
