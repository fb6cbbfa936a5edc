"""The bound over futures of a generated instance: what it says, keeps, resumes and refuses."""

from __future__ import annotations

import dataclasses
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import torta_opt
from torta_opt import gaps
from torta_opt.allocation.bounds.checker.check import certified_bound
from torta_opt.allocation.bounds.registry import METHODS
from torta_opt.allocation.foresight import estimates, nonanticipative, scenarios
from torta_opt.allocation.foresight.futures import (
    BRANCHES,
    EVALUATION,
    TRAINING,
    expected_along,
    future_of,
    seed_of,
    surprise_of,
)
from torta_opt.allocation.foresight.inner import (
    certified,
    charged,
    charges_of,
    errors_along,
    merged_of,
    solved,
)
from torta_opt.allocation.foresight.nonanticipative import Options, estimate
from torta_opt.allocation.foresight.penalty import Penalty, size_of
from torta_opt.allocation.foresight.scenarios import Scenarios, Spec, scenario
from torta_opt.allocation.foresight.tree import sample_tree
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.law import law_of
from torta_opt.allocation.law.base import DemandLaw
from torta_opt.cli.app import app
from torta_opt.family import Request
from torta_opt.io import InvalidInput, LimitReached, VerificationFailed

SMALL = {"slots": 10, "gpu_counts": {"A100": 3, "T4": 3}, "load": 0.5}
SHORT = 6  # slots, two of them with arrivals: enough where only the form of an answer is tested
HORIZONS = (1, 2)


@cache
def small() -> tuple[Instance, DemandLaw]:
    instance = torta_opt.generate("paper/abilene", seed=3, **SMALL)
    return instance, law_of(instance)


def short() -> Instance:
    return torta_opt.generate("paper/abilene", seed=3, **{**SMALL, "slots": SHORT})


def some_penalty(size: float = 0.01) -> Penalty:
    system = small()[0].system
    count = size_of(system, HORIZONS)
    return Penalty.of(system, np.random.default_rng(0).normal(0, size, count), HORIZONS)


def spec(way: str, **changes: object) -> Spec:
    instance, law = small()
    return dataclasses.replace(Spec(instance, law, way, 0), **changes)


def test_futures_of_different_numbers_and_purposes_differ() -> None:
    seeds = {seed_of(0, n, use) for n in range(50) for use in (EVALUATION, TRAINING, BRANCHES)}
    assert len(seeds) == 150
    assert seed_of(1, 0) != seed_of(0, 0)


def test_expected_arrivals_are_means_of_the_futures_redrawn_from_there() -> None:
    instance, law = small()
    future = future_of(law, instance, 0, 0, EVALUATION)
    expected = expected_along(law, future, (1, 2))
    drawn = np.mean(
        [law.sample(future, seed, start=4).arrivals.sum(axis=1) for seed in range(400)], axis=0
    )
    spread = np.sqrt(drawn[4:6] / 400) + 0.02 * drawn[4:6]  # Poisson and bursts
    assert (np.abs(drawn[4] - expected[3, 0]) < 5 * spread[0] + 0.05).all()
    assert (np.abs(drawn[5] - expected[3, 1]) < 5 * spread[1] + 0.05).all()
    assert not expected[-1].any()


def test_charges_of_the_checker_are_those_of_the_program() -> None:
    """Two pieces of code: the same value to rounding, and a certified one below the solver's."""
    instance, law = small()
    future, penalty = future_of(law, instance, 0, 1, EVALUATION), some_penalty()
    merged = merged_of(future)
    usd = charged(merged, penalty, errors_along(law, future, HORIZONS))
    charges = charges_of(law, future, penalty, tuple(merged.program.pools.of_server.tolist()))
    for name, family in merged.program.columns.items():
        cells = family.index.tolist()
        of_program = [charges.get((name, *cell), 0.0) for cell in cells]
        assert usd[family.numbers] == pytest.approx(of_program, abs=1e-12)
    result = solved(merged, usd)
    value, certificate = certified(merged, result, charges)
    assert value == pytest.approx(result.objective, rel=1e-6)
    assert value <= result.objective + 1e-9 * abs(result.objective)
    assert value != pytest.approx(certified_bound(certificate, future), rel=1e-6)


