"""``micro=learned``: legal schedules, features by hand, bad weights cost nothing in a slot."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from support.plain import make_instance
from support.tiny import random_tiny_instance

from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.learning.score_training import (
    Examples,
    cross_entropy,
    examples,
    fit_scores,
)
from torta_opt.allocation.policies import layered
from torta_opt.allocation.policies.greedy_forecast import GreedyForecast
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.policies.server_scores import (
    FEATURES,
    FORMAT,
    ServerScores,
    fill_by_score,
    load_server_scores,
    score_features,
    slot_usd,
    to_tensors,
)
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.io import InvalidInput
from torta_opt.io.files import document_bytes

SEEN = len(FEATURES)


def random_scores(seed: int) -> ServerScores:
    rng = np.random.default_rng(seed)
    shapes = ((4, SEEN), (4,), (4,), (SEEN,), (1,))
    return ServerScores(*(rng.normal(size=shape) for shape in shapes))


@pytest.mark.parametrize("name", ["greedy_forecast", "torta_ot", "robd", "skylb", "open_loop"])
def test_every_policy_can_dispatch_by_it(name: str) -> None:
    for seed in range(4):
        instance = random_tiny_instance(np.random.default_rng(seed))
        found = run(create(f"{name}:micro=learned"), instance)
        verify(instance, found.schedule).raise_if_broken(name)


def test_features_by_hand() -> None:
    """Two servers of one region, the second dearer and slower; 12 requests, 4 of them wait."""
    instance = make_instance(
        [[[8]]],
        types=2,
        server_region=[0, 0],
        server_type=[0, 1],
        deadline_slots=[1],
        server_ms=[[5_000], [9_000]],
        service_s=[[2.0], [11.0]],
        hot_service_s=[[1.0], [2.0]],
        hot_permille=500,
        initial={
            "model": [0, 0],
            "backlog": [[[4]]],
            "processing": [[4], [0]],
        },
        weights={"time_usd_per_s": 1.0},
    )
    seen: list[np.ndarray] = []

    class Watched(GreedyForecast):
        def _handed_out(self, slot):
            seen.append(score_features(self.tables, slot))
            return super()._handed_out(slot)

    run(Watched(rule="none"), instance)
    fast, slow = seen[0][:, 0]
    by = dict(zip(FEATURES, zip(fast, slow, strict=True), strict=True))
    assert by["share of the region's room"] == pytest.approx((9 / 14, 5 / 14))
    assert by["requests in the region over its room"] == pytest.approx((12 / 14, 12 / 14))
    assert by["share of the room that would be hot"] == pytest.approx((2 / 9, 0))
    assert by["what a hot request saves, in slots of waiting"] == pytest.approx((1 / 45, 9 / 45))
    above = by["service and energy above the cheapest server of the region, in slots of waiting"]
    assert above[0] == 0
    assert above[1] >= 9 / 45


def filled(instance: Instance, score: list[list[float]]) -> list[list[int]]:
    """What servers get in slot 0 if the network gives them these scores, costs aside."""
    found: list[np.ndarray] = []

    class Watched(GreedyForecast):
        def _handed_out(self, slot):
            found.append(fill_by_score(self.tables, slot, np.array(score)))
            return super()._handed_out(slot)

    run(Watched(rule="none"), instance)
    return found[0].tolist()


def test_pairs_are_filled_by_descending_score() -> None:
    """Two servers, 9 short requests or 1 long one each; 9 short and 2 long ones come."""
    arrivals = np.array([[[9, 2]]])
    instance = make_instance(
        arrivals,
        server_region=[0, 0],
        server_ms=[[5_000, 45_000]],
        deadline_slots=[1, 1],
        initial={"model": [0, 0]},
    )
    assert filled(instance, [[4, 3], [2, 1]]) == [[9, 0], [0, 1]]
    assert filled(instance, [[1, 2], [3, 4]]) == [[0, 1], [0, 1]]
    assert filled(instance, [[2, 1], [3, 4]]) == [[9, 0], [0, 1]]
    assert filled(instance, [[4, 1], [3, 2]]) == [[9, 0], [0, 1]]


def test_what_expires_goes_first() -> None:
    instance = make_instance(
        np.array([[[9, 0]]]),
        server_region=[0],
        server_ms=[[5_000, 45_000]],
        deadline_slots=[1, 1],
        initial={"model": [0], "backlog": [[[0], [1]]]},
    )
    assert filled(instance, [[2, 1]]) == [[0, 1]]


@pytest.mark.parametrize("seed", range(6))
def test_each_region_is_filled_as_one_by_one(seed: int) -> None:
    """Against a loop over pairs, region by region."""
    rng = np.random.default_rng(seed)
    instance = random_tiny_instance(rng)

    class Watched(GreedyForecast):
        def _handed_out(self, slot):
            score = rng.normal(size=slot.greedy.shape)
            assert np.array_equal(
                fill_by_score(self.tables, slot, score), self.one_by_one(slot, score)
            )
            return super()._handed_out(slot)

        def one_by_one(self, slot, score):
            tables, system = self.tables, self.tables.system
            waiting = slot.observation.state.waiting
            due = tables.due(waiting)
            free, taken = slot.fleet.usable_ms.copy(), np.zeros(score.shape, np.int64)
            for left in (due, slot.routing.sum(axis=0) + waiting.sum(axis=2) - due):
                for s, c in np.argwhere(np.isfinite(score))[np.argsort(-score, axis=None)]:
                    if slot.fleet.model[s] == system.class_model[c] and tables.can_serve[s, c]:
                        r = system.server_region[s]
                        units = min(left[r, c], free[s] // tables.work_ms[s, c])
                        left[r, c] -= units
                        free[s] -= units * tables.work_ms[s, c]
                        taken[s, c] += units
            return taken

    run(Watched(), instance)


@pytest.mark.parametrize("seed", range(3))
def test_no_slot_costs_more_than_by_the_rule(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layered, "load_server_scores", lambda path: random_scores(seed))
    kept: list[tuple[float, float]] = []

    class Watched(GreedyForecast):
        def _handed_out(self, slot):
            routing, processing = super()._handed_out(slot)
            kept.append(
                (slot_usd(self.tables, slot, processing), slot_usd(self.tables, slot, slot.greedy))
            )
            return routing, processing

    instance = random_tiny_instance(np.random.default_rng(seed))
    run(Watched(micro="learned"), instance)
    assert all(ours <= theirs for ours, theirs in kept)


def test_the_price_of_a_slot_is_the_referees(monkeypatch: pytest.MonkeyPatch) -> None:
    """One slot, no energy: service less heat, and one slot of waiting for what expires later."""
    instance = make_instance(
        [[[12]], [[0]]],
        server_ms=[[5_000]],
        service_s=[[2.0]],
        hot_service_s=[[1.0]],
        hot_permille=500,
        initial={"model": [0], "processing": [[8]]},
        weights={"time_usd_per_s": 1.0, "expiry_usd": 1e3},
    )
    priced: list[float] = []

    class Watched(GreedyForecast):
        def _handed_out(self, slot):
            priced.append(slot_usd(self.tables, slot, slot.greedy))
            return super()._handed_out(slot)

    schedule = run(Watched(rule="none"), instance).schedule
    costs = evaluate(instance, schedule).costs
    assert sum(priced) == pytest.approx(costs["service"] + costs["waiting"])


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_network_that_says_no_number_is_not_followed(
    broken: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = dataclasses.replace(random_scores(0), constant=np.full(1, broken))
    monkeypatch.setattr(layered, "load_server_scores", lambda path: scores)
    instance = generate("small/switch")
    ours = run(GreedyForecast(micro="learned"), instance).schedule
    rule = run(GreedyForecast(), instance).schedule
    assert np.array_equal(ours.processing, rule.processing)


class TestFiles:
    def write(self, folder: Path, scores: ServerScores, **card: object) -> str:
        document = {"format": FORMAT, "version": 1, "features": list(FEATURES), **card}
        (folder / "own.json").write_bytes(document_bytes(document))
        save_file(to_tensors(scores), folder / "own.safetensors")
        return str(folder / "own")

    def test_of_ones_own(self, tmp_path: Path) -> None:
        scores = random_scores(1)
        found = load_server_scores(self.write(tmp_path, scores))
        seen = np.random.default_rng(2).random((3, 2, SEEN))
        assert found(seen) == pytest.approx(scores(seen), rel=1e-5)

    def test_another_format_or_version(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidInput, match="version"):
            load_server_scores(self.write(tmp_path, random_scores(1), version=9))

    def test_other_features(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidInput, match="is for other features than"):
            load_server_scores(self.write(tmp_path, random_scores(1), features=["room"]))

    @pytest.mark.parametrize(
        ("name", "tensor"),
        [
            ("straight", np.zeros(SEEN - 1)),
            ("last", np.zeros((4, 3))),
            ("last", np.zeros((4, 1))),
            ("first", np.zeros((SEEN, 4))),
        ],
    )
    def test_another_shape(self, name: str, tensor: np.ndarray, tmp_path: Path) -> None:
        other = dataclasses.replace(random_scores(1), **{name: tensor})
        with pytest.raises(InvalidInput, match="does not hold the weights that its card"):
            load_server_scores(self.write(tmp_path, other))

    def test_a_number_is_no_name(self) -> None:
        with pytest.raises(InvalidInput, match="micro_weights: must be a file or a name"):
            create("greedy_forecast:micro=learned:micro_weights=5")

    def test_a_missing_tensor(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, random_scores(1))
        save_file({"first": np.zeros(1, np.float32)}, tmp_path / "own.safetensors")
        with pytest.raises(InvalidInput, match="does not hold the weights that its card"):
            load_server_scores(path)

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidInput, match=r"none\.json: "):
            load_server_scores(str(tmp_path / "none"))

    def test_the_policy_takes_a_name(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, random_scores(1))
        policy = create(f"greedy_forecast:micro=learned:micro_weights={path}")
        run(policy, generate("small/switch"))


def test_fitting_lowers_the_cross_entropy() -> None:
    found = examples(generate("small/hot"))
    assert found.features.shape == (len(found.filled), SEEN)
    assert ((found.filled >= 0) & (found.filled <= 1)).all()
    assert found.filled.max() > 0
    before, after = (cross_entropy(fit_scores(found, steps, 3), found) for steps in (0, 60))
    assert after < before


def test_fitting_finds_what_is_to_be_found() -> None:
    rng = np.random.default_rng(5)
    features = rng.random((400, SEEN))
    found = Examples(features, (features[:, 0] < 0.5).astype(float))
    scores = fit_scores(found, 200, 1)
    said = scores(features) > 0
    assert (said == (found.filled > 0)).mean() > 0.95
