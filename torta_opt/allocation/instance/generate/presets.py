"""Presets by name: what ``generate`` and the command line offer.

A preset is ``<group>/<rest>``; ``GROUPS`` is the table of groups. A new tiny instance is a function
of ``small.py`` and a line of ``small.BUILDERS``; a new group is a file and a line of ``GROUPS``.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.instance.generate import fig5, paper, small
from torta_opt.io import InvalidInput
from torta_opt.io.seeds import check_seed

# What "+variant" after the name of a paper preset changes, unless the caller sets it.
VARIANTS: dict[str, dict[str, Any]] = {"surge": {"surges": 2}, "outage": {"outages": 1}}


@dataclasses.dataclass(frozen=True)
class Group:
    """Presets whose names begin alike.

    names      what follows the group's name in the presets that are listed
    has        whether there is a preset of that rest of a name; more than are listed may be
    make       rest of the name, name of the instance, seed and parameters → instance
    summary    rest of the name → one line
    as_text    its files are plain JSON, for people to read
    takes_parameters, takes_seed    of ``generate``
    """

    names: Sequence[str]
    has: Callable[[str], bool]
    make: Callable[..., Instance]
    summary: Callable[[str], str]
    as_text: bool = False
    takes_parameters: bool = False
    takes_seed: bool = True


def _has_paper(rest: str) -> bool:
    topology, *variants = rest.split("+")
    return topology in paper.MEAN_LATENCY_MS and set(variants) <= set(VARIANTS)


def _paper(rest: str, label: str, seed: int, /, **parameters: Any) -> Instance:
    topology, *variants = rest.split("+")
    for variant in variants:
        parameters = {**VARIANTS[variant], **parameters}
    return paper.paper_instance(topology, label, seed, **parameters)


def _paper_summary(rest: str) -> str:
    topology, *variants = rest.split("+")
    return f"the paper's setting on {topology}" + "".join(f" with {name}s" for name in variants)


GROUPS: dict[str, Group] = {
    "small": Group(
        names=tuple(small.BUILDERS),
        has=lambda rest: rest in small.BUILDERS,
        make=lambda rest, name, seed: small.BUILDERS[rest](),
        summary=lambda rest: "tiny instance whose optimum depends on one rule",
        as_text=True,
        takes_seed=False,
    ),
    "fig5": Group(
        names=tuple(map(str, fig5.SIZES)),
        has=lambda rest: rest.isascii() and rest.isdecimal(),
        make=lambda rest, name, seed: fig5.fig5_instance(int(rest), name, seed),
        summary=lambda rest: f"the paper's Fig. 5: {rest} tasks in one slot, 50 servers",
    ),
    "paper": Group(
        names=(
            *paper.MEAN_LATENCY_MS,
            *(f"{topology}+{name}" for topology in paper.MEAN_LATENCY_MS for name in VARIANTS),
        ),
        has=_has_paper,
        make=_paper,
        summary=_paper_summary,
        takes_parameters=True,
    ),
}


def preset_names() -> tuple[str, ...]:
    """Every preset; variants may also be combined, as in ``paper/abilene+surge+outage``."""
    return tuple(f"{name}/{rest}" for name, group in GROUPS.items() for rest in group.names)


def group_of(preset: str) -> Group:
    """The group of a preset that is listed."""
    return GROUPS[preset.partition("/")[0]]


def summary_of(preset: str) -> str:
    """One line on a preset that is listed."""
    return group_of(preset).summary(preset.partition("/")[2])


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
    if preset == "topology":
        if "file" not in parameters:
            raise InvalidInput("must name a GML or GraphML file", field="file")
        return generate_from_topology(parameters.pop("file"), seed, **parameters)
    name, _, rest = str(preset).partition("/")
    group = GROUPS.get(name)
    if group is None or not group.has(rest):
        raise _unknown(preset)
    if parameters and not group.takes_parameters:
        raise InvalidInput(f"preset {preset} takes no parameters", field=next(iter(parameters)))
    label = preset if seed == 0 or not group.takes_seed else f"{preset}@{seed}"
    return group.make(rest, label, seed, **parameters)


def _unknown(preset: str) -> InvalidInput:
    known = [name for name in preset_names() if "+" not in name]
    endings = " or ".join(f"+{variant}" for variant in VARIANTS)
    return InvalidInput(
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
