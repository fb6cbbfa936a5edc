"""The study that splits what a policy pays above the clairvoyant bound, on tiny futures."""

from __future__ import annotations

from pathlib import Path

import foresight_layers
import numpy as np
import pytest
import relaxed_policy
import told_demand

import torta_opt
from torta_opt.allocation.foresight.inner import merged_of, solved
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.law import law_of
from torta_opt.io import InvalidInput, VerificationFailed

SMALL = {"slots": 8, "gpu_counts": {"A100": 3, "T4": 3}, "load": 0.5}
CLOSE = 1e-5  # relative; interior points without crossover


@pytest.fixture(scope="module")
def instance() -> Instance:
    return torta_opt.generate("paper/abilene", seed=3, **SMALL)


def test_without_chance_the_relaxed_policy_pays_the_clairvoyant_bound(instance: Instance) -> None:
    bound = solved(merged_of(instance, 1), 0.0).objective
    paid = relaxed_policy.relaxed_cost(instance, lambda leaf, seed, start: leaf, 2, seed=0)
    assert paid == pytest.approx(bound, rel=CLOSE)


def test_the_relaxed_policy_does_not_see_ahead(instance: Instance) -> None:
    law, parted = law_of(instance), 3

    def draw(leaf: Instance, seed: int, start: int) -> Instance:
        return law.sample(leaf, seed, start=start)

    other = draw(instance, 5, parted)
    assert (other.arrivals != instance.arrivals).any()
    one, two = (relaxed_policy.decisions(each, draw, 2, seed=0) for each in (instance, other))
    for name, values in one.items():
        np.testing.assert_array_equal(values[:parted], two[name][:parted])
    bound = solved(merged_of(instance, 1), 0.0).objective
    paid = relaxed_policy._priced(merged_of(instance, 1).program, one)
    assert paid >= bound * (1 - CLOSE)
    with pytest.raises(VerificationFailed, match="decisions miss a row by"):
        relaxed_policy._priced(merged_of(other, 1).program, one)


def test_told_demand_is_that_of_the_slots_of_each_epoch() -> None:
    arrivals = np.arange(24.0).reshape(6, 2, 2)
    told = told_demand.ToldDemand(arrivals)
    told.learn(arrivals[0])  # slot 0 has come: epochs of 2 and 4 slots are 1–2 and 3–6
    drawn = told.draw(np.array([2.0, 4.0]))
    demand = arrivals.sum(axis=1)
    assert drawn.shape == (2, told_demand.SAMPLES, 2)
    np.testing.assert_array_equal(drawn[0].mean(axis=0), demand[1:3].mean(axis=0))
    np.testing.assert_array_equal(drawn[1].mean(axis=0), demand[3:].sum(axis=0) / 4)
    with pytest.raises(InvalidInput, match="does not plan by samples of demand"):
        told_demand.knowing("lcp", torta_opt.generate("paper/abilene", seed=3, **SMALL))


def test_parts_add_up_and_finished_futures_are_kept(
    instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foresight_layers, "POLICIES", ("open_loop",))
    short = instance.cut(0, 4)
    row = foresight_layers.row_of("layers", short, 0, tmp_path)
    found = foresight_layers.parts([row], "open_loop")
    above = row["policies"]["open_loop"]["cost"] - row["bound"]
    assert sum(found.values())[0] == pytest.approx(above)
    assert found["bound"][0] >= -1e-9
    assert found["dispatch"][0] >= 0
    monkeypatch.setattr(foresight_layers, "KINDS", {})  # nothing is computed again
    assert foresight_layers.row_of("layers", short, 0, tmp_path) == row
    assert foresight_layers.kept("layers", 4, 3, tmp_path) == []  # one future says too little
    other = {**row, "relaxed": row["bound"] + 2.0, "cost": 7.0, "told": 4.0}
    text = "".join(
        foresight_layers.sections({"layers": [row], "told": [other], "relaxed": [other]})
    )
    assert "`paper/abilene`, 4 slots, 1 futures" in text
    assert f"| then the best requests known for its servers | {found['dispatch'][0]:.2f} |" in text
    assert "`open_loop` saves 3.00 $ if it is told the demand" in text
    assert "too few for intervals" in text
    assert "costs 2.00 $ more than the clairvoyant bound" in text
    with pytest.raises(InvalidInput, match="is a future of another run"):
        foresight_layers.row_of("layers", instance.cut(0, 5), 0, _renamed(tmp_path))


def _renamed(folder: Path) -> Path:
    """The future of four slots where one of five slots is looked for."""
    (folder / "layers-4").rename(folder / "layers-5")
    return folder
