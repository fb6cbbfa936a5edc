"""Laws by name: the random processes that the demand of an instance may be drawn from.

A law is one file and one line of ``LAWS``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.law.base import DemandLaw
from torta_opt.io.errors import InvalidInput

Topology = str | os.PathLike[str]


@dataclass(frozen=True)
class Entry:
    """Where a law lives, and what it is in a line.

    The module has ``law(instance, topology)``: the law, or None if the instance is not of its kind.
    """

    module: str
    summary: str

    def make(self, instance: Instance, topology: Topology | None) -> DemandLaw | None:
        found = import_module(f"torta_opt.allocation.law.{self.module}")
        make: Callable[[Instance, Topology | None], DemandLaw | None] = found.law
        return make(instance, topology)


LAWS: dict[str, Entry] = {  # the first that fits is taken
    "generated": Entry("generated", "the law that a generated instance was drawn from"),
    "fitted": Entry(
        "fitted", "season, autoregression and dispersion fitted to the demand of an instance"
    ),
}


def law_of(
    instance: Instance, kind: str | None = None, *, topology: Topology | None = None
) -> DemandLaw:
    """The law that the demand of ``instance`` is drawn from.

    ``kind`` is a name of ``LAWS``; without it, the first that fits. ``topology`` is the file that
    an instance of the preset ``topology`` was generated from.

    Raises InvalidInput if no law fits.
    """
    if kind is not None and kind not in LAWS:
        raise InvalidInput(f"{kind!r:.40} is not a law; known: {', '.join(LAWS)}", field="law")
    for name in LAWS if kind is None else (kind,):
        law = LAWS[name].make(instance, topology)
        if law is not None:
            return law
    what = "no law" if kind is None else f"the law {kind} does not fit it"
    raise InvalidInput(f"{instance.name}: {what} is known for this instance", field="law")
