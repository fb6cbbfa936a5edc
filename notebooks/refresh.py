"""Run every notebook anew and keep what it prints: python notebooks/refresh.py"""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient


def main() -> None:
    folder = Path(__file__).parent
    for path in sorted(folder.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        client = NotebookClient(notebook, timeout=600, kernel_name="python3", record_timing=False)
        client.execute(cwd=str(folder))
        nbformat.write(notebook, path)
        print(path.name)


if __name__ == "__main__":
    main()
