"""Commands for a planner's own fleet: new, build, profile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from torta_opt.cli.console import check_writable, show, warn_about
from torta_opt.cli.options import Json, Settings, parameters_of
from torta_opt.io import InvalidInput

if TYPE_CHECKING:
    from torta_opt.allocation.profiles.data import LoadPoint, Profile
    from torta_opt.allocation.profiles.reading import Reader
    from torta_opt.allocation.profiles.reading import Settings as ProfileSettings


def new(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="folder to make")],
    json_: Json = False,
) -> None:
    """Write a site of three regions to start from: site.toml, demand, benchmarks, profiles.

    Example: torta-opt new fleet
    """
    from torta_opt.allocation.site.template import write_template

    files = write_template(folder)
    site = str(Path(folder) / "site.toml")
    lines = [f"{folder}: {len(files)} files", f"next: torta-opt build {site} -o instance.json.gz"]
    show(json_, {"site": site, "files": files}, lambda: "\n".join(lines))


def build(
    site: Annotated[str, typer.Argument(metavar="SITE", help="site file, or its folder")],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="instance file to write")
    ],
    json_: Json = False,
) -> None:
    """Make an instance from a site file; report everything that is missing at once.

    Example: torta-opt build fleet/site.toml -o fleet.json.gz
    """
    from torta_opt import api
    from torta_opt.allocation.site.build import build_site
    from torta_opt.allocation.site.files import read_site
    from torta_opt.families import family_of

    check_writable(output, *read_site(site).files)
    instance, report = build_site(site)
    api.save_instance(instance, output)
    size, in_words = family_of(instance).size(instance)
    document = {"instance": instance.name, "output": output, **size, "site": report.to_document()}
    lines = [*report.lines(), f"{output}: {instance.name}, {in_words}"]
    show(json_, document, lambda: "\n".join(lines))
    warn_about(instance)


def profile(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="a kind that `methods` lists")],
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="benchmark files, or folders of them")
    ],
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="profile file to write")
    ] = None,
    settings: Settings = None,
    json_: Json = False,
) -> None:
    """Read benchmark or model figures of a replica, show how they are read, write a profile.

    Example: torta-opt profile vllm bench/ -o profiles.json --set target_s=20
    """
    from torta_opt.allocation.profiles.document import profiles_to_document, save_profiles
    from torta_opt.allocation.profiles.readers import read_profiles, reader
    from torta_opt.allocation.profiles.reading import Settings as ProfileSettings

    if output is not None:
        inside = (part for each in files if each.is_dir() for part in each.rglob("*"))
        check_writable(output, *map(str, (*files, *inside)))
    try:
        chosen = ProfileSettings.of(**parameters_of(settings))
    except InvalidInput as error:
        raise InvalidInput(error.rule, f"--set {error.field}") from None
    profiles = read_profiles(kind, files, chosen)
    if output is not None:
        save_profiles(profiles, output)
    document = {"kind": kind, "output": output, **profiles_to_document(profiles)}
    document["chosen"] = [_chosen_points(each, chosen) for each in profiles]

    def table() -> Any:
        return _profile_tables(reader(kind), profiles, chosen, output)

    show(json_, document, table)


def _chosen_points(profile: Profile, settings: ProfileSettings) -> list[str]:
    """Source of the load point that meets the target, for each pair of token lengths."""
    from torta_opt.allocation.profiles.choose import Target, best_point, by_lengths

    target = Target(settings.target_s, settings.ttft_s, settings.tpot_s)
    best = [best_point(group, target) for group in by_lengths(profile.points)]
    return [point.source for point in best if point is not None]


def _in_order(profile: Profile) -> list[LoadPoint]:
    """Load points by token lengths, then by load."""
    from torta_opt.allocation.profiles.choose import by_lengths

    groups = [sorted(each, key=lambda p: p.requests_per_s) for each in by_lengths(profile.points)]
    groups.sort(key=lambda group: (group[0].input_tokens, group[0].output_tokens))
    return [point for group in groups for point in group]


def _profile_tables(
    reader: Reader, profiles: list[Profile], settings: ProfileSettings, output: str | None
) -> Any:
    from rich.console import Group

    from torta_opt.cli.tables import rows_table

    parts: list[Any] = [rows_table(("field", "unit", "becomes"), list(reader.fields))]
    for each in profiles[:MOST_SHOWN]:
        chosen = set(_chosen_points(each, settings))
        rows = [
            (
                "→" if point.source in chosen else "",
                f"{point.input_tokens:.6g}/{point.output_tokens:.6g}",
                f"{point.requests_per_s:.4g}",
                f"{point.latency_s:.4g}",
                "" if point.ttft_s is None else f"{point.ttft_s:.4g}",
                "" if point.tpot_s is None else f"{point.tpot_s:.4g}",
                point.source,
            )
            for point in _in_order(each)
        ]
        engine = f", {each.engine}" if each.engine else ""
        parts.append(f"\n{each.model} on {each.label} ({each.basis}{engine})")
        titles = ("", "tokens in/out", "requests/s", "s", "ttft s", "tpot s", "load point")
        parts.append(rows_table(titles, rows))
        parts += [f"note: {note}" for note in each.notes]
    if len(profiles) > MOST_SHOWN:
        parts.append(f"\nand {len(profiles) - MOST_SHOWN} more (--json shows all)")
    parts.append("→ the most requests per second that meets the target (--set target_s=...)")
    if output is not None:
        parts.append(f"{output}: {len(profiles)} profile{'s' if len(profiles) > 1 else ''}")
    return Group(*parts)


MOST_SHOWN = 6
