"""Run notebooks anew and keep what they print: python notebooks/refresh.py [NAME ...]

Each keeps a hash of its code, so that a test sees at once whether what it shows is of that code.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
NEEDS = {"real_trace": "AZURE_TRACE"}  # variables that name data which are not part of torta-opt


def hash_of_code(notebook: Any) -> str:
    """SHA-256 of all code cells."""
    code = "\0".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    return hashlib.sha256(code.encode()).hexdigest()


def main() -> None:
    for path in sorted(FOLDER.glob("*.ipynb")):
        if sys.argv[1:] and path.stem not in sys.argv[1:]:
            continue
        if NEEDS.get(path.stem, "PATH") not in os.environ:
            print(f"{path.name}: left as it is, set {NEEDS[path.stem]} to the trace")
            continue
        notebook = nbformat.read(path, as_version=4)
        client = NotebookClient(notebook, timeout=600, kernel_name="python3", record_timing=False)
        client.execute(cwd=str(FOLDER))
        notebook.metadata["torta_opt"] = {"code": hash_of_code(notebook)}
        nbformat.write(notebook, path)
        print(path.name)


if __name__ == "__main__":
    main()
