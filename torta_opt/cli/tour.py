"""The command that shows the way from nothing to a report: tour."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from torta_opt.cli.console import print_json, say
from torta_opt.cli.options import Json, Slots, slot_range


@dataclass(frozen=True)
class Step:
    """A command of the tour: what it does, its words, and what to open or run afterwards."""

    does: str
    words: tuple[str, ...]
    then: str

    @property
    def by_hand(self) -> str:
        return shlex.join(("torta-opt", *self.words))


def tour(
    context: typer.Context,
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="folder to make")] = "tour",
    slots: Slots = None,
    json_: Json = False,
) -> None:
    """Go from nothing to a report of a made-up fleet: run new, build and gap, and explain each.

    Example: torta-opt tour my-tour
    """
    from torta_opt.allocation.site.template import check_new

    if slots is not None:
        slot_range(slots)  # before anything is made
    place = Path(folder)
    if folder.startswith("-"):  # would be an option of the commands
        place = place.absolute()
    check_new(place)
    steps = steps_into(place, slots)
    answers = []
    for number, step in enumerate(steps):
        if not json_:
            print(f"{number + 1} of {len(steps)}: {step.does}\n   {step.by_hand}\n", flush=True)
        try:
            answers.append(_run(context, step, json_))
        except KeyboardInterrupt:
            say(f"interrupted; go on with:\n{_lines(steps[number:])}")
            raise
        if not json_:
            print(f"\n   {step.then}\n", flush=True)
    if json_:
        return print_json({"folder": folder, "report": steps[-1].words[-1], "steps": answers})
    site = place / "site"
    print(f"Put your own numbers into {site}, then run again:\n{_lines(steps[1:])}")


def steps_into(folder: Path, slots: str | None = None) -> tuple[Step, ...]:
    """The commands of the tour, with all their files in ``folder``."""
    site = folder / "site"
    instance, page = str(folder / "fleet.json.gz"), str(folder / "report.html")
    part = () if slots is None else ("--slots", slots)
    policies = ("--policies", "greedy_forecast,hpa")
    return (
        Step(
            "write a site to edit: regions, servers, benchmark figures, demand, prices (made up)",
            ("new", str(site)),
            f"open {site / 'site.toml'}: its comments explain every entry",
        ),
        Step(
            "make an instance of the site; the output says what serves each class, at what price",
            ("build", str(site / "site.toml"), "-o", instance),
            f"its size, load and floor: torta-opt describe {shlex.quote(instance)}",
        ),
        Step(
            "run two policies, prove a cost that no schedule can beat, write a page "
            "(a whole day of slots takes about a minute)",
            ("gap", instance, *part, *policies, "--report", page),
            f"open {page} in a browser: what each policy could save at most, its bill, pictures",
        ),
    )


def _lines(steps: tuple[Step, ...]) -> str:
    return "\n".join(f"   {step.by_hand}" for step in steps)


def _run(context: typer.Context, step: Step, json_: bool) -> dict[str, Any]:
    """Run the command of a step as if it had been typed; with ``json_``, what it answers."""
    name, *words = step.words
    commands: Any = context.find_root().command
    command = commands.commands[name]
    if not json_:
        with command.make_context(name, words, parent=context.find_root()) as inner:
            command.invoke(inner)
        return {}
    printed = io.StringIO()
    with (
        contextlib.redirect_stdout(printed),
        command.make_context(name, [*words, "--json"], parent=context.find_root()) as inner,
    ):
        command.invoke(inner)
    return {"command": step.by_hand, "answer": json.loads(printed.getvalue())}
