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
        """Write ``NAME.json`` into ``folder``, unless that is None.

        Sizes that the file has from a run with the same versions on the same machine stay in it, so
        a measurement can be made size by size.
        """
        if folder is None or not self._ways:
            return
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{self.name}.json"
        document = self.document()
        if file.exists():
            document["curves"] = joined(json.loads(file.read_text(encoding="utf-8")), document)
        file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def joined(earlier: dict[str, Any], document: dict[str, Any]) -> list[dict[str, Any]]:
    """Curves of both, by size; those of ``document`` alone if the machine is another one."""
    if any(earlier[name] != document[name] for name in ("title", "machine")):
        return document["curves"]
    points: dict[str, dict[int, float]] = {}
    for curve in (*earlier["curves"], *document["curves"]):
        known = points.setdefault(curve["name"], {})
        known |= dict(zip(curve["sizes"], curve["seconds"], strict=True))
    return [
        {"name": way, "sizes": sorted(known), "seconds": [known[size] for size in sorted(known)]}
        for way, known in points.items()
    ]
