"""Presets by name: what ``generate`` and the command line offer."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.instance.generate import fig5, paper, small
from torta_opt.io import InvalidInput
from torta_opt.io.seeds import check_seed

# What "+variant" after the name of a paper preset changes, unless the caller sets it.
VARIANTS: dict[str, dict[str, Any]] = {"surge": {"surges": 2}, "outage": {"outages": 1}}


def preset_names() -> tuple[str, ...]:
    """Every preset; variants may also be combined, as in ``paper/abilene+surge+outage``."""
    papers = [f"paper/{topology}" for topology in paper.MEAN_LATENCY_MS]
    variants = [f"{name}+{variant}" for name in papers for variant in VARIANTS]
    figures = [f"fig5/{tasks}" for tasks in fig5.SIZES]
    return (*(f"small/{name}" for name in small.BUILDERS), *figures, *papers, *variants)


def generate(preset: str, seed: int = 0, **parameters: Any) -> Instance:
    """The instance named ``preset``; the same preset, seed and parameters give the same instance.

    ``paper/<topology>`` takes the parameters of ``PaperParameters``; ``small/<rule>`` is fixed and
    takes none; nor does ``fig5/<N>``, N tasks, 200 to 1,000,000; ``topology`` takes a ``file`` and
    those of ``PaperParameters``.

    >>> instance = generate("paper/polska", seed=1, slots=24, load=0.6)
    >>> instance.arrivals.shape, len(instance.system.servers)
    ((24, 12, 6), 250)
    """
    check_seed(seed)
    family, _, rest = str(preset).partition("/")
    if family == "topology" and not rest:
        if "file" not in parameters:
            raise InvalidInput("must name a GML or GraphML file", field="file")
        return generate_from_topology(parameters.pop("file"), seed, **parameters)
    base, *variants = rest.split("+")
    if family == "small" and rest in small.BUILDERS:
        if parameters:
            raise InvalidInput(f"preset {preset} takes no parameters", field=next(iter(parameters)))
        return small.BUILDERS[rest]()
    if family == "fig5" and rest.isascii() and rest.isdecimal():
        if parameters:
            raise InvalidInput(f"preset {preset} takes no parameters", field=next(iter(parameters)))
        name = preset if seed == 0 else f"{preset}@{seed}"
        return fig5.fig5_instance(int(rest), name, seed)
    if family == "paper" and base in paper.MEAN_LATENCY_MS and set(variants) <= set(VARIANTS):
        for variant in variants:
            parameters = {**VARIANTS[variant], **parameters}
        name = preset if seed == 0 else f"{preset}@{seed}"
        return paper.paper_instance(base, name, seed, **parameters)
    known = [name for name in preset_names() if "+" not in name]
    endings = " or ".join(f"+{variant}" for variant in VARIANTS)
    raise InvalidInput(
        f"{preset!r:.60} is not known; known: {', '.join(known)} (paper/* also with {endings})",
        field="preset",
    )


def generate_from_topology(
    path: str | os.PathLike[str], seed: int = 0, **parameters: Any
) -> Instance:
    """An instance on a user's own GML or GraphML topology, with the paper's setting elsewhere.

    Latencies follow from the length of the links; ``mean_latency_ms`` scales them.
    """
    check_seed(seed)
    instance = paper.topology_instance(path, seed, **parameters)
    return instance if seed == 0 else dataclasses.replace(instance, name=f"{instance.name}@{seed}")
