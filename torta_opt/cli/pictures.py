"""Commands that draw: plot, report."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from torta_opt.cli.console import check_writable, show, watching, watching_solver
from torta_opt.cli.inputs import Inputs, read_inputs
from torta_opt.cli.options import Json, Slots
from torta_opt.io import InvalidInput

Files = Annotated[
    list[str] | None,
    typer.Argument(metavar="FILE...", help="instance, schedules, bound, or printed JSON"),
]


def plot(
    kind: Annotated[
        str | None, typer.Argument(metavar="KIND", help="a picture that --list names")
    ] = None,
    files: Files = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="picture to write: .svg, .png or .pdf"),
    ] = None,
    list_: Annotated[
        bool, typer.Option("--list", help="list the pictures and what they need")
    ] = False,
    slot: Annotated[
        int | None,
        typer.Option(
            metavar="T", help="routing, flows: this slot; demand: start of a forecast", min=0
        ),
    ] = None,
    policy: Annotated[
        str | None, typer.Option(metavar="NAME", help="attribution: the policy to show")
    ] = None,
    forecaster: Annotated[
        str | None, typer.Option(metavar="NAME", help="demand: forecaster from --slot on")
    ] = None,
    theme: Annotated[str, typer.Option(metavar="light|dark", help="colours")] = "light",
    slots: Slots = None,
    json_: Json = False,
) -> None:
    """Draw a picture of an instance, a schedule or a report.

    Example: torta-opt plot servers abilene.json.gz schedule.json -o servers.svg
    """
    from torta_opt.report.figures import draw, figure_of, style

    if list_:
        return _list_pictures(json_)
    if kind is None or output is None:
        raise InvalidInput("name a picture and, with -o, a file; --list names the pictures", "plot")
    figure = figure_of(kind)
    path = style.check_path(output)
    check_writable(output, *(files or ()))
    inputs = read_inputs(files or [], slots)
    data = _data(figure.accepts, inputs, {"slot": slot, "policy": policy, "forecaster": forecaster})
    with style.themed(theme):
        content = style.encode(draw(kind, **data), path.suffix)
    from torta_opt.io import write_bytes

    write_bytes(output, content)
    show(json_, {"picture": kind, "output": output}, lambda: f"{output}: {figure.summary}")


def _list_pictures(json_: bool) -> None:
    from torta_opt.report.figures import FIGURES

    document = {
        name: {"summary": each.summary, "needs": list(each.needs), "takes": list(each.takes)}
        for name, each in FIGURES.items()
    }

    def table() -> Any:
        from torta_opt.cli.tables import rows_table

        rows = [(name, each.summary, ", ".join(each.needs)) for name, each in FIGURES.items()]
        return rows_table(("picture", "shows", "needs"), rows)

    show(json_, document, table)


def _data(accepts: tuple[str, ...], inputs: Inputs, options: dict[str, Any]) -> dict[str, Any]:
    """What the picture accepts of the files and options. Raises InvalidInput for the rest."""
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in accepts:
            raise InvalidInput("is not used by this picture", field=f"--{name}")
    found: dict[str, Any] = dict(given)
    if "instance" in accepts:
        found["instance"] = inputs.instance
    if "schedules" in accepts:
        found["schedules"] = inputs.schedules
    if "schedule" in accepts and inputs.schedules:
        if len(inputs.schedules) > 1:
            raise InvalidInput("takes one schedule", field="plot")
        (found["schedule"],) = inputs.schedules.values()
    printed = {"report": inputs.reports, "result": inputs.results, "growth": inputs.growths}
    for name, documents in printed.items():
        if name in accepts:
            if len(documents) > 1:
                raise InvalidInput(f"takes one {name}", field="plot")
            found[name] = documents[0] if documents else None
    return found


def report(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", help="an instance with schedules and a bound, or printed JSON"
        ),
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="HTML page to write")
    ],
    bound_method: Annotated[
        str, typer.Option("--bound", metavar="NAME", help="the bound, if no file gives one")
    ] = "auto",
    slots: Slots = None,
    json_: Json = False,
) -> None:
    """Write one HTML page about schedules: savings, bill, pictures; it needs no network.

    Example: torta-opt report abilene.json.gz schedule.json bound.json.gz -o report.html
    """
    from torta_opt import gaps

    check_writable(output, *files)
    inputs = read_inputs(files, slots)
    subjects = []
    if inputs.instance is not None:
        if not inputs.schedules:
            raise InvalidInput("needs a schedule beside the instance", field="report")
        with watching() as watch, watching_solver(bound_method, None) as solver_watch:
            found = gaps.gap(
                inputs.instance,
                (),
                inputs.schedules,
                bound_method,
                watch=watch,
                solver_watch=solver_watch,
                proved=inputs.bound,
            )
        subjects.append(subject_of(found, inputs.instance, inputs.schedules, files))
    from torta_opt.report.page import Subject

    subjects += [Subject(each, provenance=provenance(None, files)) for each in inputs.reports]
    if not subjects:
        raise InvalidInput(
            "needs an instance and its schedules, or the JSON of gap", field="report"
        )
    size = write_page(subjects, output)
    show(json_, {"output": output, "bytes": size}, lambda: f"{output}: {size / 1e6:.1f} MB")


def subject_of(found: Any, instance: Any, own: dict[str, Any], sources: Any) -> Any:
    """A report with the instance and all the schedules behind it."""
    from torta_opt.report.page import Subject

    schedules = {each.policy: each.schedule for each in found.results if each.feasible}
    return Subject(found, instance, schedules, tuple(own), provenance(instance, sources))


def provenance(instance: Any, sources: Any) -> dict[str, str]:
    """Versions, hardware, files and hashes behind a page."""
    from torta_opt.doctor import environment
    from torta_opt.families import family_of
    from torta_opt.io import sha256_of

    machine = environment()
    versions = [f"{name} {version}" for name, version in machine["packages"].items() if version]
    found = {
        "made by": f"torta-opt {machine['torta_opt']}, Python {machine['python']}",
        "machine": f"{machine['platform']}, {machine['threads']} threads",
        "packages": ", ".join(versions),
        "files": ", ".join(map(str, sources)),
    }
    if instance is not None:
        document = family_of(instance).formats["instance"].document(instance)
        found["instance sha256"] = sha256_of(document)
    return found


def write_page(subjects: Any, output: str) -> int:
    """Write a page; returns its size in bytes."""
    from torta_opt.io import write_bytes
    from torta_opt.report.page import page

    content = page(subjects).encode()
    write_bytes(output, content)
    return len(content)
