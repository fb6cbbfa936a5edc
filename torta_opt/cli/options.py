"""Options that commands share, and how their values are read."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

from torta_opt.io import InvalidInput

if TYPE_CHECKING:
    from torta_opt.allocation.instance import Instance
    from torta_opt.allocation.schedule import Schedule
    from torta_opt.solvers import Limits


GivenOptions = TypeVar("GivenOptions")

OPTIONS = {"file", "kind", "path", "preset", "progress", "seed"}  # not for --set


MAX_THREADS = 1024  # as in solvers.problem; more end a process, not an option error


InstanceFile = Annotated[str, typer.Argument(metavar="INSTANCE", help="instance file")]


InstanceOutput = Annotated[
    str | None, typer.Option("--output", "-o", metavar="FILE", help="instance file to write")
]


FolderOutput = Annotated[
    str, typer.Option("--output", "-o", metavar="FOLDER", help="folder to write into")
]


Slots = Annotated[
    str | None, typer.Option(metavar="A:B", help="only slots A to B−1 of the instance")
]


Weights = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|paper|xN",
        help="weights: a file, the paper's objective, or N times the price of time",
    ),
]


Json = Annotated[bool, typer.Option("--json", help="print one JSON document on stdout")]


Seed = Annotated[int, typer.Option(help="seed of all random numbers", min=0)]


Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="a parameter; may be repeated"),
]


TimeLimit = Annotated[
    float | None,
    typer.Option("--time-limit", metavar="S", help="time limit of a solver in seconds"),
]


WorkLimit = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="limit on nodes or iterations of a solver; same result everywhere"
    ),
]


Threads = Annotated[
    int, typer.Option(help="threads of a solver; 0: the solver chooses", min=0, max=MAX_THREADS)
]


MOST_FUTURES = 100_000

Scenarios = Annotated[
    int | None,
    typer.Option(
        "--scenarios",
        metavar="N",
        help="nonanticipative: futures to average over",
        min=2,
        max=MOST_FUTURES,
    ),
]


Way = Annotated[
    str | None,
    typer.Option(
        metavar="WAY", help="none, penalty or tree: how foresight is taken from the bound"
    ),
]


Children = Annotated[
    int | None, typer.Option(metavar="N", help="way tree: children where a tree parts")
]


Block = Annotated[
    int | None, typer.Option(metavar="SLOTS", help="way tree: slots from one branch to the next")
]


Window = Annotated[
    int | None,
    typer.Option(
        metavar="SLOTS", help="way tree: a tree for each window of so many slots, linked by prices"
    ),
]


Folder = Annotated[
    str | None,
    typer.Option("--folder", metavar="FOLDER", help="keep finished futures there, and resume"),
]


Jobs = Annotated[int, typer.Option(help="futures side by side; 0: one per core", min=0, max=1024)]


Backend = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="where parallel work runs: loky (this machine), dask or ray (docs/scale.md)",
    ),
]


Address = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="scheduler of dask or ray; must be one you trust"),
]


def use_engine(
    context: typer.Context, backend: str, address: str | None, jobs: int, threads: int = 1
) -> None:
    """Parallel work of the command runs on a back end, until the command ends.

    Without an address, a cluster of ``jobs`` or ``threads`` workers is started on this machine; one
    per core if neither asks for more than one.
    """
    from torta_opt.parallel import engine

    if address is not None and jobs != 1:
        raise InvalidInput("the cluster at --address sets the number of workers", field="--jobs")
    workers = 0 if 0 in (jobs, threads) or jobs == threads == 1 else max(jobs, threads)
    try:
        context.with_resource(engine(backend, address, workers))
    except InvalidInput as error:
        raise InvalidInput(error.rule, f"--{error.field}") from None


def foresight_options(
    scenarios: int | None,
    way: str | None,
    children: int | None,
    block: int | None,
    window: int | None,
    folder: str | None,
    jobs: int,
) -> dict[str, Any]:
    """What was given of the options of bounds over futures."""
    given = {
        "scenarios": scenarios,
        "way": way,
        "children": children,
        "block": block,
        "window": window,
        "folder": None if folder is None else Path(folder),
        "jobs": None if jobs == 1 else jobs,
    }
    return {name: value for name, value in given.items() if value is not None}


def takes_options(
    kind: type[GivenOptions],
) -> Callable[[Callable[[GivenOptions], None]], Callable[..., None]]:
    """A command whose options are the fields of the data class ``kind``.

    Typer reads options from the parameters of a function; the command shows it the fields instead.
    """

    def of(command: Callable[[GivenOptions], None]) -> Callable[..., None]:
        @functools.wraps(command)
        def from_command_line(**given: Any) -> None:
            command(kind(**given))

        hints = get_type_hints(kind, include_extras=True)
        fields = inspect.signature(kind).parameters.values()
        parameters = [field.replace(annotation=hints[field.name]) for field in fields]
        vars(from_command_line).pop("__wrapped__")  # it has one parameter, which is no option
        vars(from_command_line)["__signature__"] = inspect.Signature(parameters)
        from_command_line.__annotations__ = hints
        return from_command_line

    return of


def slot_range(text: str) -> tuple[int, int]:
    try:
        first, last = map(int, text.split(":"))
    except ValueError:
        raise InvalidInput(f"{text!r:.40} must be A:B, two slots", field="--slots") from None
    return first, last


def seed_range(text: str) -> range:
    try:
        first, end = map(int, text.split(":"))
    except ValueError:
        first, end = -1, -1
    if not 0 <= first < end:
        raise InvalidInput(f"{text!r:.40} must be A:B with 0 ≤ A < B", field="--seeds")
    return range(first, end)


def cut_to(instance: Instance, slots: str | None) -> Instance:
    """The slots that ``--slots`` names."""
    from torta_opt.families import family_of

    if slots is None:
        return instance
    try:
        return family_of(instance).cut(instance, *slot_range(slots))
    except InvalidInput as error:
        raise InvalidInput(error.rule, error.field or "--slots") from None


def priced_by(instance: Instance, weights: str | None) -> Instance:
    from torta_opt import api

    return instance if weights is None else api.reweighted(instance, weights)


def limits_of(
    seconds: float | None, work: int | None, threads: int, seed: int = 0, gap: float | None = None
) -> Limits | None:
    """Solver limits; None stands for the defaults, which need no solver to be loaded."""
    if (seconds, work, threads, seed, gap) == (None, None, 1, 0, None):
        return None
    from torta_opt.solvers.problem import Limits

    given = {"seconds": seconds, "work": work, "gap": gap}
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    try:
        return Limits(threads=threads, seed=seed, **chosen)
    except InvalidInput as error:
        option = {"seconds": "--time-limit", "work": "--work-limit", "gap": "--gap"}
        raise InvalidInput(error.rule, option.get(error.field or "", f"--{error.field}")) from None


def own_schedules(files: Sequence[str], instance: Instance) -> dict[str, Schedule]:
    """Schedules by file name; the whole path where two have the same name."""
    from torta_opt.api import load_schedule

    names = [Path(file).name for file in files]
    labels = [
        file if names.count(name) > 1 else name for file, name in zip(files, names, strict=True)
    ]
    return {label: load_schedule(file, instance) for label, file in zip(labels, files, strict=True)}


def policy_list(text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    if not names:
        raise InvalidInput("names no policy", field="--policies")
    return names


def parameters_of(settings: Sequence[str] | None, option: str = "--set") -> dict[str, Any]:
    """``KEY=VALUE`` pairs; a value is JSON where it can be, text otherwise."""
    parameters: dict[str, Any] = {}
    for setting in settings or ():
        key, equals, text = setting.partition("=")
        if not equals or not key.isidentifier():
            raise InvalidInput(f"{setting!r:.60} must be KEY=VALUE", field=option)
        if key in OPTIONS:
            raise InvalidInput(f"{key} is not a parameter", field=option)
        if key in parameters:
            raise InvalidInput(f"{key} is given twice", field=option)
        try:
            parameters[key] = json.loads(text)
        except (ValueError, RecursionError):
            parameters[key] = text
    return parameters
