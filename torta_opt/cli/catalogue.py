"""Commands that list methods, schemas and versions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from torta_opt.cli.console import make_folder, print_json, say, show
from torta_opt.cli.log import LOG, SUMMARY
from torta_opt.cli.options import Json
from torta_opt.io import InvalidInput


def methods(
    kind: Annotated[
        str | None, typer.Option(metavar="KIND", help="only one kind: policy, offline, bound, …")
    ] = None,
    json_: Json = False,
) -> None:
    """List policies, bounds, presets and importers.

    Example: torta-opt methods --kind bound
    """
    from torta_opt import families

    known = _known_methods()
    if kind is not None:
        if kind not in known:
            rule = f"{kind!r:.40} is not a kind; known: {', '.join(known)}"
            raise InvalidInput(rule, field="--kind")
        known = {kind: known[kind]}

    def table() -> Any:
        from torta_opt.cli.tables import rows_table

        rows = [
            (name, kind, summary)
            for kind, entries in known.items()
            for name, summary in entries.items()
        ]
        return rows_table(("name", "", "what it does"), rows)

    show(json_, known, table, is_result=False)
    for why in families.broken().values():
        say(f"left out: {why}")


def _known_methods() -> dict[str, dict[str, str]]:
    """Kind → name → summary; the kinds of other families bear the family's name."""
    from torta_opt import families
    from torta_opt.allocation.instance.imports import readers
    from torta_opt.allocation.profiles.readers import summaries as profile_kinds
    from torta_opt.placement.online.play import METHODS as ONLINE

    known: dict[str, dict[str, str]] = {}
    presets: dict[str, str] = {}
    for family in families.every():
        first = not known
        kinds = ("policy", "offline", "bound") if first else _kinds_of(family.name)
        for name, method in family.methods.items():
            kind = kinds[1] if method.knows_future else kinds[0]
            known.setdefault(kind, {})[name] = method.summary
        known[kinds[2]] = {name: method.summary for name, method in family.bounds.items()}
        for name, preset in family.presets.items():
            presets.setdefault(name, preset.summary)
    known["placement online"] = {name: online.summary for name, online in ONLINE.items()}
    tables = "makes an instance from a folder of CSV tables, as `tables` writes them"
    imports = {**readers.summaries(), readers.TABLES: tables, LOG: SUMMARY}
    return {**known, "preset": presets, "import": imports, "profile": profile_kinds()}


def _kinds_of(family: str) -> tuple[str, str, str]:
    return family, f"{family} offline", f"{family} bound"


def schema(
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FOLDER", help="folder to write into")
    ] = None,
    json_: Json = False,
) -> None:
    """Print the JSON Schema of every file format.

    Example: torta-opt schema -o schemas
    """
    from torta_opt.families import schemas

    known = schemas()
    if output is None:
        return print_json(known)
    written = _write_schemas(known, Path(output))
    show(json_, {"files": written}, lambda: "\n".join(written))


def _write_schemas(known: dict[str, dict[str, Any]], folder: Path) -> list[str]:
    from torta_opt.io import write_bytes

    make_folder(folder)
    written = []
    for name, content in known.items():
        path = folder / f"{name.removeprefix('torta-opt/').replace('/', '-')}.json"
        write_bytes(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())
        written.append(str(path))
    return written


def doctor(json_: Json = False) -> None:
    """Show versions, solvers and threads of this machine.

    Example: torta-opt doctor
    """
    from torta_opt.doctor import environment, environment_rows, is_complete

    found = environment()

    def table() -> Any:
        from torta_opt.cli.tables import rows_table

        return rows_table(("what", "version", ""), environment_rows(found))

    show(json_, found, table, is_result=False)
    if not is_complete(found):
        raise InvalidInput("something is missing or does not work: run make clean, then make gap")
