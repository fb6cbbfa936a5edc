"""The table of problem families: the only module that knows more than one.

Another package adds a family by an entry point of the group ``torta_opt.families``: its name is the
family's, its value an object that derives from ``family.Family``. A family that cannot be loaded
stops nothing else; ``broken`` says why.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib import import_module
from typing import Any

from torta_opt import plugins
from torta_opt.family import FLOOR, Document, Family, Format
from torta_opt.io.errors import InvalidInput, MethodFailed

FAMILIES = {  # name → where its object stands; loaded when first needed
    "allocation": "torta_opt.allocation.family",
    "placement": "torta_opt.placement.family",
}


def family(name: str) -> Family:
    """The family of that name. Raises InvalidInput."""
    if name in FAMILIES:
        ours: Family = import_module(FAMILIES[name]).FAMILY
        return ours
    if name in _theirs()[0]:
        return _theirs()[0][name]
    if name in broken():
        raise InvalidInput(broken()[name])
    raise InvalidInput(f"{name!r:.60} is not a problem family; known: {', '.join(names())}")


def names() -> tuple[str, ...]:
    """Families by name, those of this package first."""
    return (*FAMILIES, *_theirs()[0])


def every() -> Iterator[Family]:
    """Every family, those of this package first; others are loaded only if it comes to them."""
    yield from map(family, FAMILIES)
    yield from _theirs()[0].values()


def broken() -> dict[str, str]:
    """Families of other packages that cannot be used: name → why, in a line."""
    return _theirs()[1]


@cache
def _theirs() -> tuple[dict[str, Family], dict[str, str]]:
    """Families of other packages by name, and what is wrong with those that cannot be used."""
    found: dict[str, Family] = {}
    wrong: dict[str, str] = {}
    ours = [family(name) for name in FAMILIES]
    taken = {format.name for each in ours for format in each.formats.values()}
    kinds = [each.instance_type for each in ours]
    for name, point in plugins.entries(plugins.FAMILIES, FAMILIES).items():
        try:
            # load only asks isinstance, for which an abstract class will do
            each = plugins.load(point, Family)  # type: ignore[type-abstract]
            with plugins.blamed_on(name, f"using it from {plugins.origin(point)}"):
                _check_usable(name, each, taken, kinds)
                kinds += [each.instance_type]
                taken |= {format.name for format in each.formats.values()}
            found[name] = each
        except MethodFailed as error:
            wrong[name] = str(error)
    return found, wrong


def _check_usable(name: str, each: Family, taken: Collection[str], kinds: Collection[type]) -> None:
    """Raise MethodFailed if what a family says of itself would stop others, or itself later.

    taken, kinds   formats and classes of instances that belong to other families
    """
    wrong = _complaint(name, each, taken, kinds)
    if wrong:
        raise MethodFailed(name, wrong)
    _ = each.unit, each.presets, each.constraint_type  # which may raise as well


def _complaint(name: str, each: Family, taken: Collection[str], kinds: Collection[type]) -> str:
    if each.name != name:
        return f"its entry point is called {name}, the family {each.name}"
    own = (each.instance_type, each.schedule_type)
    if not all(isinstance(kind, type) and kind is not object for kind in own):
        return "instance_type and schedule_type must be classes of its own"
    missing = {"instance", "schedule", "bound"} - set(each.formats)
    if missing:
        return f"its formats lack {', '.join(sorted(missing))}"
    for format in each.formats.values():
        if format.name in taken:
            return f"the format {format.name} belongs to another family"
    for kind in kinds:
        if issubclass(own[0], kind) or issubclass(kind, own[0]):
            return f"its instances would be taken for {kind.__name__} of another family"
    if FLOOR not in each.bounds:
        return f"its bounds lack {FLOOR}"
    if each.default_method not in each.methods:
        return f"its methods lack the default, {each.default_method}"
    return ""


def guarded(family: Family, method: str) -> AbstractContextManager[None]:
    """Where code of another package's family runs: what it raises is the method's failure."""
    if family.name in FAMILIES:
        return nullcontext()
    return plugins.blamed_on(method, "running it", passing=plugins.ANY_OF_OURS)


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
