"""The command that runs policies on many instances: compare."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from torta_opt.cli.console import check_writable, print_json, say, show, watching
from torta_opt.cli.options import Address, Backend, Json, Slots, cut_to, policy_list, use_engine
from torta_opt.io import InvalidInput
from torta_opt.io.writing import is_special

if TYPE_CHECKING:
    from torta_opt.allocation.instance import Instance
    from torta_opt.allocation.policies.experiment import Row


NO_BOUND = "none"  # value of --bound: compute no gaps
MOST_SEEDS = 100_000


def compare(
    context: typer.Context,
    instances: Annotated[list[str], typer.Argument(metavar="INSTANCE...", help="instance files")],
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="FILE", help="results, one JSON line per run; rows are added"
        ),
    ],
    policies: Annotated[
        str | None, typer.Option(metavar="A,B", help="policies to run; default: all")
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="run randomised policies with seeds 0 to N−1",
            min=1,
            max=MOST_SEEDS,
        ),
    ] = 1,
    against: Annotated[
        str | None, typer.Option(metavar="NAME", help="policy to compare with; default: the first")
    ] = None,
    bound_method: Annotated[
        str,
        typer.Option(
            "--bound", metavar="NAME", help="the bound that gaps are computed from, or none"
        ),
    ] = "auto",
    jobs: Annotated[
        int, typer.Option(metavar="N", help="number of runs in parallel", min=1, max=256)
    ] = 1,
    backend: Backend = "loky",
    address: Address = None,
    slots: Slots = None,
    json_: Json = False,
) -> None:
    """Run policies on instances and seeds and compare them; a rerun adds only missing runs.

    Example: torta-opt compare abilene.json.gz --policies skylb,torta_ot --seeds 5 -o runs.jsonl
    """
    from torta_opt.allocation.policies import experiment as study
    from torta_opt.allocation.policies.registry import policy_names

    check_writable(output, *instances)
    names = list(policy_names()) if policies is None else policy_list(policies)
    names = list(dict.fromkeys(names))
    if against is not None and against not in names:
        raise InvalidInput(f"{against!r:.60} is not among the policies", field="--against")
    steady = [name for name in names if study.runs_once(name)] if seeds > 1 else []
    _check_bound_name(bound_method)
    if is_special(output) and bound_method != NO_BOUND:
        rule = "a device or a pipe keeps no table of bounds: give --bound none, or a file"
        raise InvalidInput(rule, field="--output")
    problems = _problems_to_compare(instances, slots)
    use_engine(context, backend, address, jobs)
    proved: list[Row] = []
    try:
        with watching() as watch:
            progress = watch and functools.partial(watch, "comparing")
            rows = study.compare(problems, names, range(seeds), output, jobs, progress)
            if bound_method != NO_BOUND:
                progress = watch and functools.partial(watch, "proving bounds")
                proved = study.bounds(problems, bound_method, output, jobs, progress)
                rows = study.with_gaps(rows, proved)
    except KeyboardInterrupt:
        if not (os.path.exists(output) and os.path.getsize(output)):
            raise
        say("interrupted")  # the rows that are complete stand in the table
        if json_:
            print_json({"output": output, "status": "interrupted"})
        return
    unit_of = study.units(problems)
    count, systems = len(set(unit_of.values())), study.system_count(problems)
    found = study.comparison(rows, against or names[0], unit_of)

    def table() -> Any:
        from torta_opt.cli.comparison_tables import comparison_tables

        return comparison_tables(found, count, systems, steady, proved)

    document = {
        "output": output,
        "runs": len(rows),
        "instances": count,
        "systems": systems,
        "run_once": steady,
        **found.to_document(),
        "bounds": proved,
    }
    show(json_, document, table)
    study.raise_if_failed(rows)


def _problems_to_compare(files: Sequence[str], slots: str | None) -> list[Instance]:
    """Allocation instances; says which of them are not independent of each other."""
    from torta_opt import api, families
    from torta_opt.allocation.instance.document import instance_sha256
    from torta_opt.allocation.policies.experiment import units

    problems = [cut_to(api.open_instance(path), slots) for path in files]
    for problem in problems:
        families.require(problem, "allocation")
    first: dict[str, str] = {}
    unit_of = units(problems)
    for path, problem in zip(files, problems, strict=True):
        sha256 = instance_sha256(problem)
        if sha256 in first:
            say(f"warning: {path} is the same instance as {first[sha256]}: it counts once")
            continue
        alike = next((first[one] for one in first if unit_of[one] == unit_of[sha256]), None)
        if alike is not None:
            say(f"warning: {path} shares demand with {alike}: the two count as one instance")
        first[sha256] = path
    return problems


def _check_bound_name(name: str) -> None:
    from torta_opt.allocation.bounds.registry import methods
    from torta_opt.family import AUTO

    known = [*methods(), AUTO, NO_BOUND]
    if name not in known:
        raise InvalidInput(
            f"{name!r:.60} is not a bound; known: {', '.join(known)}", field="--bound"
        )
