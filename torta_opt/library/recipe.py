"""How an instance of the library is made: the arguments of a command, and the hash of its file."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torta_opt import families
from torta_opt.io import InvalidInput, sha256_of

GENERATE, IMPORT = "generate", "import"


@dataclass(frozen=True)
class Recipe:
    """``generate PRESET`` or ``import KIND TRACE``, a seed and parameters.

    text is what follows ``torta-opt``: ``generate paper/polska --seed 11 --set slots=24``. A trace
    is a path inside a folder of public data, which does not come with this package.

    >>> recipe = Recipe.of("generate paper/polska --seed 11 --set slots=24")
    >>> recipe.make().arrivals.shape
    (24, 12, 6)
    """

    command: str
    subject: str
    trace: str | None = None
    seed: int = 0
    parameters: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, text: str) -> Recipe:
        """Read a recipe. Raises InvalidInput."""
        words = _words(text)
        command, rest = words[0] if words else "", words[1:]
        if command not in (GENERATE, IMPORT):
            raise InvalidInput(f"{text!r:.80} must begin with {GENERATE} or {IMPORT}", "recipe")
        count = 1 if command == GENERATE else 2
        names, options = rest[:count], rest[count:]
        if len(names) < count or len(options) % 2:
            raise InvalidInput(f"{text!r:.80} is incomplete", field="recipe")
        seed, parameters = 0, []
        for option, value in zip(options[::2], options[1::2], strict=True):
            if option == "--seed" and value.isascii() and value.isdecimal():
                seed = int(value)
            elif option == "--set" and "=" in value:
                parameters.append(_parameter(value))
            else:
                raise InvalidInput(f"{option} {value!r:.60} is not an option here", field="recipe")
        trace = names[1] if command == IMPORT else None
        return cls(command, names[0], trace, seed, tuple(parameters))

    @property
    def text(self) -> str:
        words = [self.command, self.subject, *([self.trace] if self.trace else [])]
        if self.seed:
            words += ["--seed", str(self.seed)]
        for name, value in self.parameters:
            words += ["--set", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
        return shlex.join(words)

    def make(self, data: Path | None = None) -> Any:
        """The instance; ``data`` is the folder of traces. Raises InvalidInput."""
        parameters = dict(self.parameters)
        if self.command == GENERATE:
            return families.generate(self.subject, self.seed, **parameters)
        from torta_opt.allocation.instance.imports import import_trace

        if data is None:
            rule = f"is needed: a folder with {self.trace} (see docs/library.md)"
            raise InvalidInput(rule, field="data")
        trace = data / str(self.trace)
        return import_trace(self.subject, trace, seed=self.seed, **parameters)[0]


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InvalidInput(f"{text!r:.80}: {error}", field="recipe") from None


def _parameter(text: str) -> tuple[str, Any]:
    """A value is JSON where it can be, text otherwise, as on the command line."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        return name, value


def sha256_of_instance(instance: Any) -> str:
    """Hash of the instance file, uncompressed: that of ``zcat FILE.json.gz | sha256sum``."""
    format = families.family_of(instance).formats["instance"]
    return str(sha256_of(format.document(instance)))
