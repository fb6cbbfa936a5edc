"""Files of any kind on one command line: instances, schedules, bounds, and printed JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torta_opt.io import InvalidInput


@dataclass(eq=False)
class Inputs:
    """What files hold, by kind.

    instance     the instance, if one of the files is one
    schedules    schedules of it by file name
    bound        the bound of a bound file, derived again from its certificate
    reports      documents that ``gap --json`` printed
    results      documents that ``solve --json`` printed
    growths      documents that benchmarks wrote with ``--curves``
    """

    instance: Any = None
    schedules: dict[str, Any] = field(default_factory=dict)
    bound: Any = None
    reports: list[dict[str, Any]] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    growths: list[dict[str, Any]] = field(default_factory=list)


def read_inputs(files: Sequence[str], slots: str | None = None) -> Inputs:
    """Read every file as what it is. Raises InvalidInput."""
    from torta_opt import api
    from torta_opt.cli.options import cut_to, own_schedules
    from torta_opt.families import family_of, instance_formats
    from torta_opt.io.files import as_current

    read: dict[str, dict[str, Any]] = {}
    formats = {file: _format_of(file, read) for file in files}
    inputs = Inputs()
    instances = [file for file in files if formats[file] in instance_formats()]
    if len(instances) > 1:
        raise InvalidInput("is a second instance; give one", file=instances[1])
    if instances:
        (file,) = instances
        whole = api.instance_in(lambda versions: as_current(read[file], versions, file), file)
        inputs.instance = cut_to(whole, slots)
    elif slots is not None:
        raise InvalidInput("needs an instance", field="--slots")
    rest = [file for file in files if file not in instances]
    known = family_of(inputs.instance).formats if instances else {}
    names = {known[kind].name: kind for kind in ("schedule", "bound") if kind in known}
    schedules = []
    for file in rest:
        kind = names.get(formats[file])
        if kind == "schedule":
            schedules.append(file)
        elif kind == "bound":
            inputs.bound = api.load_bound(file, inputs.instance)
        elif formats[file]:
            need = "belongs to an instance of another family" if instances else "needs its instance"
            raise InvalidInput(f"{need} ({formats[file]!r:.60})", file=file)
        else:
            _sort_in(file, read[file], inputs)
    if schedules:
        inputs.schedules = own_schedules(schedules, inputs.instance)
    return inputs


def _format_of(file: str, read: dict[str, dict[str, Any]]) -> str:
    """The field ``format``; empty for JSON that a command printed. The content goes to ``read``."""
    from torta_opt.io.files import read_object

    read[file] = read_object(file)
    found = read[file].get("format", "")
    if not isinstance(found, str):
        raise InvalidInput("must be a text", field="format", file=file)
    return found


def _sort_in(file: str, document: dict[str, Any], inputs: Inputs) -> None:
    """Put what a command printed where it belongs. Raises InvalidInput that names the file."""
    from torta_opt.report.documents import checked_growth, checked_report, checked_result

    try:
        if "results" in document:
            inputs.reports.append(checked_report(document))
        elif "method" in document:
            inputs.results.append(checked_result(document))
        elif "growth" in document:
            inputs.growths.append(checked_growth(document))
        else:
            raise InvalidInput(
                "is neither a file of this package nor what gap, solve or a benchmark print"
            )
    except InvalidInput as error:
        raise error.within(file) from None
