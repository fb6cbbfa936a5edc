"""The folder that a bound over futures keeps: what is finished is taken from it.

penalty.json          coefficients of the run
scenario-NNNN.json    one for each future
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from torta_opt.allocation.foresight.penalty import Penalty
from torta_opt.io import InvalidInput, write_document
from torta_opt.io.files import read_object

if TYPE_CHECKING:
    from torta_opt.allocation.foresight.scenarios import Spec

Row = dict[str, Any]

VALUES = {"value", "clairvoyant", "surprise"}  # of a scenario
PLAYED = {"cost", "z", "paid"}  # of each of its policies


class Store:
    """A folder with a file for each scenario of the run ``spec``; none, if there is no folder."""

    def __init__(self, folder: Path | None, spec: str) -> None:
        self.folder, self.spec = folder, spec
        if folder is None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInput(f"cannot be made: {error.strerror}", file=str(folder)) from None

    def load(self, number: int) -> Row | None:
        """The scenario, if it is there. Raises InvalidInput."""
        if self.folder is None or not (path := self._path(number)).exists():
            return None
        row = read_object(path)
        if not _is_scenario(row):
            raise InvalidInput("is not a scenario of a bound", file=str(path))
        if row["spec"] != self.spec or row["scenario"] != number:
            rule = "is a scenario of another run: another instance, way, seed, penalty or version"
            raise InvalidInput(rule, file=str(path))
        return row

    def kept(self, row: Row) -> Row:
        if self.folder is not None:
            write_document(self._path(row["scenario"]), row)
        return row

    def _path(self, number: int) -> Path:
        assert self.folder is not None
        return self.folder / f"scenario-{number:04d}.json"


def kept_penalty(folder: Path | None, spec: Spec, fit: Callable[[], Penalty]) -> Penalty:
    """The penalty in the folder of a run, or a fitted one, which is then written there.

    ``spec`` is that of the run without its penalty.
    """
    if folder is None:
        return fit()
    path = folder / "penalty.json"
    if path.exists():
        return _penalty_in(path, spec)
    penalty = fit()
    Store(folder, spec.name)
    write_document(path, {"run": spec.name, **penalty.to_document()})
    return penalty


def _penalty_in(path: Path, spec: Spec) -> Penalty:
    found = read_object(path)
    run, vector, horizons = (found.get(name) for name in ("run", "coefficients", "horizons"))
    if not (isinstance(run, str) and _are(vector, _is_real) and isinstance(horizons, list)):
        raise InvalidInput("is not the penalty of a bound", file=str(path))
    if not _are(horizons, _is_ahead):
        raise InvalidInput("is not the penalty of a bound", file=str(path))
    if run != spec.name:
        raise InvalidInput("is the penalty of another run", file=str(path))
    try:
        return Penalty.of(spec.instance.system, np.array(vector, float), tuple(horizons))
    except InvalidInput as error:
        raise error.within(str(path)) from None


def _is_scenario(row: Row) -> bool:
    """Whether every number of a scenario is one."""
    policies, whole = row.get("policies"), [row.get(name) for name in ("scenario", "leaves")]
    return (
        isinstance(row.get("spec"), str)
        and all(type(n) is int and 0 <= n < 2**31 for n in whole)
        and row.keys() >= VALUES
        and all(map(_is_real, [row[name] for name in VALUES]))
        and isinstance(policies, dict)
        and all(
            isinstance(each, dict) and each.keys() == PLAYED and all(map(_is_real, each.values()))
            for each in policies.values()
        )
    )


def _is_real(value: Any) -> bool:
    return type(value) is float and math.isfinite(value)


def _is_ahead(value: Any) -> bool:
    return type(value) is int and 0 < value < 2**31


def _are(values: Any, rule: Callable[[Any], bool]) -> bool:
    return isinstance(values, list) and all(map(rule, values))
