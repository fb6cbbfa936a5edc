"""Growth curves: processor seconds by size, as files that ``torta-opt plot growth`` draws."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torta_opt.doctor import environment


class Curves:
    """Seconds of each way, collected while a benchmark runs.

    Parameters
    ----------
    name
        The benchmark, and what grows: ``growth_slots``; the name of the file.
    title
        What was solved; the title of the picture.
    size
        What is counted: ``slots``, ``regions``.
    """

    def __init__(self, name: str, title: str, size: str) -> None:
        self.name, self.title, self.size = name, title, size
        self._ways: dict[str, dict[str, list[Any]]] = {}

    def add(self, way: str, size: int, seconds: float) -> None:
        """Note the processor seconds of one run."""
        curve = self._ways.setdefault(way, {"sizes": [], "seconds": []})
        curve["sizes"].append(size)
        curve["seconds"].append(round(seconds, 6))

    def document(self) -> dict[str, Any]:
        curves = [{"name": way, **curve} for way, curve in self._ways.items()]
        head = {"growth": self.name, "title": self.title, "size": self.size}
        return {**head, "machine": environment(), "curves": curves}

    def save(self, folder: Path | None) -> None:
        """Write ``NAME.json`` into ``folder``, unless that is None."""
        if folder is None or not self._ways:
            return
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.document(), indent=1) + "\n"
        (folder / f"{self.name}.json").write_text(text, encoding="utf-8")
