"""README, changelog and docs are true: commands and flags exist, links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from torta_opt.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


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
        known = {name: flags(command) for name, command in get_command(app).commands.items()}
        for line in commands_in(page):
            name, *words = shlex.split(line, comments=True)[1:]
            assert name in known or name.startswith("-"), line
            used = {word.split("=")[0] for word in words if word.startswith("-")}
            assert used <= known.get(name, set()) | {"--help"}, line

    def test_make_targets_exist(self, page: Path) -> None:
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
        assert set(re.findall(r"`make ([a-z-]+)", page.read_text())) <= targets


def flags(command: object) -> set[str]:
    return {flag for parameter in command.params for flag in parameter.opts}  # type: ignore[attr-defined]


def commands_in(page: Path) -> list[str]:
    """Every ``torta-opt …`` line of a shell block and every one between backticks."""
    text = page.read_text()
    in_blocks = [
        line.removeprefix("$ ")
        for language in ("sh", "console", "bash")
        for block in blocks(page, language)
        for line in block.replace("\\\n", " ").splitlines()
    ]
    inline = re.findall(r"`(torta-opt [a-z][^`]*)`", text)
    return [line for line in [*in_blocks, *inline] if line.startswith("torta-opt ")]
