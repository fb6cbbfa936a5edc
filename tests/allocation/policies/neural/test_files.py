"""Weight files: there and back, and refused in one line where they do not fit."""

from __future__ import annotations

import json

import pytest
import torch

from torta_opt.allocation.policies.neural.files import load_networks, new_networks, save_networks
from torta_opt.io import InvalidInput

REGIONS = ("a", "b", "c")


@pytest.fixture
def saved(tmp_path):
    networks = new_networks(REGIONS, 48, "beta", 1.0, 10.0, 7)
    save_networks(networks, tmp_path / "net")
    return networks, tmp_path / "net"


def test_there_and_back(saved):
    networks, path = saved
    again = load_networks(path.with_suffix(".safetensors"), REGIONS)
    assert again.card == networks.card
    for part in ("policy", "forecast"):
        mine, theirs = getattr(networks, part).state_dict(), getattr(again, part).state_dict()
        assert all(torch.equal(mine[name].half().float(), theirs[name]) for name in mine)


def test_same_seed_same_bytes(saved, tmp_path):
    save_networks(new_networks(REGIONS, 48, "beta", 1.0, 10.0, 7), tmp_path / "twin")
    for ending in (".safetensors", ".json"):
        assert (tmp_path / f"twin{ending}").read_bytes() == (tmp_path / f"net{ending}").read_bytes()


def test_another_topology_is_refused(saved):
    with pytest.raises(InvalidInput, match=r"fits a topology of 3 regions \(a, b, c\), not this"):
        load_networks(saved[1], ("a", "b"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 9}, "version"),
        ({"head": "tail"}, "head: must be beta or softmax"),
        ({"regions": 3}, "regions: must be a list of names"),
        ({"regions": []}, "regions: must not be empty"),
        ({"features": "many"}, "features: must be a number"),
        ({"features": 30}, "does not hold the weights that its card describes"),
    ],
)
def test_a_broken_card_is_refused(saved, change, message):
    _, path = saved
    card = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**card, **change}))
    with pytest.raises(InvalidInput, match=message):
        load_networks(path, REGIONS)


def test_a_broken_file_is_refused(saved):
    saved[1].with_suffix(".safetensors").write_bytes(b"no tensors")
    with pytest.raises(InvalidInput, match="does not hold the weights"):
        load_networks(saved[1], REGIONS)
    saved[1].with_suffix(".safetensors").unlink()
    with pytest.raises(InvalidInput, match="cannot be read"):
        load_networks(saved[1], REGIONS)
