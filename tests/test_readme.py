"""README, changelog and docs are true: commands and flags exist, links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from torta_opt import families
from torta_opt.cli.app import command_line

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [*(ROOT / f"{name}.md" for name in ("README", "CHANGELOG", "CONTRIBUTING"))]
PAGES += sorted(page for page in DOCS.rglob("*.md") if page.parent.name != "reference")
CUT = "…"  # the last line of an output that is shown in part


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.S | re.M)


def headings(page: Path) -> set[str]:
    """Anchors as GitHub makes them of headings."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
class TestPages:
    def test_links_resolve(self, page: Path) -> None:
        text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if target.startswith(("http://", "https://")):
                continue
            name, _, anchor = target.partition("#")
            file = (page.parent / name).resolve() if name else page
            assert file.exists(), target
            assert not anchor or anchor in headings(file), target

    def test_commands_and_their_flags_exist(self, page: Path) -> None:
        known = {name: flags(command) for name, command in command_line().commands.items()}
        for line in commands_in(page):
            name, *words = shlex.split(line, comments=True)[1:]
            assert name in known or name.startswith("-"), line
            used = {word.split("=")[0] for word in words if word.startswith("-")}
            assert used <= known.get(name, set()) | {"--help"}, line

    def test_make_targets_exist(self, page: Path) -> None:
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
        assert set(re.findall(r"`make ([a-z-]+)", page.read_text())) <= targets


class TestTablesOfMethods:
    """docs/methods.md says of each policy, bound and method what the program says."""

    @pytest.mark.parametrize(
        ("title", "family", "kind", "knows_future"),
        [
            ("policies", "allocation", "methods", False),
            ("offline methods", "allocation", "methods", True),
            ("bounds", "allocation", "bounds", None),
            ("placement methods", "placement", "methods", None),
            ("placement bounds", "placement", "bounds", None),
        ],
    )
    def test_each_stands_there_with_its_summary(
        self, title: str, family: str, kind: str, knows_future: bool | None
    ) -> None:
        text = (DOCS / "methods.md").read_text()
        table = re.search(rf"^\| {title} \|.*\n\|.*\n((?:\|.*\n)+)", text, re.M)
        assert table is not None
        entries = getattr(families.family(family), kind)
        known = {
            name: entry.summary
            for name, entry in entries.items()
            if knows_future is None or entry.knows_future is knows_future
        }
        assert dict(re.findall(r"^\| `([^`]+)` \| (.*) \|$", table[1], re.M)) == known


class TestIndex:
    def test_it_lists_every_page(self) -> None:
        listed = {
            (DOCS / target).resolve()
            for target in re.findall(r"\]\(([^)#\s]+)\)", (DOCS / "README.md").read_text())
        }
        pages = set(PAGES) - {DOCS / "README.md", DOCS / "index.md"}
        assert {page for page in pages if DOCS in page.parents} <= listed

    def test_the_site_lists_every_page_too(self) -> None:
        index = (DOCS / "index.md").read_text()
        for page in PAGES:
            if DOCS not in page.parents or page.name in ("README.md", "index.md"):
                continue
            name = page.relative_to(DOCS).with_suffix("").as_posix()
            assert f"\n{name}\n" in index or f"\n{name.split('/')[0]}/*\n" in index, name
            assert name not in ("search", "genindex", "modindex"), f"{name}: Sphinx writes its own"

    def test_the_drawing_of_the_layers_has_each(self) -> None:
        tests = (ROOT / "tests" / "test_imports.py").read_text()
        layers = re.search(r"^LAYERS = \[.*?\n(.*?)^\]", tests, re.M | re.S)
        assert layers is not None
        names = {name.rpartition(".")[2] for name in re.findall(r'"([\w.]+)"', layers[1])}
        (drawing,) = blocks(DOCS / "architecture.md", "text")
        assert names <= set(re.findall(r"\w+", drawing))


class TestReadme:
    TEXT = (ROOT / "README.md").read_text()

    @pytest.mark.slow
    def test_first_screen_is_what_make_gap_prints(self) -> None:
        line = re.search(
            r"^gap:.*\n\t\$\(BIN\)/torta-opt (.*)", (ROOT / "Makefile").read_text(), re.M
        )
        assert line is not None
        done = torta(line[1].split(), ROOT)
        (shown,) = blocks(ROOT / "README.md", "text")
        *lines, last = without_seconds(shown)
        assert last == CUT
        assert len(lines) > 10
        assert lines == without_seconds(done.stdout)[: len(lines)], done.stdout

    @pytest.mark.slow
    @pytest.mark.parametrize(("page", "least"), [("README.md", 4), ("docs/cli.md", 12)])
    def test_shell_commands_work_one_after_the_other(
        self, page: str, least: int, tmp_path: Path
    ) -> None:
        lines = commands_in_blocks((ROOT / page).read_text())
        ran = [torta(shlex.split(line)[1:], tmp_path) for line in lines]
        assert len(ran) >= least

    @pytest.mark.slow
    def test_notebook_example_runs(self, tmp_path: Path) -> None:
        (code,) = blocks(ROOT / "README.md", "python")
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "greedy_forecast" in done.stdout


def torta(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "torta_opt", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def without_seconds(table: str) -> list[str]:
    """Lines of a gap table with wall-clock seconds left out, and the widths they may change."""
    text = re.sub(r"(%) +[0-9.]+$", r"\1", table, flags=re.M)
    text = re.sub(r", [0-9.]+ s\)", ")", text)
    return [" ".join(line.split()) for line in text.split("\n") if line.strip(" ─")]


def flags(command: object) -> set[str]:
    return {flag for parameter in command.params for flag in parameter.opts}  # type: ignore[attr-defined]


def commands_in_blocks(text: str) -> list[str]:
    """Every ``torta-opt …`` line of the shell blocks."""
    found = re.findall(r"^```(?:sh|console|bash)\n(.*?)^```", text, re.S | re.M)
    lines = [line.removeprefix("$ ") for block in found for line in block.splitlines()]
    return [line for line in lines if line.startswith("torta-opt ")]


def commands_in(page: Path) -> list[str]:
    """The same and every one between backticks."""
    text = page.read_text()
    return [*commands_in_blocks(text), *re.findall(r"`(torta-opt [a-z][^`]*)`", text)]
