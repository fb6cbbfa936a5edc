"""Commands about the law of demand: what it is, how good forecasts are, other futures."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from torta_opt.cli.console import make_folder, show, watching
from torta_opt.cli.options import MOST_FUTURES, FolderOutput, InstanceFile, Json, Seed
from torta_opt.io import InvalidInput

if TYPE_CHECKING:
    from torta_opt.allocation.instance import Instance
    from torta_opt.allocation.law import DemandLaw


LawName = Annotated[
    str | None,
    typer.Option(
        "--law", metavar="NAME", help="generated or fitted; by default the first that fits"
    ),
]
TopologyFile = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="the topology that the instance was generated on"),
]


def futures(
    instance: InstanceFile,
    output: FolderOutput,
    count: Annotated[
        int, typer.Option("--count", "-n", help="how many", min=1, max=MOST_FUTURES)
    ] = 1,
    start: Annotated[
        int,
        typer.Option(metavar="SLOT", help="draw demand from this slot on; keep it before", min=0),
    ] = 0,
    seed: Seed = 0,
    law: LawName = None,
    topology: TopologyFile = None,
    json_: Json = False,
) -> None:
    """Draw other futures of the same system: the fleet and prices stay, demand is drawn anew.

    Example: torta-opt futures abilene.json.gz -o futures --count 10
    """
    from torta_opt import api

    problem, its_law = _opened(instance, law, topology)
    folder, stem = Path(output), _stem(instance)
    make_folder(folder)
    written = []
    with watching() as watch:
        for number in range(seed, seed + count):
            path = folder / f"{stem}~{number}.json.gz"
            api.save_instance(its_law.sample(problem, number, start=start), path)
            written.append(str(path))
            if watch is not None:
                watch("drawing", len(written), count)
    document = {"instance": problem.name, "law": its_law.name, "start": start, "files": written}
    show(json_, document, lambda: "\n".join(written))


def law(
    instance: InstanceFile,
    law: LawName = None,
    topology: TopologyFile = None,
    forecasts: Annotated[
        bool, typer.Option("--forecasts", help="also score the forecasters on the instance")
    ] = False,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Show the law that demand is drawn from, or one fitted to it with its residuals.

    Example: torta-opt law abilene.json.gz
    """
    problem, its_law = _opened(instance, law, topology)
    facts = {"instance": problem.name, **its_law.describe()}
    rows: list[dict[str, Any]] = []
    if forecasts:
        from torta_opt.allocation.policies.forecasts.calibration import calibration

        rows = [dataclasses.asdict(row) for row in calibration(problem, seed=seed)]
        facts["forecasts"] = rows
    show(json_, facts, lambda: _law_table(facts, rows))


def _opened(file: str, law: str | None, topology: str | None) -> tuple[Instance, DemandLaw]:
    """The instance of a file, and its law."""
    from torta_opt import api, families
    from torta_opt.allocation.law import law_of

    problem = api.open_instance(file)
    families.require(problem, "allocation")
    try:
        return problem, law_of(problem, law, topology=topology)
    except InvalidInput as error:
        if error.file is not None:
            raise
        raise error.within(file) from None


def _stem(file: str) -> str:
    return Path(file).name.removesuffix(".gz").removesuffix(".json")


def _law_table(facts: dict[str, Any], rows: list[dict[str, Any]]) -> Any:
    from rich.console import Group

    from torta_opt.cli.tables import facts_table, rows_table

    lines = {name: _text(value) for name, value in _flat(facts) if name != "instance"}
    parts = [facts_table({"instance": facts["instance"]}, lines)]
    if "residuals" in facts:
        titles = ("residuals of", "mean square (1)", "lag-1 correlation (0)", "p of no correlation")
        body = [
            (row["of"], *(f"{row[key]:.3f}" for key in ("mean_square", "lag1", "p")))
            for row in facts["residuals"]
        ]
        parts.append(rows_table(titles, body))
    if rows:
        parts.append(_score_table(rows))
    return Group(*parts)


def _score_table(rows: list[dict[str, Any]]) -> Any:
    from torta_opt.cli.tables import rows_table

    titles = ("forecaster", "slots ahead", "sum", "in 50 %", "in 90 %", "CRPS / requests")
    scores = ("coverage_50", "coverage_90", "crps")
    body = [
        (row["forecaster"], str(row["horizon"]), row["of"], *(f"{row[key]:.3f}" for key in scores))
        for row in rows
    ]
    return rows_table(titles, body)


def _flat(facts: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    """Nested tables as ``outer inner``; lists are shown on their own."""
    found: list[tuple[str, Any]] = []
    for name, value in facts.items():
        label = f"{before} {name}".strip().replace("_", " ")
        if isinstance(value, dict):
            found += _flat(value, label)
        elif not isinstance(value, list):
            found.append((label, value))
    return found


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
