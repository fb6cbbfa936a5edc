"""The table of problem families: the only module that knows more than one.

Another package adds a family by an entry point of the group ``torta_opt.families`` whose value is
an object that derives from ``family.Family``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from torta_opt.family import Document, Family, Format
from torta_opt.io.errors import InvalidInput

GROUP = "torta_opt.families"
FAMILIES = {  # name → where its object stands; loaded when first needed
    "allocation": "torta_opt.allocation.family",
    "placement": "torta_opt.placement.family",
}


@cache
def family(name: str) -> Family:
    """The family of that name. Raises InvalidInput."""
    if name in FAMILIES:
        return import_module(FAMILIES[name]).FAMILY
    for point in entry_points(group=GROUP, name=name):
        found = point.load()
        if not isinstance(found, Family):
            raise InvalidInput(f"{point.value} is not a problem family", field=name)
        return found
    raise InvalidInput(f"{name!r:.60} is not a problem family; known: {', '.join(names())}")


@cache
def names() -> tuple[str, ...]:
    """Families by name, those of this package first."""
    theirs = sorted({point.name for point in entry_points(group=GROUP)} - set(FAMILIES))
    return (*FAMILIES, *theirs)


def every() -> Iterator[Family]:
    return map(family, names())


def family_of(instance: Any) -> Family:
    """The family that an instance belongs to. Raises InvalidInput if it is not an instance."""
    for each in every():
        if isinstance(instance, each.instance_type):
            return each
    raise InvalidInput(f"must be an instance, found {type(instance).__name__}", field="instance")


def instance_formats() -> dict[str, tuple[Family, Format]]:
    """Formats of instance files with their families, by the value of the field ``format``."""
    found = ((each, each.formats["instance"]) for each in every())
    return {format.name: (each, format) for each, format in found}


def schemas() -> dict[str, Document]:
    """JSON Schema of every file format, by the name of the format."""
    formats = (format for each in every() for format in each.formats.values())
    return {format.name: format.schema() for format in formats}


def require(instance: Any, name: str) -> None:
    """Raise InvalidInput if an instance belongs to another family than ``name``."""
    own = family_of(instance).name
    if own != name:
        raise InvalidInput(f"{instance.name}: is an instance of {own}, must be one of {name}")


def generate(preset: str, seed: int = 0, **parameters: Any) -> Any:
    """Generate the instance of a preset, of any family.

    Parameters
    ----------
    preset
        A name that ``torta-opt methods`` lists, such as ``"paper/abilene"``.
    seed
        Seed of all random numbers. The same arguments give the same instance.
    parameters
        Parameters of the preset, as ``--set`` takes them on the command line.

    Returns
    -------
    Instance
        An instance of the family that the preset belongs to.

    Raises
    ------
    InvalidInput
        If there is no such preset or parameter, or a value is out of range.

    Examples
    --------
    >>> import torta_opt
    >>> instance = torta_opt.generate("paper/polska", seed=1, slots=24, load=0.6)
    >>> instance.arrivals.shape  # slots, regions, classes
    (24, 12, 6)
    """
    chosen = next((each for each in every() if each.has_preset(str(preset))), family(names()[0]))
    return chosen.generate(preset, seed, **parameters)
