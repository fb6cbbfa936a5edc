"""Notebooks run from top to bottom and print what they show.

All of them are executed among the slow tests; the fast ones execute the shortest, and check of the
others that what they show is of their code and that this code uses names that exist.
"""

from __future__ import annotations

import ast
import copy
import importlib
import importlib.util
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from support.real_data import real_data

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
FAST = ("first_gap",)
DATA = {"real_trace": ("AZURE_TRACE", "azure_llm_2023/AzureLLMInferenceTrace_code.csv")}


def refresh() -> Any:
    spec = importlib.util.spec_from_file_location("refresh", FOLDER / "refresh.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=() if path.stem in FAST else (pytest.mark.slow,))
        for path in NOTEBOOKS
    ],
    ids=lambda path: path.stem,
)
def test_a_notebook_prints_what_it_shows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if path.stem in DATA:
        variable, name = DATA[path.stem]
        monkeypatch.setenv(variable, str(real_data(name)))
    shown = nbformat.read(path, as_version=4)
    nbformat.validate(shown)
    run = copy.deepcopy(shown)
    NotebookClient(run, timeout=300, kernel_name="python3").execute(cwd=str(FOLDER))
    assert [texts(cell) for cell in run.cells] == [texts(cell) for cell in shown.cells]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_a_notebook_shows_is_of_its_code(path: Path) -> None:
    """No machine, no error, a picture; the hash is that of the code; every import exists."""
    shown = nbformat.read(path, as_version=4)
    assert any(texts(cell) for cell in shown.cells)
    assert not any("execution" in cell.metadata for cell in shown.cells)
    assert shown.metadata.kernelspec.name == "python3"
    outputs = [each for cell in shown.cells for each in cell.get("outputs", [])]
    assert not any(each.output_type == "error" for each in outputs)
    printed = "".join(text for cell in shown.cells for text in texts(cell))
    assert not any(folder in printed for folder in ("/tmp/", "/work/", "/home/"))
    assert any("image/png" in each.get("data", {}) for each in outputs)
    assert shown.metadata.torta_opt.code == refresh().hash_of_code(shown), "make notebooks"
    for cell in shown.cells:
        if cell.cell_type == "code":
            check_imports(cell.source)


def check_imports(code: str) -> None:
    lines = [line for line in code.splitlines() if not line.startswith("%")]
    for node in ast.walk(ast.parse("\n".join(lines))):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("torta_opt"):
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                assert hasattr(module, alias.name), f"{node.module}.{alias.name}"


def test_there_are_enough() -> None:
    assert len(NOTEBOOKS) >= 11


def texts(cell: Any) -> list[str]:
    """What a cell printed, in order, and the text of its value; pictures are not compared."""
    found = []
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            found.append(output.text)
        elif output.output_type == "execute_result" and "image/png" not in output.data:
            found.append(output.data["text/plain"])
    return found