def test_a_scenario_is_not_above_what_policies_pay_there() -> None:
    for way, changes in (
        ("none", {}),
        ("penalty", {"penalty": some_penalty()}),
        ("tree", {"branches": (3, 6), "children": 2}),
    ):
        row = scenario(spec(way, **changes), 0, ["greedy_forecast"])
        assert row["leaves"] == (4 if way == "tree" else 1)
        assert (row["value"] > row["clairvoyant"]) == (way == "tree")
        found = row["policies"]["greedy_forecast"]
        assert found["cost"] + found["z"] > row["value"]
        assert (found["z"] != 0) == (way == "penalty")


def test_a_bound_above_what_a_policy_pays_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    high = {"value": 1e6, "clairvoyant": 1e6, "leaves": 1}
    monkeypatch.setattr(scenarios._Leaves, "values", lambda self: high)
    with pytest.raises(VerificationFailed, match="one of the two is wrong"):
        scenario(spec("none"), 0, ["greedy_forecast"])


def test_leaves_share_the_past_of_their_nodes_and_part_at_branches() -> None:
    instance, law = small()
    future = future_of(law, instance, 0, 2, EVALUATION)
    draw = scenarios._draw(law)
    tree = sample_tree(future, draw, (2, 5), 3, 0)
    assert len(tree.leaves) == 9
    assert (tree.leaves[0].arrivals == future.arrivals).all()
    for a, b in np.ndindex(9, 9):
        same = tree.node[a] == tree.node[b]
        assert same[:2].all()
        assert (np.diff(same.astype(int)) <= 0).all()  # parted for good
        assert (tree.leaves[a].arrivals[same] == tree.leaves[b].arrivals[same]).all()
    assert len({leaf.arrivals.tobytes() for leaf in tree.leaves}) == 9


def test_more_of_the_past_shared_raises_the_value() -> None:
    rows = [
        scenario(spec("tree", branches=branches, children=2), 1, [])
        for branches in ((9,), (5, 9), (2, 5, 9))
    ]
    assert all(row["value"] >= row["clairvoyant"] for row in rows)


def test_an_estimate_pairs_policies_and_bound_by_future() -> None:
    instance, law = small()
    found = estimate(instance, Options(4), ["greedy_forecast", "lcp"], law=law)
    assert found.scenarios == 4
    assert found.value == found.clairvoyant
    assert found.foresight.mean == 0
    for name, cost in found.cost.items():
        assert found.difference[name].mean == pytest.approx(cost.mean - found.value.mean)
    assert found.value.low < found.value.mean < found.value.high


def test_scenarios_resume_and_policies_are_added(tmp_path: Path) -> None:
    instance, law = small()
    options = Options(3, folder=tmp_path)
    first = estimate(instance, options, law=law)
    times = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(times) == 3
    again = estimate(instance, options, law=law)
    assert again == first
    more = estimate(instance, dataclasses.replace(options, scenarios=4), ["lcp"], law=law)
    assert more.scenarios == 4
    kept = json.loads((tmp_path / "scenario-0001.json").read_text())
    assert set(kept["policies"]) == {"lcp"}


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    instance, law = small()
    estimate(instance, Options(2, folder=tmp_path), law=law)
    with pytest.raises(InvalidInput, match="another run"):
        estimate(instance, Options(2, folder=tmp_path), law=law, seed=1)
    (tmp_path / "scenario-0000.json").write_text("{}")
    with pytest.raises(InvalidInput, match="is not a scenario"):
        estimate(instance, Options(2, folder=tmp_path), law=law)


