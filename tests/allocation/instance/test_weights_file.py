from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.plain import make_instance

from torta_opt.allocation.instance.weights_file import load_weights
from torta_opt.io import InvalidInput

SYSTEM = make_instance(
    [[[1, 1]]], weights={"time_usd_per_s": 1.0, "reroute_usd": 2.0, "expiry_usd": [3.0, 4.0]}
).system


def written(folder: Path, **fields: Any) -> Path:
    path = folder / "weights.json"
    path.write_text(json.dumps({"format": "torta-opt/weights", "version": 1, **fields}))
    return path


def test_what_is_left_out_stays(tmp_path: Path) -> None:
    weights = load_weights(written(tmp_path, reroute_usd=0.5, expiry_usd={"code": 9.0}), SYSTEM)
    assert (weights.time_usd_per_s, weights.reroute_usd) == (1.0, 0.5)
    assert weights.expiry_usd.tolist() == [3.0, 9.0]


def test_every_weight_can_be_given(tmp_path: Path) -> None:
    scalars = {
        "time_usd_per_s": 1.5,
        "reroute_usd": 2.5,
        "frobenius_usd": 3.5,
        "energy_factor": 4.5,
        "rent_factor": 5.5,
        "transfer_factor": 6.5,
        "loading_factor": 7.5,
    }
    weights = load_weights(written(tmp_path, **scalars), SYSTEM)
    assert {name: getattr(weights, name) for name in scalars} == scalars


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"reroute_usd": -1.0}, "weights.reroute_usd: must lie in"),
        ({"expiry_usd": {"chat": -1.0}}, "weights.expiry_usd.chat: must not be negative"),
        ({"expiry_usd": {"video": 1.0}}, "expiry_usd: names an unknown class, 'video'"),
        ({"time_usd_per_s": "1"}, "time_usd_per_s: must be a valid number"),
        ({"speed": 1.0}, "speed: is not a known field"),
        ({"version": 2}, "version: 2 is not known"),
    ],
)
def test_broken_files_are_refused_by_name(
    fields: dict[str, Any], rule: str, tmp_path: Path
) -> None:
    path = written(tmp_path, **fields)
    with pytest.raises(InvalidInput) as refusal:
        load_weights(path, SYSTEM)
    assert str(refusal.value).startswith(f"{path}: {rule}")
