from __future__ import annotations

import dataclasses
import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest
from support.processors import printed_elsewhere

from torta_opt.allocation.instance import instance_to_document, load_instance, save_instance
from torta_opt.allocation.instance.generate import generate, generate_from_topology, preset_names
from torta_opt.allocation.instance.warnings import warnings_of
from torta_opt.io import InvalidInput, document_bytes

INSTANCES = Path(__file__).parents[4] / "instances"
FILES = sorted(INSTANCES.glob("small/*.json"))
FILES += [path for family in ("fig5", "paper") for path in sorted(INSTANCES.glob(f"{family}/*.gz"))]


def bytes_of(preset: str, seed: int = 0, **parameters: object) -> bytes:
    return document_bytes(instance_to_document(generate(preset, seed, **parameters)))


def test_names() -> None:
    names = preset_names()
    assert len(set(names)) == len(names)
    assert {"small/drain", "paper/cost2", "paper/abilene+surge", "paper/polska+outage"} <= set(
        names
    )


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_is_valid_without_warnings_and_reads_back(preset: str, tmp_path: Path) -> None:
    instance = generate(preset)
    assert instance.name == preset
    assert warnings_of(instance) == []
    save_instance(instance, tmp_path / "a.json.gz")
    again = load_instance(tmp_path / "a.json.gz")
    assert document_bytes(instance_to_document(again)) == bytes_of(preset)


@pytest.mark.parametrize("preset", ["paper/abilene", "paper/gabriel", "paper/cost2+surge+outage"])
def test_seed_decides_the_bytes(preset: str) -> None:
    assert bytes_of(preset, 7) == bytes_of(preset, 7)
    assert bytes_of(preset, 7) != bytes_of(preset, 8)


def test_parameters_do_not_reshuffle_what_they_do_not_name() -> None:
    plain, cheap = generate("paper/polska"), generate("paper/polska", delivery_usd_per_kwh=0.0)
    np.testing.assert_array_equal(plain.system.server_region, cheap.system.server_region)
    np.testing.assert_array_equal(plain.arrivals, cheap.arrivals)
    assert (plain.price_usd_per_kwh > cheap.price_usd_per_kwh).all()


def test_other_seeds_are_named() -> None:
    assert generate("paper/polska", 3, slots=8).name == "paper/polska@3"


@pytest.mark.skipif(not FILES, reason="instances/ has not been generated (make instances)")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_shipped_file_is_what_generate_gives(path: Path) -> None:
    preset = f"{path.parent.name}/{path.name.split('.')[0]}"
    content = path.read_bytes()
    content = gzip.decompress(content) if path.suffix == ".gz" else content
    assert content == bytes_of(preset)
    assert path.stat().st_size < 1_500_000


PRINT_DIGESTS = """
import hashlib, sys
from torta_opt.allocation.instance.document import instance_to_document
from torta_opt.allocation.instance.generate import generate
from torta_opt.io.files import document_bytes
for preset in sys.argv[1:]:
    content = document_bytes(instance_to_document(generate(preset, 7)))
    print(hashlib.sha256(content).hexdigest())
"""


def test_another_processor_gives_the_same_bytes() -> None:
    presets = ["paper/abilene", "paper/gabriel+surge+outage", "paper/cost2", "fig5/1000"]
    here = [hashlib.sha256(bytes_of(preset, 7)).hexdigest() for preset in presets]
    assert printed_elsewhere(PRINT_DIGESTS, *presets) == here


@pytest.mark.parametrize(
    ("preset", "parameters", "words"),
    [
        ("paper/nowhere", {}, "preset: 'paper/nowhere' is not known"),
        ("paper/abilene+fire", {}, "is not known"),
        ("small/drain+surge", {}, "is not known"),
        ("small/", {}, "is not known"),
        ("", {}, "is not known"),
        ("fig5/12", {}, "tasks: must be a number from 200 to 1000000"),
        ("fig5/-500", {}, "is not known"),
        ("fig5/500", {"load": 0.5}, "load: preset fig5/500 takes no parameters"),
        ("small/drain", {"load": 0.5}, "load: preset small/drain takes no parameters"),
        ("paper/abilene", {"laod": 0.5}, "laod: is not a parameter; did you mean load?"),
        ("paper/abilene", {"seed": -1}, "seed: must be an integer"),
        ("paper/abilene", {"seed": 1.0}, "seed: must be an integer"),
        ("topology", {}, "file: must name a GML or GraphML file"),
    ],
)
def test_unknown_is_refused_in_one_line(preset: str, parameters: dict, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        generate(preset, **parameters)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


class TestVariants:
    def test_surge_adds_demand_where_it_hits_and_nowhere_else(self) -> None:
        plain, surge = generate("paper/abilene"), generate("paper/abilene+surge")
        assert surge.requests > 1.02 * plain.requests
        ratio = surge.arrivals.sum(axis=(1, 2)) / np.maximum(plain.arrivals.sum(axis=(1, 2)), 1)
        assert ratio.max() > 1.2
        assert (np.abs(ratio[:476] - 1) < 0.15).mean() > 0.6

    def test_outage_takes_a_whole_region_down_for_a_while(self) -> None:
        instance = generate("paper/polska+outage")
        down = ~instance.up
        assert down.any(axis=1).sum() == 40
        hit = np.unique(instance.system.server_region[down.any(axis=0)])
        assert hit.size == 1
        everyone = instance.system.server_region == hit[0]
        np.testing.assert_array_equal(down.any(axis=0), everyone)
        np.testing.assert_array_equal(instance.arrivals, generate("paper/polska").arrivals)

    def test_both_at_once_and_the_caller_wins(self) -> None:
        both = generate("paper/polska+surge+outage", surges=0, outages=3)
        np.testing.assert_array_equal(both.arrivals, generate("paper/polska").arrivals)
        hit = both.system.server_region[~both.up.all(axis=0)]
        assert np.unique(hit).size == 3


def test_topology_by_file(tmp_path: Path) -> None:
    gml = tmp_path / "line.gml"
    gml.write_text(
        'graph [ node [ id 0 label "A" Longitude 0.0 Latitude 0.0 ]'
        ' node [ id 1 label "B" Longitude 20.0 Latitude 0.0 ] edge [ source 0 target 1 ] ]'
    )
    instance = generate_from_topology(gml, seed=2, slots=12)
    assert instance.system.regions == ("A", "B")
    assert instance.name == "topology/line@2"
    assert 0.0111 < instance.system.latency_s[0, 1] < 0.0112  # 2224 km of fibre
    same = generate("topology", seed=2, file=gml, slots=12)
    assert dataclasses.replace(same, name="x").requests == instance.requests
    far = generate_from_topology(gml, slots=12, mean_latency_ms=100)
    assert far.system.latency_s[0, 1] == pytest.approx(0.1)
