"""Every notebook runs from top to bottom and prints what it shows."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_prints_what_it_shows(path: Path) -> None:
    shown = nbformat.read(path, as_version=4)
    nbformat.validate(shown)
    run = copy.deepcopy(shown)
    NotebookClient(run, timeout=300, kernel_name="python3").execute(cwd=str(FOLDER))
    assert [texts(cell) for cell in run.cells] == [texts(cell) for cell in shown.cells]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_shows_something_and_no_machine(path: Path) -> None:
    shown = nbformat.read(path, as_version=4)
    assert any(texts(cell) for cell in shown.cells)
    assert not any("execution" in cell.metadata for cell in shown.cells)
    assert shown.metadata.kernelspec.name == "python3"


def texts(cell: Any) -> list[str]:
    """What a cell printed, in order, and the text of its value; pictures are not compared."""
    found = []
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            found.append(output.text)
        elif output.output_type == "execute_result" and "image/png" not in output.data:
            found.append(output.data["text/plain"])
    return found
