"""All that is wrong with a site, told at once: one line each, with the line to add if one lacks.

A site is made of many small files; who writes one wants to hear of every omission at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from torta_opt.io import InvalidInput

MOST = 40  # lines shown


class SiteFaults(InvalidInput):
    """Several faults of a site; its text has one plain line for each."""

    def __init__(self, file: str, faults: list[InvalidInput]):
        self.faults = faults
        count = f"{len(faults)} things are missing or wrong"
        super().__init__(count if len(faults) > 1 else faults[0].rule, None, file)
        if len(faults) == 1:
            self.args = (str(faults[0]),)
            return
        shown = [f"  {fault}" for fault in faults[:MOST]]
        if len(faults) > MOST:
            shown.append(f"  and {len(faults) - MOST} more")
        self.args = ("\n".join([f"{file}: {count}:", *shown]),)


class Faults:
    """Collects faults, and raises them together."""

    def __init__(self, file: str):
        self.file = file
        self.found: list[InvalidInput] = []

    def add(self, field: str, rule: str, line: str | None = None) -> None:
        """``line`` is what to add to the site file."""
        text = rule if line is None else f"{rule}; add: {line}"
        fault = InvalidInput(text, field, self.file)
        if str(fault) not in map(str, self.found):
            self.found.append(fault)

    def take(self, error: InvalidInput, field: str | None = None) -> None:
        if isinstance(error, SiteFaults):
            self.found += error.faults
        else:
            self.found.append(
                error if error.file else InvalidInput(error.rule, error.field or field, self.file)
            )

    @contextmanager
    def catching(self, field: str | None = None) -> Iterator[None]:
        """What is refused inside is kept, and the work goes on after."""
        try:
            yield
        except InvalidInput as error:
            self.take(error, field)

    def stop(self) -> None:
        """Raise all that was found, if anything was."""
        if self.found:
            raise SiteFaults(self.file, self.found)


def from_schema(error: ValidationError, file: str, examples: dict[str, str]) -> SiteFaults:
    """Every complaint of the schema; what is missing comes with an example of its line."""
    faults = Faults(file)
    for detail in error.errors(include_url=False, include_context=True):
        field = ""
        for part in detail["loc"]:
            field += f"[{part}]" if isinstance(part, int) else f".{part}" if field else str(part)
        rule = _RULES.get(detail["type"]) or detail["msg"].replace("Input should", "must")
        rule = rule.replace("String should", "must").removeprefix("Value error, ")
        if detail["type"] == "missing":
            name = str(detail["loc"][-1])
            faults.add(field, rule, examples.get(name, f"{name} = ..."))
        else:
            faults.add(field, rule)
    return SiteFaults(file, faults.found)


_RULES = {
    "missing": "is missing",
    "extra_forbidden": "is not a known field",
    "finite_number": "must be a finite number",
    "model_type": "must be a table",
    "dict_type": "must be a table",
    "list_type": "must be a list",
}
