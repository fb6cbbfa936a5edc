"""Files kept from every version of every format still load, and mean what they meant.

``samples/N/`` has files of version N. They are never written anew: a file of the next version goes
beside them, and these must then migrate to it. The oldest instances are those of the first commit
that had any.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import torta_opt
from torta_opt import api, families
from torta_opt.allocation.instance.document import instance_sha256
from torta_opt.allocation.instance.imports.tables import load_tables
from torta_opt.allocation.instance.weights_file import load_weights
from torta_opt.allocation.policies.experiment import read_table
from torta_opt.allocation.policies.fleet_values import load_value
from torta_opt.allocation.policies.neural.files import load_networks
from torta_opt.allocation.policies.weight_files import models_folder
from torta_opt.allocation.profiles.document import load_profiles
from torta_opt.allocation.search.start_network import load_start_network
from torta_opt.allocation.site.build import build_site

SAMPLES = Path(__file__).parent / "samples"
ONE = SAMPLES / "1"
# What each format of version 1 must give for ever, to the tolerance of `docs/formats.md`.
SHA256 = "61d79428e91c04df68d62b205a49a8385457db57696f6d500a282775c23841f2"

SITE = "162c544c76c6ea2eb0db215e606915c97d26653f2ec61407c33e16fa60b0fca7"
COSTS = {
    "schedule": 1.637301,
    "floor": 0.07088199999999999,
    "lp": 0.13541133332299674,
    "whole": 0.15463199998752172,
    "placement": 0.6719999999999999,
    "combinatorial": 0.533926947742749,
}


@pytest.fixture(scope="module")
def instance() -> Any:
    return torta_opt.open_instance(ONE / "allocation-loading.json")


@pytest.fixture(scope="module")
def placement() -> Any:
    return torta_opt.open_instance(ONE / "placement.json")


def test_the_oldest_instances_are_those_that_the_package_generates(instance: Any) -> None:
    assert instance_sha256(instance) == SHA256
    for name in ("loading", "residency"):
        kept = torta_opt.open_instance(ONE / f"allocation-{name}.json")
        made = torta_opt.generate(f"small/{name}")
        assert instance_sha256(kept) == instance_sha256(made)


def test_a_schedule_costs_what_it_did(instance: Any) -> None:
    schedule = torta_opt.load_schedule(ONE / "schedule.json", instance)
    assert torta_opt.verify(instance, schedule).ok
    assert torta_opt.evaluate(instance, schedule).cost == pytest.approx(COSTS["schedule"], rel=1e-9)


@pytest.mark.parametrize("method", ["floor", "lp", "whole"])
def test_a_certificate_proves_what_it_did(method: str, instance: Any) -> None:
    check = torta_opt.verify_file(instance, ONE / f"bound-{method}.json")
    assert check.ok
    claimed = json.loads((ONE / f"bound-{method}.json").read_text())["value"]
    assert claimed == pytest.approx(COSTS[method], rel=1e-9)


def test_a_placement_and_its_schedule_and_bound(placement: Any) -> None:
    schedule = torta_opt.load_schedule(ONE / "placement-schedule.json", placement)
    assert torta_opt.verify(placement, schedule).ok
    cost = torta_opt.evaluate(placement, schedule).cost
    assert cost == pytest.approx(COSTS["placement"], rel=1e-9)
    bound = api.load_bound(ONE / "placement-bound.json", placement).value
    assert bound == pytest.approx(COSTS["combinatorial"], rel=1e-9)


def test_weights(instance: Any) -> None:
    weights = load_weights(ONE / "weights.json", instance.system)
    assert (weights.time_usd_per_s, weights.energy_factor) == (0.001, 2)


def test_tables_are_the_instance(instance: Any) -> None:
    assert instance_sha256(load_tables(ONE / "tables")) == SHA256


def test_a_site_is_built(tmp_path: Path) -> None:
    shutil.copytree(ONE / "site", tmp_path / "site")
    built, _ = build_site(tmp_path / "site" / "site.toml")
    assert instance_sha256(built) == SITE


def test_profiles() -> None:
    (profile,) = load_profiles(ONE / "profiles.json")
    assert (profile.label, profile.points[0].latency_s) == ("4xH100", 5.28)


def test_weights_of_networks() -> None:
    system = torta_opt.generate("paper/abilene", slots=6).system
    assert load_value("cuts", system, ONE / "server-value") is not None
    assert load_start_network(system, ONE / "start-network") is not None


@pytest.mark.slow  # loads torch
def test_bundled_networks() -> None:
    for name in ("abilene", "polska"):
        assert len(load_networks(models_folder() / f"paper-{name}").card["regions"]) == 12


def test_a_comparison_goes_on() -> None:
    (row,) = read_table(ONE / "comparison.jsonl")
    assert (row["policy"], row["seed"]) == ("round_robin", 0)
    assert row["sha256"] == SHA256


def test_there_is_a_sample_of_every_version_of_every_format() -> None:
    """Whoever raises a version adds files of the new one, and keeps these."""
    found = set()
    for path in SAMPLES.rglob("*.json"):
        document = json.loads(path.read_text())
        if "format" in document:
            found.add((document["format"], document["version"]))
            assert path.is_relative_to(SAMPLES / str(document["version"]))
    wanted = {
        (each.name, version)
        for family in map(families.family, families.FAMILIES)
        for each in family.formats.values()
        for version in range(1, each.version + 1)
    }
    assert wanted
    assert wanted <= found


def test_an_old_file_is_migrated_step_by_step(tmp_path: Path) -> None:
    """The way a later release will read these files."""
    from torta_opt.io import read_document

    def second(document: Mapping[str, Any]) -> dict[str, Any]:
        return {**document, "version": 2, "added": 1}

    def third(document: Mapping[str, Any]) -> dict[str, Any]:
        return {**document, "version": 3, "added": document["added"] + 1}

    steps: dict[tuple[str, int], Callable[[Any], Any]] = {("f", 1): second, ("f", 2): third}
    for version, added in ((1, 2), (2, 8), (3, None)):
        document = {"format": "f", "version": version, **({"added": 7} if version == 2 else {})}
        (tmp_path / "a.json").write_text(json.dumps(document))
        assert read_document(tmp_path / "a.json", {"f": 3}, steps).get("added") == added
