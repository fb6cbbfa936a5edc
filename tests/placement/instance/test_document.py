"""The instance file: there and back, its defaults, and every way to get it wrong."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from hypothesis import given
from support.placement_reference import Reference
from support.small_placement import build, instances

from torta_opt.api import open_instance, save_instance
from torta_opt.io import InvalidInput
from torta_opt.placement.instance.document import (
    by_way_of_clients,
    instance_from_document,
    instance_to_document,
    json_schema,
    placement_sha256,
)
from torta_opt.placement.instance.presets import PRESETS, placement_preset, tiny


@given(instances())
def test_there_and_back(instance):
    document = instance_to_document(instance)
    assert instance_to_document(instance_from_document(document)) == document


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_the_file(name, tmp_path):
    instance = placement_preset(name)
    save_instance(instance, tmp_path / "a.json.gz")
    again = open_instance(tmp_path / "a.json.gz")
    assert placement_sha256(again) == placement_sha256(instance)
    save_instance(again, tmp_path / "b.json.gz")
    assert (tmp_path / "a.json.gz").read_bytes() == (tmp_path / "b.json.gz").read_bytes()


def test_the_document_means_what_the_instance_means():
    instance = tiny(1)
    reference = Reference(instance_to_document(instance))
    assert reference.cache_bytes == instance.cache_bytes
    assert reference.memory == instance.servers.memory_bytes.tolist()


def test_left_out_fields():
    document = instance_to_document(build(requests=(2,)))
    for server in document["servers"]:
        del server["memory_bytes"]
    for name in ("rtt_ms", "server_rtt_ms"):
        del document["links"][name]
    for name in ("forward_rps", "network_rps", "most_blocks"):
        for kind in document["types"]:
            del kind[name]
    del document["delays"]
    instance = instance_from_document(document)
    assert instance.servers.memory_bytes.tolist() == [40, 40, 60]
    assert instance.servers.most_blocks.tolist() == [4, 4, 4]
    assert (instance.links.rtt_ms == instance.links.token_ms).all()
    assert instance.links.server_rtt_ms[0].tolist() == [0.0, 30.0, 40.0]
    assert instance.delays.start_ms == 0


def test_by_way_of_the_nearest_client():
    rtt = np.array([[1.0, 5.0], [4.0, 1.0]])
    assert by_way_of_clients(rtt).tolist() == [[0.0, 5.0], [5.0, 0.0]]


def _changed(change):
    document = copy.deepcopy(instance_to_document(build()))
    change(document)
    return document


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda d: d.pop("links"), "links"),
        (lambda d: d["llm"].pop("blocks"), "blocks"),
        (lambda d: d["llm"].update(blocks="4"), "blocks"),
        (lambda d: d["llm"].update(blocks=4.5), "blocks"),
        (lambda d: d["llm"].update(block_bytes=-1), "block_bytes"),
        (lambda d: d.update(output_tokens=-1), "output_tokens"),
        (lambda d: d.update(extra=1), "extra"),
        (lambda d: d["servers"][0].update(type="none"), "unknown type"),
        (lambda d: d["types"].append(dict(d["types"][0])), "repeats"),
        (lambda d: d["types"].append({**d["types"][0], "name": "spare"}), "spare"),
        (lambda d: d["links"]["token_ms"][0].pop(), "token_ms"),
        (lambda d: d["links"].update(token_ms=[]), "token_ms"),
        (lambda d: d["links"].update(token_ms="no"), "token_ms"),
        (lambda d: d["links"]["token_ms"][0].__setitem__(0, None), "token_ms"),
        (lambda d: d["links"]["token_ms"][0].__setitem__(0, -1.0), "must not be negative"),
        (lambda d: d["links"]["token_ms"].append([1.0]), "has 1 entries"),
        (lambda d: d["clients"].clear(), "client"),
        (lambda d: d["servers"].clear(), "server"),
        (lambda d: d["servers"][1].update(name="s0"), "different names"),
        (lambda d: d.update(version=2), "version"),
        (lambda d: d.update(format="torta-opt/parcels"), "format"),
    ],
)
def test_what_a_file_gets_wrong_is_said_in_one_line(change, text, tmp_path):
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(_changed(change)))
    with pytest.raises(InvalidInput) as error:
        open_instance(path)
    assert "broken.json" in str(error.value)
    assert text in str(error.value)
    assert "\n" not in str(error.value)


def test_nan_and_truncated_files(tmp_path):
    path = tmp_path / "broken.json"
    text = json.dumps(instance_to_document(build()))
    for content in (text.replace("10.0", "NaN"), text[: len(text) // 2], "", "[]"):
        path.write_text(content)
        with pytest.raises(InvalidInput, match=r"broken\.json"):
            open_instance(path)


def test_the_schema_is_that_of_the_file():
    schema = json_schema()
    assert set(schema["required"]) <= set(instance_to_document(build()))
