"""Commands that make and describe instances."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from torta_opt.cli.console import check_writable, make_folder, say, show, warn_about, watching
from torta_opt.cli.log import LOG, import_log
from torta_opt.cli.options import (
    FolderOutput,
    InstanceFile,
    InstanceOutput,
    Json,
    Seed,
    Settings,
    parameters_of,
)
from torta_opt.io import InvalidInput

if TYPE_CHECKING:
    from torta_opt.allocation.instance import Instance


def generate(
    preset: Annotated[
        str | None, typer.Argument(metavar="PRESET", help="a name that `methods` lists")
    ] = None,
    output: InstanceOutput = None,
    topology: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="your own topology, GML or GraphML, instead of a preset"),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="write every preset into the folder named by -o")
    ] = False,
    seed: Seed = 0,
    settings: Settings = None,
    json_: Json = False,
) -> None:
    """Write an instance: a preset, or the paper's setting on your own topology.

    Example: torta-opt generate paper/abilene -o abilene.json.gz --set slots=120
    """
    from torta_opt import families

    if [preset is not None, topology is not None, every].count(True) != 1:
        raise InvalidInput("give a preset, --topology FILE or --all, and only one of them")
    if output is None:
        raise InvalidInput("is required: the file to write", field="--output")
    parameters = parameters_of(settings)
    if every:
        written = _generate_all(Path(output), seed, parameters)
        return show(json_, {"files": written}, lambda: "\n".join(written))
    check_writable(output, topology)
    if topology is not None:
        preset, parameters = "topology", {"file": topology, **parameters}
    instance = families.generate(str(preset), seed, **parameters)
    _write_instance(instance, output, json_)


def import_(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="a kind that `methods` lists")],
    trace: Annotated[
        str, typer.Argument(metavar="TRACE", help="the trace, or the folder of CSV tables")
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="file to write: an instance, or of log a schedule",
        ),
    ],
    seed: Seed = 0,
    settings: Settings = None,
    instance: Annotated[
        str | None, typer.Option(metavar="FILE", help="log: the instance it is a log of")
    ] = None,
    replicas: Annotated[
        str | None, typer.Option(metavar="CSV", help="log: replica counts by time")
    ] = None,
    start: Annotated[
        float | None, typer.Option(metavar="S", help="log: time of slot 0 in the log's clock")
    ] = None,
    demand: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="log: write the instance with the demand of the log"),
    ] = None,
    bound: Annotated[
        str | None, typer.Option(metavar="METHOD", help="log: bound of the gap; default: auto")
    ] = None,
    json_: Json = False,
) -> None:
    """Make an instance from a request trace or a folder of CSV tables, or a schedule from a log.

    Example: torta-opt import azure AzureLLMInferenceTrace_code.csv -o azure.json.gz --set load=0.5
    """
    from torta_opt.allocation.instance.imports import import_trace, load_tables
    from torta_opt.allocation.instance.imports.readers import TABLES

    of_log = {"instance": instance, "replicas": replicas, "start": start, "demand": demand}
    if kind == LOG:
        if settings:
            raise InvalidInput("cannot be used with log", field="--set")
        chosen = start or 0.0, demand, bound or "auto"
        return import_log(trace, output, instance, replicas, *chosen, json_)
    for name, value in {**of_log, "bound": bound}.items():
        if value is not None:
            raise InvalidInput("can only be used with import log", field=f"--{name}")
    check_writable(output, trace)
    parameters = parameters_of(settings)
    if kind == TABLES:
        if parameters:
            raise InvalidInput("cannot be used with tables, only with traces", field="--set")
        return _write_instance(load_tables(trace), output, json_)
    with watching() as watch:
        progress = watch and functools.partial(watch, f"reading {Path(trace).name}")
        made, report = import_trace(kind, trace, seed=seed, progress=progress, **parameters)
    _write_instance(made, output, json_, report)


def tables(
    instance: InstanceFile,
    output: FolderOutput,
    json_: Json = False,
) -> None:
    """Write an instance as a folder of CSV tables; `import tables` reads it back.

    Example: torta-opt tables abilene.json.gz -o abilene
    """
    from torta_opt import api, families
    from torta_opt.allocation.instance.imports import save_tables

    problem = api.open_instance(instance)
    families.require(problem, "allocation")
    files = save_tables(problem, output)
    document = {"instance": problem.name, "files": files}
    show(json_, document, lambda: f"{output}: {problem.name}, {len(files)} tables")


def describe(instance: InstanceFile, json_: Json = False) -> None:
    """Show the size, load and floor of an instance, and warn of unusual values.

    Example: torta-opt describe abilene.json.gz
    """
    from torta_opt import api
    from torta_opt.families import family_of

    problem = api.open_instance(instance)
    facts = api.describe(problem)

    def table() -> Any:
        from torta_opt.cli.tables import facts_table

        return facts_table(facts, family_of(problem).described(facts))

    show(json_, facts, table)
    for warning in facts.get("warnings", ()):
        say(f"warning: {warning}")


def _generate_all(folder: Path, seed: int, parameters: dict[str, Any]) -> list[str]:
    """The instances that come with the package; the others follow from their presets."""
    from torta_opt import api, families

    if parameters:
        raise InvalidInput("cannot be used with --all", field="--set")
    written = []
    for family in families.every():
        for name, preset in family.presets.items():
            if preset.bundled:
                path = folder / f"{name}{'.json' if preset.as_text else '.json.gz'}"
                make_folder(path.parent)
                api.save_instance(family.generate(name, seed), path)
                written.append(str(path))
    return written


def _write_instance(instance: Instance, output: str, json_: bool, report: Any = None) -> None:
    from torta_opt import api
    from torta_opt.families import family_of

    api.save_instance(instance, output)
    size, in_words = family_of(instance).size(instance)
    document = {"instance": instance.name, "output": output, **size}
    if report is not None:
        document["import"] = report.to_document()
    lines = [] if report is None else report.lines()
    written = f"{output}: {instance.name}, {in_words}"
    show(json_, document, lambda: "\n".join([*lines, written]))
    warn_about(instance)
