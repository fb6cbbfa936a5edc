"""Named duals: each is a slope of the optimum, and stands in the row of its own cell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

import torta_opt
from torta_opt.allocation.bounds.certificate import AXES
from torta_opt.allocation.bounds.lp import lp_bound
from torta_opt.allocation.bounds.named_duals import PRICES
from torta_opt.allocation.formulations.carbon import carbon_cap
from torta_opt.allocation.formulations.program import AllocationProgram
from torta_opt.io import InvalidInput

STEP = 1e-3  # far above the 1e-7 of the solver, small beside sides of 1 and more
DOUBT = 1e-3  # dollars per unit: two optima, each within 1e-7 · 10 $, over a step of 1e-3


def optimum(program: AllocationProgram, row: int = 0, step: float = 0.0) -> float:
    """The relaxed optimum with the side of one row moved; +∞ where nothing is left."""
    lower, upper = program.row_lower.copy(), program.row_upper.copy()
    lower[row] += step
    upper[row] += step
    columns = Bounds(np.zeros(len(program.upper)), program.upper)
    rows = LinearConstraint(program.matrix, lower, upper)
    found = milp(program.cost, constraints=rows, bounds=columns)
    assert found.status in (0, 2), found.message
    return found.fun + program.constant if found.status == 0 else np.inf


def number_of(program: AllocationProgram, cell: Any) -> int:
    """The row of a program that a row of the frame is about, found by name alone."""
    places = {
        "r": [name for name in (cell.origin, cell.region) if name and "/" not in name],
        "p": [f"{cell.region}/{cell.type}"],
        "m": [cell.model],
        "c": [cell[7]],
    }
    parts = [str(cell.slot)]
    for axis in AXES[cell.row][1:]:
        parts.append(places[axis].pop(0))
    return program.row_names.index(f"{cell.row}[{','.join(parts)}]")


@pytest.mark.parametrize("preset", ["small/loading", "small/switch", "small/residency"])
def test_a_dual_lies_between_the_slopes_of_the_optimum(preset: str) -> None:
    """The optimum is convex in the side of a row; a dual lies between its two slopes."""
    instance = torta_opt.generate(preset)
    found = lp_bound(instance)
    base = optimum(found.program)
    frame = torta_opt.bound(instance, "lp").to_frame("duals")
    some = frame[frame["row"] != "hull"].groupby("row").head(2)
    for cell in some.itertuples():
        row = number_of(found.program, cell)
        left = (base - optimum(found.program, row, -STEP)) / STEP
        right = (optimum(found.program, row, STEP) - base) / STEP
        assert left - DOUBT <= cell.usd <= right + DOUBT, cell
    assert {"route", "queue"} <= set(some["row"])


def test_the_frame_has_every_dual_once_and_the_certificate_has_the_same() -> None:
    instance = torta_opt.generate("small/switch")
    found = torta_opt.bound(instance, "lp")
    dual = found.solved.dual
    own = found.to_frame("duals")
    assert len(own) == np.count_nonzero(dual)
    assert sorted(own["usd"]) == pytest.approx(sorted(dual[dual != 0]))
    from torta_opt.allocation.bounds.named_duals import duals_of_certificate

    theirs = duals_of_certificate(found.certificate, instance)
    keys = ["row", "slot", "origin", "region", "type", "model", "class"]
    theirs, own = (each[each["row"] != "hull"] for each in (theirs, own))
    joined = own.merge(theirs, on=keys, how="outer", suffixes=("", "_theirs"))
    joined = joined.fillna({"usd": 0.0, "usd_theirs": 0.0})
    assert joined["usd_theirs"].tolist() == pytest.approx(joined["usd"].tolist(), abs=1e-7)


def test_a_bound_file_and_the_merged_program_have_duals_too(tmp_path: Any) -> None:
    instance = torta_opt.generate("small/loading")
    proved = torta_opt.bound(instance, "merged")
    frame = proved.to_frame("duals")
    assert set(frame["region"]) <= {"everywhere", ""}
    from torta_opt.api import bound_to_document
    from torta_opt.io import write_document

    path = tmp_path / "bound.json"
    write_document(path, bound_to_document(torta_opt.bound(instance, "lp"), instance))
    loaded = torta_opt.load_bound(path, instance).to_frame("duals")
    assert set(loaded["region"]) <= {*instance.system.regions, ""}
    assert loaded.loc[loaded["row"] == "capacity", "per"].eq("ms").all()


def test_rows_that_count_whole_servers_name_their_class() -> None:
    from torta_opt.allocation.bounds.named_duals import duals_of_certificate

    instance = torta_opt.generate("small/loading")
    found = torta_opt.bound(instance, "whole")
    own = found.to_frame("duals")
    theirs = duals_of_certificate(found.certificate, instance)
    own, theirs = (  # what a solver leaves of a zero has any sign
        each[(each["row"] == "whole") & (each["usd"].abs() > 1e-9)] for each in (own, theirs)
    )
    assert len(own) > 0
    assert (own["usd"] < 0).all()  # fewer servers asked for: a lower bound
    assert set(own["class"]) <= set(instance.system.classes)
    assert own["usd"].tolist() == pytest.approx(theirs["usd"].tolist(), abs=1e-9)
    assert own["class"].tolist() == theirs["class"].tolist()


def test_the_price_of_a_constraint_of_your_own() -> None:
    instance = torta_opt.generate("small/residency")
    intensity = {name: 0.1 + 0.3 * n for n, name in enumerate(instance.system.regions)}

    def value(kg: float) -> float:
        return torta_opt.bound(instance, "lp", constraints=[carbon_cap(kg, intensity)]).value

    def dual(kg: float) -> float:
        proved = torta_opt.bound(instance, "lp", constraints=[carbon_cap(kg, intensity)])
        frame = proved.to_frame("duals")
        (usd,) = frame.loc[frame["what"] == "your own constraint", "usd"]
        return usd

    free = torta_opt.bound(instance, "lp").solved
    tight = 0.9 * _emitted(instance, free, intensity)
    step = 1e-3 * tight
    left = (value(tight) - value(tight - step)) / step
    right = (value(tight + step) - value(tight)) / step
    size = abs(left) + 1
    assert left - 1e-3 * size <= dual(tight) <= right + 1e-3 * size
    assert dual(tight) < 0


def _emitted(instance: Any, found: Any, intensity: dict[str, float]) -> float:
    """Kilograms in the answer of a linear relaxation, from the row of the cap itself."""
    from torta_opt.allocation.formulations.user_constraint import user_rows

    (row,) = user_rows(instance, [carbon_cap(1e9, intensity)])
    x = dict(zip(found.program.column_names, found.x.tolist(), strict=True))
    constant = 1e9 - row.upper
    return constant + sum(value * x[name] for name, value in row.coefficients.items())


def test_bounds_without_duals_say_so() -> None:
    instance = torta_opt.generate("small/loading")
    for method in ("floor", "milp"):
        with pytest.raises(InvalidInput, match="without duals"):
            torta_opt.bound(instance, method).to_frame("duals")
    with pytest.raises(InvalidInput, match="known: value, duals"):
        torta_opt.bound(instance, "floor").to_frame("prices")


def test_every_family_of_rows_has_a_price() -> None:
    assert set(PRICES) == set(AXES)