def test_ctrl_c_keeps_what_is_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    instance, law = small()
    plain = scenarios.scenario

    def stopping(one: Spec, number: int, *rest: object) -> scenarios.Row:
        if number == 2:
            raise KeyboardInterrupt
        return plain(one, number, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(scenarios, "scenario", stopping)
    found = estimate(instance, Options(5), law=law)
    assert (found.scenarios, found.interrupted) == (2, True)
    with pytest.raises(LimitReached, match="1 scenario is finished"):
        estimates.summary(Scenarios([{"value": 1.0}]), [], None)


def test_side_by_side_gives_the_same(tmp_path: Path) -> None:
    instance, law = small()
    alone = estimate(instance, Options(3), law=law)
    assert estimate(instance, Options(3, jobs=2, folder=tmp_path), law=law) == alone


def test_a_penalty_that_policies_pay_on_average_is_caught() -> None:
    rng = np.random.default_rng(1)
    fair = rng.normal(0, 1, 30)
    estimates.raise_if_unfair("greedy_forecast", fair)
    estimates.raise_if_unfair("greedy_forecast", fair - 5)
    with pytest.raises(VerificationFailed, match=r"greedy_forecast: pays .* of penalty"):
        estimates.raise_if_unfair("greedy_forecast", fair + 5)


def test_a_bound_above_what_policies_pay_on_average_is_caught() -> None:
    above = np.random.default_rng(2).normal(0, 1, 30)
    estimates.raise_if_beaten("lcp", above)
    estimates.raise_if_beaten("lcp", above + 5)
    with pytest.raises(VerificationFailed, match=r"lcp: costs .* less than the bound on average"):
        estimates.raise_if_beaten("lcp", above - 5)


def test_surprises_have_mean_zero_and_narrow_intervals() -> None:
    instance, law = small()
    futures = (law.sample(instance, seed) for seed in range(120))
    found = np.array([surprise_of(law, future) for future in futures])
    assert abs(found.mean()) < 5 * found.std() / np.sqrt(len(found))
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(400):
        surprise = rng.normal(0, 2, 12)
        values = 7 + 3 * surprise + rng.normal(0, 1, 12)
        each = estimates.controlled(values, surprise)
        held += each.low <= 7 <= each.high
        plain = estimates.controlled(values, np.ones(12))
        assert plain.mean == pytest.approx(values.mean())
    assert 0.91 < held / 400 < 0.985  # 95 % within 3.5 standard errors
    assert each.high - each.low < 0.5 * (plain.high - plain.low)


def test_windows_belong_to_trees_and_part_early() -> None:
    assert nonanticipative.branches_of(96, Options(way="tree", window=12)) == (0, 2, 4, 6)
    shape = Options(way="tree", window=3, block=1, children=4)
    assert nonanticipative.branches_of(96, shape) == (0, 1)
    with pytest.raises(InvalidInput, match="window: is for way tree"):
        Options(window=4)


def test_means_that_are_wrong_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forecasts that fall short by half: every server that is ready is charged for demand."""
    instance, _ = small()
    plain = expected_along
    wrong = lambda *of: 0.5 * plain(*of)  # noqa: E731
    monkeypatch.setattr("torta_opt.allocation.foresight.inner.expected_along", wrong)
    size = size_of(instance.system, HORIZONS)
    penalty = Penalty.of(instance.system, np.full(size, 0.01), HORIZONS)
    rows = [
        scenario(spec("penalty", penalty=penalty), number, ["greedy_forecast"])
        for number in range(10)
    ]
    with pytest.raises(VerificationFailed, match="forecasts of the law or the penalty are wrong"):
        estimates.summary(Scenarios(rows), ["greedy_forecast"], None)


def test_the_fitted_penalty_is_kept_with_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance, law = small()
    for name, value in (("FIT_FUTURES", 2), ("TRIED_FUTURES", 1), ("FIT_ROUNDS", 2)):
        monkeypatch.setattr(nonanticipative, name, value)
    options = Options(2, way="penalty", folder=tmp_path)
    first = estimate(instance, options, ["lcp"], law=law)
    monkeypatch.setattr(nonanticipative, "fitted", None)  # not asked again
    assert estimate(instance, options, ["lcp"], law=law) == first
    assert first.difference["lcp"].mean == pytest.approx(
        first.cost["lcp"].mean - first.value.mean, abs=0.2 * first.cost["lcp"].mean
    )


def test_no_schedule_is_held_to_a_statistical_bound() -> None:
    instance, _ = small()
    found = torta_opt.bound(instance, "nonanticipative", options={"scenarios": 2})
    assert (found.statistical, found.certified, found.scenarios) == (True, False, 2)
    with pytest.raises(InvalidInput, match="is statistical"):
        gaps.gap(instance, "lcp", bound_method="nonanticipative")
    with pytest.raises(InvalidInput, match="is statistical"):
        gaps.gap(instance, "lcp", proved=found)
    with pytest.raises(InvalidInput, match="no bound file"):
        torta_opt.api.bound_to_document(found, instance)


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"scenarios": 1}, "scenarios: must be a whole number, at least 2"),
        ({"scenarios": True}, "scenarios: must be a whole number"),
        ({"way": "guess"}, "way: must be one of none, penalty, tree"),
        ({"children": 1}, "children: must be a whole number, at least 2"),
        ({"block": 0}, "block: must be a whole number, at least 1"),
        ({"luck": 1}, "luck: is no option of the bound nonanticipative"),
        ({"way": "tree", "block": 1, "children": 9}, "block: gives 9"),
    ],
)
def test_wrong_options_are_refused(given: dict[str, object], rule: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        torta_opt.bound(small()[0], "nonanticipative", options=given)
    assert rule in str(refused.value)


def test_an_instance_without_a_law_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"too few to fit a law.*import a longer part"):
        torta_opt.bound(torta_opt.generate("small/loading"), "nonanticipative")


def test_the_bound_takes_every_option() -> None:
    fields = {field.name for field in dataclasses.fields(Options)}
    assert METHODS["nonanticipative"].takes == fields
    found = torta_opt.bound(
        short(), "nonanticipative", options={"scenarios": 2, "way": "tree", "window": 2}
    )
    assert found.statistical


def test_options_belong_to_their_bound() -> None:
    with pytest.raises(InvalidInput, match="is no option of the bound lp"):
        torta_opt.bound(torta_opt.generate("small/loading"), "lp", options={"scenarios": 2})


def test_the_command_line_prints_an_estimate(tmp_path: Path) -> None:
    path = tmp_path / "small.json"
    torta_opt.save_instance(short(), path)
    run = CliRunner().invoke
    told = ["bound", str(path), "--method", "nonanticipative", "--scenarios", "2"]
    found = json.loads(run(app, [*told, "--json"]).stdout)
    assert found["source"] == "nonanticipative"
    assert (found["certified"], found["statistical"]) == (False, True)
    assert found["interval"][0] < found["value"] < found["interval"][1]
    assert (found["scenarios"], found["clairvoyant"]) == (2, found["value"])
    words = run(app, told).stdout
    assert "not certified" in words
    assert "no schedule costs less" not in words
    asked = ["gap", str(path), "--policies", "lcp", "--foresight", "2", "--attribute"]
    report = json.loads(run(app, [*asked, "--bound", "merged", "--json"]).stdout)
    assert report["nonanticipative"]["statistical"] is True
    row = report["results"][0]
    low, high = row["of_which_foresight"]
    assert 0 <= low <= high
    parts = row["attribution"]
    distance = row["cost"] - report["bound"]["value"]
    assert sum(parts.values()) == pytest.approx(distance, abs=1e-9)
    words = " ".join(run(app, [*asked[:6], "--bound", "merged"]).stdout.split())
    assert "% of the cost of lcp could be saved without seeing ahead" in words
    asked = ["gap", str(path), "--policies", "lcp", "--attribute", "--bound", "merged"]
    row = json.loads(run(app, [*asked, "--json"]).stdout)["results"][0]
    assert row["of_which_foresight"] is None
    assert row["of_which_foresight_needs"] == "--foresight N"
    assert "--foresight N estimates" in run(app, asked).stdout


def test_a_gap_survives_ctrl_c_and_limits_of_what_goes_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    instance, _ = small()
    report = gaps.gap(instance, "lcp", bound_method="floor")

    def stopped(error: type[BaseException]) -> None:
        def raising(*of: object, **given: object) -> None:
            raise error("too late")

        monkeypatch.setattr(nonanticipative, "beside", raising)

    stopped(KeyboardInterrupt)
    found = gaps.with_parts(report, instance, foresight={"scenarios": 2})
    assert (found.status, len(found.results)) == ("interrupted", 1)
    stopped(LimitReached)
    found = gaps.with_parts(report, instance, foresight={"scenarios": 2})
    assert found.left_out == {"nonanticipative": "too late"}
    assert found.nonanticipative is None


def test_a_policy_that_sees_the_future_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from torta_opt.allocation.policies.greedy_forecast import GreedyForecast

    monkeypatch.setattr(GreedyForecast, "information", "future", raising=False)
    instance, _ = small()
    with pytest.raises(InvalidInput, match="greedy_forecast sees the future"):
        nonanticipative.beside(instance, ["greedy_forecast"], Request(options={"scenarios": 2}))
