"""Importers of profiles by kind: one importer, one file here, one line in ``READERS``."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from torta_opt.allocation.profiles.data import Profile
from torta_opt.allocation.profiles.reading import Collector, Reader, Settings
from torta_opt.io import InvalidInput

READERS = (  # modules here, each with a READER
    "aiconfigurator",
    "vllm",
    "guidellm",
    "inference_perf",
    "aibrix",
    "llmd_planner",
    "inferno",
    "inferencex",
    "aiperf",
)


def reader(kind: str) -> Reader:
    """The importer of a kind. Raises InvalidInput if there is none."""
    if kind not in READERS:
        known = ", ".join(READERS)
        raise InvalidInput(f"{kind!r:.60} is not known; known: {known}", field="kind")
    return import_module(f"{__package__}.{kind}").READER


def summaries() -> dict[str, str]:
    """One line on each kind of profile."""
    return {kind: reader(kind).summary for kind in READERS}


def read_profiles(kind: str, files: Sequence[Path], settings: Settings) -> list[Profile]:
    """The profiles in ``files`` (or folders), all of one kind. Raises InvalidInput."""
    chosen = reader(kind)
    if not files:
        raise InvalidInput("name at least one", field="files")
    for file in files:
        if not file.exists():
            raise InvalidInput("cannot be read: No such file or directory", file=str(file))
    collector = Collector(kind)
    chosen.read(files, settings, collector)
    return collector.profiles(str(files[0]))
