"""The documentation site: ``make docs`` builds it into build/docs. Warnings are errors."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import torta_opt  # noqa: E402

project = "torta-opt"
author = "The torta-opt authors"
version = release = torta_opt.__version__
language = "en"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_design",
]
root_doc = "index"
source_suffix = {".md": "markdown"}
exclude_patterns = ["README.md"]  # the same list for people who read the folder
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_type_aliases = {"Instance": "Instance", "Schedule": "Schedule"}
napoleon_google_docstring = False
suppress_warnings = ["misc.highlighting_failure"]  # console sessions with cut output
html_theme = "furo"
html_title = f"torta-opt {version}"
html_static_path: list[str] = []

html_math_renderer = "mathml"  # browsers draw it without a script, so pages need no network

_WIDE = "overflow-x: auto; overflow-y: hidden; margin: 1em 0; padding: 0.4em 0"
_OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+(?!docs/)[^)\s]*\)")


def setup(app: Any) -> None:
    app.connect("source-read", _inside_the_site)
    app.connect("builder-inited", _write_references)
    app.add_html_math_renderer("mathml", (_formula, None), (_formula, None))


def _formula(translator: Any, node: Any) -> None:
    """A formula as MathML; a symbol that cannot be converted is an error of the build."""
    from docutils.nodes import SkipNode
    from latex2mathml.converter import convert

    is_block = node.tagname == "math_block"
    content = convert(node.astext(), display="block" if is_block else "inline")
    content = content.replace("\\_", "_")  # of names of rows
    if "\\" in re.sub(r"<[^>]*>", "", content):
        raise ValueError(f"cannot be converted: {node.astext()}")
    if is_block:
        content = f'<div class="math" style="{_WIDE}">{content}</div>'
    translator.body.append(content)
    raise SkipNode


def _inside_the_site(app: Any, page: str, source: list[str]) -> None:
    """Links to files of the repository that are no pages of the site become plain text."""
    up = page.count("/") + 1
    text = re.sub(r"\]\(" + r"\.\./" * up + r"docs/", "](" + "../" * (up - 1), source[0])
    source[0] = text if page.startswith("reference/") else _drop(text, page)


def _drop(text: str, page: str) -> str:
    def plain(match: re.Match[str]) -> str:
        target = match.group(0).rpartition("(")[2].rstrip(")").partition("#")[0]
        found = (HERE / page).parent / target
        try:
            found.resolve().relative_to(HERE)
        except ValueError:
            return match.group(1)
        return match.group(0) if found.suffix == ".md" else match.group(1)

    return re.sub(r"\[([^\]]+)\]\((?!https?://|#)[^)\s]*\)", plain, text)


def _write_references(app: Any) -> None:
    """The reference of the command line and of the Python names, from the code."""
    folder = HERE / "reference"
    folder.mkdir(exist_ok=True)
    _write(folder / "cli.md", _cli_reference())
    _write(folder / "api.md", _api_reference())


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")


def _cli_reference() -> str:
    from typer.main import get_command

    from torta_opt.cli.app import app

    parts = ["# Every command and option\n"]
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        parts.append(f"## {name}\n\n{command.help or ''}\n")
        rows = [
            f"| `{' '.join([*each.opts, *each.secondary_opts])}` | {_cell(each)} |"
            for each in command.params
        ]
        parts.append("| | |\n|---|---|\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _cell(parameter: Any) -> str:
    text = (getattr(parameter, "help", "") or "").replace("|", "\\|")
    metavar = f"`{parameter.metavar}` ".replace("|", "\\|") if parameter.metavar else ""
    default = parameter.default
    shown = isinstance(default, str | int | float) and not isinstance(default, bool)
    return f"{metavar}{text}" + (f" (default: `{default}`)" if shown else "")


def _api_reference() -> str:
    parts = ["# Python names\n\nAll of them stand in `torta_opt`; nothing else is public.\n"]
    for name in torta_opt.__all__:
        kind = "autoclass" if isinstance(getattr(torta_opt, name), type) else "autofunction"
        home = getattr(torta_opt, name).__module__
        members = "   :members:\n" if kind == "autoclass" else ""
        parts.append(f"## {name}\n\n```{{eval-rst}}\n.. {kind}:: {home}.{name}\n{members}```\n")
    return "\n".join(parts)
